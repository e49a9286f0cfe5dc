exports.setup = () => {};
exports.up = async (db) => {
  await db.createTable("items", { id: { type: "uuid", primaryKey: true }, value: "text" });
  await db.runSql("SELECT electric.enable('items')");
};
exports.down = async () => {};
exports._meta = { version: 1 };
