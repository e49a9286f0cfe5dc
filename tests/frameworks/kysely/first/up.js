const fs = require("fs/promises");
const path = require("path");
const { Kysely, PostgresDialect, Migrator, FileMigrationProvider } = require("kysely");
const { Pool } = require("pg");
const db = new Kysely({
  dialect: new PostgresDialect({ pool: new Pool({ connectionString: process.env.DATABASE_URL }) }),
});
const provider = new FileMigrationProvider({ fs, path, migrationFolder: path.resolve("migrations") });
new Migrator({ db, provider }).migrateToLatest().then(({ error }) => {
  if (error) {
    console.error(error);
    process.exitCode = 1;
  }
  return db.destroy();
});
