-- AlterTable
ALTER TABLE "items" ADD COLUMN "extra" TEXT;

-- CreateIndex
CREATE INDEX "items_value_idx" ON "items"("value");
