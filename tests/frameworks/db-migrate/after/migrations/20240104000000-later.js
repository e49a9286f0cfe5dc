exports.setup = () => {};
exports.up = async (db) => {
  await db.addColumn("items", "later", { type: "int", defaultValue: 7 });
};
exports.down = async () => {};
exports._meta = { version: 1 };
