exports.up = async (knex) => {
  await knex.schema.createTable("items", (table) => {
    table.uuid("id").primary();
    table.text("value");
  });
  await knex.raw("SELECT electric.enable('items')");
};
exports.down = async () => {};
