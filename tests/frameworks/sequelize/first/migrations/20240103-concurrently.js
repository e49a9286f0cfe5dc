module.exports = {
  async up(queryInterface) {
    await queryInterface.addIndex("items", { fields: ["extra"], name: "items_extra_idx", concurrently: true });
  },
  async down() {},
};
