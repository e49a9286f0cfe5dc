exports.up = (knex) => knex.schema.alterTable("items", (table) => { table.integer("later").defaultTo(7); });
exports.down = async () => {};
