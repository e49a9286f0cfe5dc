exports.up = (pgm) => {
  pgm.noTransaction();
  pgm.createIndex("items", "extra", { name: "items_extra_idx", concurrently: true });
};
exports.down = false;
