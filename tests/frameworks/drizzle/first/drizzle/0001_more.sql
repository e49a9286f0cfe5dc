ALTER TABLE "items" ADD COLUMN "extra" text;--> statement-breakpoint
CREATE INDEX "items_value_idx" ON "items" USING btree ("value");
