exports.up = async (db) => {
  await db.schema.alterTable("items").addColumn("later", "integer", (column) => column.defaultTo(7)).execute();
};
