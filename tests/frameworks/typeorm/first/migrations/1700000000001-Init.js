const { Table } = require("typeorm");
module.exports.Init1700000000001 = class {
  name = "Init1700000000001";
  async up(runner) {
    await runner.createTable(new Table({
      name: "items",
      columns: [{ name: "id", type: "uuid", isPrimary: true }, { name: "value", type: "text", isNullable: true }],
    }));
    await runner.query("SELECT electric.enable('items')");
  }
  async down() {}
};
