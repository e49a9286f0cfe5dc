-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra);

-- migrate:down
