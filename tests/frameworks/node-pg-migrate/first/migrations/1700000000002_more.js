exports.up = (pgm) => {
  pgm.addColumns("items", { extra: "text" });
  pgm.createIndex("items", "value", { name: "items_value_idx" });
};
exports.down = false;
