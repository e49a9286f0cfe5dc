exports.up = async (knex) => {
  await knex.schema.alterTable("items", (table) => {
    table.text("extra");
    table.index(["value"], "items_value_idx");
  });
};
exports.down = async () => {};
