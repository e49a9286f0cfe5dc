const { Migration } = require("@mikro-orm/migrations");
module.exports.Migration20240102000000 = class extends Migration {
  async up() {
    this.addSql("alter table \"items\" add column \"extra\" text null;");
    this.addSql("create index \"items_value_idx\" on \"items\" (\"value\");");
  }
};
