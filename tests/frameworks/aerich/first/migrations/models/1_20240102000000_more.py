from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "items" ADD "extra" TEXT;
CREATE INDEX "items_value_idx" ON "items" ("value");"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return ""
