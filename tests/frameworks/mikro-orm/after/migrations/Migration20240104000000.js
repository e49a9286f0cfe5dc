const { Migration } = require("@mikro-orm/migrations");
module.exports.Migration20240104000000 = class extends Migration {
  async up() { this.addSql("alter table \"items\" add column \"later\" int default 7;"); }
};
