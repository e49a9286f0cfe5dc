const { sql } = require("kysely");
exports.up = async (db) => {
  await db.schema.createTable("items")
    .addColumn("id", "uuid", (column) => column.primaryKey())
    .addColumn("value", "text")
    .execute();
  await sql`SELECT electric.enable('items')`.execute(db);
};
