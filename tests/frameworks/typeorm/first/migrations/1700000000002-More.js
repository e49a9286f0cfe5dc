const { TableColumn, TableIndex } = require("typeorm");
module.exports.More1700000000002 = class {
  name = "More1700000000002";
  async up(runner) {
    await runner.addColumn("items", new TableColumn({ name: "extra", type: "text", isNullable: true }));
    await runner.createIndex("items", new TableIndex({ name: "items_value_idx", columnNames: ["value"] }));
  }
  async down() {}
};
