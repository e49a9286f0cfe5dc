const { DataSource } = require("typeorm");
module.exports = new DataSource({
  type: "postgres",
  url: process.env.DATABASE_URL,
  migrations: [__dirname + "/migrations/*.js"],
  entities: [],
  // "all", the default, has one transaction for all of them, and refuses migrations without one.
  migrationsTransactionMode: "each",
});
