exports.up = (knex) => knex.schema.alterTable("items", (table) => { table.dropColumn("value"); });
exports.down = async () => {};
