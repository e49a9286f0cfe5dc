const { Migration } = require("@mikro-orm/migrations");
module.exports.Migration20240101000000 = class extends Migration {
  async up() {
    this.addSql("create table \"items\" (\"id\" uuid not null, \"value\" text null, constraint \"items_pkey\" primary key (\"id\"));");
    this.addSql("select electric.enable('items');");
  }
};
