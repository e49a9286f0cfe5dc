-- migrate:up
ALTER TABLE items ADD COLUMN later int DEFAULT 7;

-- migrate:down
