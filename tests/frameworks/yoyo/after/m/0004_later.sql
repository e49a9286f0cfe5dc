-- depends: 0003_concurrently
ALTER TABLE items ADD COLUMN later integer DEFAULT 7;
