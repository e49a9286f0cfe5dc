const { Migration } = require("@mikro-orm/migrations");
module.exports.Migration20240105000000 = class extends Migration {
  async up() { this.addSql("alter table \"items\" drop column \"value\";"); }
};
