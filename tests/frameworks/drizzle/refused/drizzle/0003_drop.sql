ALTER TABLE "items" DROP COLUMN "value";
