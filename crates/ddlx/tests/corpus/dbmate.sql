-- migrate:up
CREATE TABLE "items" ("id" uuid NOT NULL PRIMARY KEY, "value" text DEFAULT 'ELECTRIC ENABLE items;');
ALTER TABLE items ENABLE ELECTRIC;
CREATE INDEX items_value ON items (value) /* ELECTRIC DISABLE items; */
