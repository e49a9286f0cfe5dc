-- Runs before PostgreSQL's own tests, in every run: the tables are there without the extension too, so that nothing
-- differs but what the extension does. Whether they are electrified says a setting. None is partitioned: the test
-- type_sanity shows the OIDs of such tables.
CREATE SCHEMA shop;
CREATE TYPE shop.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN shop.price AS numeric(10, 2) CHECK (VALUE >= 0);
CREATE TABLE shop.customers (id int PRIMARY KEY, name text NOT NULL, feels shop.mood);
CREATE TABLE shop.items (
    id int PRIMARY KEY,
    customer int REFERENCES shop.customers,
    cost shop.price DEFAULT 1,
    note text COLLATE "C"
);
CREATE INDEX items_note ON shop.items (lower(note));
INSERT INTO shop.customers VALUES (1, 'one', 'glad');
INSERT INTO shop.items VALUES (1, 1, 2.5, 'x');
ALTER TABLE shop.customers REPLICA IDENTITY FULL;
ALTER TABLE shop.items REPLICA IDENTITY FULL;
SET client_min_messages = error;
SELECT current_setting('core_regress.electrified') AS electrified \gset
\if :electrified
SELECT FROM (SELECT electric.enable('shop.customers', 'shop.items')) AS enabled \g /dev/null
-- Tests list all publications and what is in them.
SET electric.policy = unrestricted;
DROP PUBLICATION electric_publication;
RESET electric.policy;
\endif
RESET client_min_messages;
