--liquibase formatted sql

--changeset me:1
CREATE TABLE items (id uuid PRIMARY KEY, value text);
SELECT electric.enable('items');

--changeset me:2
ALTER TABLE items ADD COLUMN extra text;
CREATE INDEX items_value_idx ON items (value);

--changeset me:3 runInTransaction:false
CREATE INDEX CONCURRENTLY items_extra_idx ON items (extra);

--changeset me:4
ALTER TABLE items ADD COLUMN later int DEFAULT 7;
