const { TableColumn } = require("typeorm");
module.exports.Later1700000000004 = class {
  name = "Later1700000000004";
  async up(runner) {
    await runner.addColumn("items", new TableColumn({ name: "later", type: "int", isNullable: true, default: 7 }));
  }
  async down() {}
};
