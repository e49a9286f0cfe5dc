const { defineConfig, EntitySchema } = require("@mikro-orm/postgresql");
const { Migrator } = require("@mikro-orm/migrations");
const Item = new EntitySchema({
  name: "Item",
  tableName: "items",
  properties: { id: { type: "uuid", primary: true }, value: { type: "text", nullable: true } },
});
module.exports = defineConfig({
  clientUrl: process.env.DATABASE_URL,
  entities: [Item],
  extensions: [Migrator],
  migrations: { path: "./migrations", allOrNothing: false, snapshot: false },
});
