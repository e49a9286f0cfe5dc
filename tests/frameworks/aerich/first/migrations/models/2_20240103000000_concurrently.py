from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = False


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE INDEX CONCURRENTLY "items_extra_idx" ON "items" ("extra")"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return ""
