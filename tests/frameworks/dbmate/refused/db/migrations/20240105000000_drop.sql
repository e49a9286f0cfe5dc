-- migrate:up
ALTER TABLE items DROP COLUMN value;

-- migrate:down
