exports.up = (pgm) => {
  pgm.createTable("items", { id: { type: "uuid", primaryKey: true }, value: "text" });
  pgm.sql("SELECT electric.enable('items')");
};
exports.down = false;
