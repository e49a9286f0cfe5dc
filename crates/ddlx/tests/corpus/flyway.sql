/*
 * V2__electric.sql
 * Uses ${placeholders}; see "ELECTRIC ENABLE" in the manual.
 */
DO $do$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['items', 'orders'] LOOP
    EXECUTE format('ALTER TABLE %I SET (electric.enabled)', t); -- not ALTER TABLE … ENABLE ELECTRIC;
  END LOOP;
END
$do$;
ELECTRIC GRANT READ ON items, orders TO 'shop:buyer' USING shop_id;
CREATE OR REPLACE VIEW electric_items AS SELECT CASE WHEN "value" ~ E'^\\d+;$' THEN 1 END AS "case", id FROM items;
CREATE TRIGGER t BEFORE UPDATE OF "value" ON items FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION touch();
