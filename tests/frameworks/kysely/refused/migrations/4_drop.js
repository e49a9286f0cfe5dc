exports.up = async (db) => {
  await db.schema.alterTable("items").dropColumn("value").execute();
};
