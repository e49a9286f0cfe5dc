module.exports = {
  async up(queryInterface, Sequelize) {
    await queryInterface.createTable("items", {
      id: { type: Sequelize.UUID, primaryKey: true },
      value: Sequelize.TEXT,
    });
    await queryInterface.sequelize.query("SELECT electric.enable('items')");
  },
  async down() {},
};
