CREATE TABLE "items" (
	"id" uuid PRIMARY KEY NOT NULL,
	"value" text
);
--> statement-breakpoint
SELECT electric.enable('items');
