exports.up = (pgm) => { pgm.dropColumns("items", "value"); };
exports.down = false;
