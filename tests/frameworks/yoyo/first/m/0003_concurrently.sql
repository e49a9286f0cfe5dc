-- transactional: false
-- depends: 0002_more
CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra);
