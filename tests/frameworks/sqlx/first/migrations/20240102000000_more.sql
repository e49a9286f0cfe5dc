ALTER TABLE items ADD COLUMN extra text;
CREATE INDEX items_value_idx ON items (value);
