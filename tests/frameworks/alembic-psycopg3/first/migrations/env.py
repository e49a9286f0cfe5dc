import asyncio, os

from alembic import context
from sqlalchemy import create_engine, pool

url = os.environ["ALEMBIC_URL"]


def migrate(connection):
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


if "+asyncpg" in url:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def main():
        engine = create_async_engine(url, poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
        await engine.dispose()

    asyncio.run(main())
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        migrate(connection)
