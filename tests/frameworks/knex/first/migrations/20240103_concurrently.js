exports.config = { transaction: false };
exports.up = (knex) => knex.raw("CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra)");
exports.down = async () => {};
