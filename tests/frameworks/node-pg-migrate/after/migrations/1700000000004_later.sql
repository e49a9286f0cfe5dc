-- Up Migration
ALTER TABLE items ADD COLUMN later int DEFAULT 7;
SELECT 1;
-- Down Migration
