module.exports = {
  async up(queryInterface, Sequelize) {
    // A transaction of the author's: one migration for all that is in it.
    await queryInterface.sequelize.transaction(async (transaction) => {
      const later = { type: Sequelize.INTEGER, defaultValue: 7 };
      await queryInterface.addColumn("items", "later", later, { transaction });
      await queryInterface.addColumn("items", "last", later, { transaction });
    });
  },
  async down() {},
};
