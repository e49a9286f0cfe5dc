module.exports.Concurrently1700000000003 = class {
  name = "Concurrently1700000000003";
  transaction = false;
  async up(runner) { await runner.query("CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra)"); }
  async down() {}
};
