-- CreateExtension
CREATE EXTENSION IF NOT EXISTS electric;

-- CreateTable
CREATE TABLE "items" (
    "id" UUID NOT NULL,
    "value" TEXT,

    CONSTRAINT "items_pkey" PRIMARY KEY ("id")
);

SELECT electric.enable('items');
