ALTER TABLE "items" ADD COLUMN "later" integer DEFAULT 7;
