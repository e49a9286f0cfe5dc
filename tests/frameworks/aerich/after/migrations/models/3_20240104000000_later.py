from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "items" ADD "later" INT DEFAULT 7;"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return ""
