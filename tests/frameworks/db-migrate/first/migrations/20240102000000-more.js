exports.setup = () => {};
exports.up = async (db) => {
  await db.addColumn("items", "extra", { type: "text" });
  await db.addIndex("items", "items_value_idx", ["value"]);
};
exports.down = async () => {};
exports._meta = { version: 1 };
