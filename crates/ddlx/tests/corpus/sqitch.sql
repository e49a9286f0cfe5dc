-- Deploy shop:electric to pg
-- requires: items

BEGIN;

CREATE SCHEMA shop
  CREATE TABLE items (id uuid PRIMARY KEY, n int CHECK (n <@ int4range(1, 10)))
  CREATE VIEW electric AS SELECT * FROM items;
electric enable shop.items, shop."Order Lines";
ELECTRIC ASSIGN shop.members.role TO shop.members.user_id
  IF ( NOT ROW.suspended );
ELECTRIC UNASSIGN 'shop.items:owner' FROM shop.items.owner_id;
ELECTRIC SQLITE $sqlite$
  CREATE TRIGGER t AFTER INSERT ON items BEGIN SELECT 1; END;
$sqlite$;

COMMIT;
