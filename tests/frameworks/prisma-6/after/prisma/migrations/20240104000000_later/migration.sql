-- AlterTable
ALTER TABLE "items" ADD COLUMN "later" INTEGER DEFAULT 7;
