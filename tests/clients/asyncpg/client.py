import asyncio
import io
import os

import asyncpg


async def main():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    notices = []
    connection.add_log_listener(lambda _, notice: notices.append(notice.message))
    await connection.execute("CREATE TABLE items (id int PRIMARY KEY, value text)")
    print("tag:", await connection.execute("ALTER TABLE items ENABLE ELECTRIC"))
    statement = await connection.prepare("ALTER TABLE items ENABLE ELECTRIC")
    await statement.fetch()
    await asyncio.sleep(0)
    print("notice:", notices[-1])
    print("prepared:", *await connection.fetchrow("SELECT $1::int, $2::text", 42, "ünïcödé"))
    await connection.execute(
        "INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;"
        "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')"
    )
    print("together:", await connection.fetchval("SELECT count(*) FROM items"), "rows")
    for end, words in ("rollback", "rolled back:"), ("commit", "committed:"):
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch("ELECTRIC GRANT SELECT ON items TO ANYONE")
        await getattr(transaction, end)()
        print(words, await connection.fetchval("SELECT count(*) FROM electric.grants"), "grants")
    try:
        await connection.fetch("ALTER TABLE items DROP COLUMN value")
    except asyncpg.PostgresError as error:
        print("refused:", error.sqlstate, error.message)
    try:
        await connection.fetch("ELECTRIC GRANT JUNK ON items TO ANYONE")
    except asyncpg.PostgresError as error:
        print("syntax:", error.sqlstate, "at", error.position)
    records = [(n, "copied") for n in range(1001, 2001)]
    await connection.copy_records_to_table("items", records=records)
    out = io.BytesIO()
    await connection.copy_from_query("SELECT * FROM items WHERE id > 1000", output=out)
    print("copied: 1000 in,", out.getvalue().count(b"\n"), "out")
    print("large:", len(await connection.fetchval("SELECT $1::text", "x" * 1_000_000)), "bytes")
    await connection.close()


asyncio.run(main())
