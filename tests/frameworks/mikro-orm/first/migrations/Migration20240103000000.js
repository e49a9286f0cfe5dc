const { Migration } = require("@mikro-orm/migrations");
module.exports.Migration20240103000000 = class extends Migration {
  isTransactional() { return false; }
  async up() { this.addSql("create index concurrently items_extra_idx on items (extra);"); }
};
