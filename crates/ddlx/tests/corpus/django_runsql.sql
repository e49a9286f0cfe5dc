CREATE TABLE "shop_item" ("id" uuid NOT NULL PRIMARY KEY, "name" varchar(100) NOT NULL);
CREATE INDEX "shop_item_name_like" ON "shop_item" ("name" varchar_pattern_ops);
-- noqa: electric
ALTER TABLE "shop_item" ENABLE ELECTRIC;
COMMENT ON COLUMN "shop_item"."name" IS 'It''s electric; really';
INSERT INTO "django_migrations" ("app", "name", "applied") VALUES ('shop', '0002_electric', '2024-01-01T00:00:00+00:00'::timestamptz)
