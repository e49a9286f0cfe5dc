module.exports = {
  async up(queryInterface, Sequelize) {
    await queryInterface.addColumn("items", "extra", Sequelize.TEXT);
    await queryInterface.addIndex("items", ["value"], { name: "items_value_idx" });
  },
  async down() {},
};
