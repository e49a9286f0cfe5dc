exports.up = async (db) => {
  await db.schema.alterTable("items").addColumn("extra", "text").execute();
  await db.schema.createIndex("items_value_idx").on("items").column("value").execute();
};
