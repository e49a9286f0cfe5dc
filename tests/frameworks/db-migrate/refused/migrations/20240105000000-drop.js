exports.setup = () => {};
exports.up = async (db) => {
  await db.removeColumn("items", "value");
};
exports.down = async () => {};
exports._meta = { version: 1 };
