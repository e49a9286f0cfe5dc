module.exports = {
  async up(queryInterface) { await queryInterface.removeColumn("items", "value"); },
  async down() {},
};
