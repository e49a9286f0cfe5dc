module.exports.Drop1700000000005 = class {
  name = "Drop1700000000005";
  async up(runner) { await runner.dropColumn("items", "value"); }
  async down() {}
};
