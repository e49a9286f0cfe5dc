const path = require("path");
const { Umzug, SequelizeStorage } = require("umzug");
const { Sequelize } = require("sequelize");
const sequelize = new Sequelize(process.env.DATABASE_URL, { dialect: "postgres", logging: false });
const context = sequelize.getQueryInterface();
const resolve = ({ name, path: file }) => ({
  name,
  up: () => require(path.resolve(file)).up(context, Sequelize),
});
const umzug = new Umzug({
  migrations: { glob: "migrations/*.js", resolve },
  context,
  storage: new SequelizeStorage({ sequelize }),
  logger: undefined,
});
umzug.up().finally(() => sequelize.close());
