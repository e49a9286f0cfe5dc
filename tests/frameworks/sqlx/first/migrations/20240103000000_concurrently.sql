-- no-transaction
CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra);
