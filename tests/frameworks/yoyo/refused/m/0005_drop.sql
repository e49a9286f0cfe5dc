-- depends: 0004_later
ALTER TABLE items DROP COLUMN value;
