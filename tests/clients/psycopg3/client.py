import os

import psycopg

connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=0)
notices = []
connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))


def one(sql, *parameters):
    return connection.execute(sql, parameters or None).fetchone()


connection.execute("CREATE TABLE items (id int PRIMARY KEY, value text)")
print("tag:", connection.execute("ALTER TABLE items ENABLE ELECTRIC").statusmessage)
connection.execute("ALTER TABLE items ENABLE ELECTRIC")
print("notice:", notices[-1])
for _ in range(3):
    prepared = one("SELECT %s::int, %s::text", 42, "ünïcödé")
print("prepared:", *prepared)
connection.execute(
    "INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;"
    "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')",
    prepare=False,
)
print("together:", *one("SELECT count(*) FROM items"), "rows")
for force_rollback, words in (True, "rolled back:"), (False, "committed:"):
    with connection.transaction(force_rollback=force_rollback):
        with connection.pipeline():
            connection.execute("ELECTRIC GRANT SELECT ON items TO ANYONE")
            connection.execute("SELECT 1")
    print(words, *one("SELECT count(*) FROM electric.grants"), "grants")
try:
    connection.execute("ALTER TABLE items DROP COLUMN value")
except psycopg.Error as error:
    print("refused:", error.sqlstate, error.diag.message_primary)
try:
    connection.execute("ELECTRIC GRANT JUNK ON items TO ANYONE")
except psycopg.Error as error:
    print("syntax:", error.sqlstate, "at", error.diag.statement_position)
with connection.cursor() as cursor:
    with cursor.copy("COPY items FROM STDIN") as copy:
        for n in range(1001, 2001):
            copy.write_row((n, "copied"))
    with cursor.copy("COPY (SELECT * FROM items WHERE id > 1000) TO STDOUT") as copy:
        print("copied: 1000 in,", sum(1 for _ in copy.rows()), "out")
print("large:", len(one("SELECT %s::text", "x" * 1_000_000)[0]), "bytes")
