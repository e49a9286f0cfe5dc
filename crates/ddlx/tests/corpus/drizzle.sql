CREATE TYPE "public"."state" AS ENUM('on', 'off; electric');--> statement-breakpoint
CREATE TABLE "items" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"state" "state" DEFAULT 'on'
);
--> statement-breakpoint
ALTER TABLE "items" ENABLE ELECTRIC;--> statement-breakpoint
ALTER TABLE "items" ADD CONSTRAINT "items_fk" FOREIGN KEY ("id") REFERENCES "public"."electric"("id") ON DELETE no action;
