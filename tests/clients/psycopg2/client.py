import io
import os

import psycopg2

connection = psycopg2.connect(os.environ["DATABASE_URL"])
connection.autocommit = True
cursor = connection.cursor()


def one(sql, *parameters):
    cursor.execute(sql, parameters or None)
    return cursor.fetchone()


cursor.execute("CREATE TABLE items (id int PRIMARY KEY, value text)")
cursor.execute("ALTER TABLE items ENABLE ELECTRIC")
print("tag:", cursor.statusmessage)
cursor.execute("ALTER TABLE items ENABLE ELECTRIC")
print("notice:", connection.notices[-1].strip().removeprefix("NOTICE:  "))
print("prepared:", *one("SELECT %s, %s", 42, "ünïcödé"))
cursor.execute(
    "INSERT INTO items VALUES (1, 'one'); ALTER TABLE items ENABLE ELECTRIC;"
    "INSERT INTO items VALUES (2, 'ELECTRIC ENABLE items')"
)
print("together:", *one("SELECT count(*) FROM items"), "rows")
connection.autocommit = False
for end, words in (connection.rollback, "rolled back:"), (connection.commit, "committed:"):
    cursor.execute("ELECTRIC GRANT SELECT ON items TO ANYONE")
    end()
    print(words, *one("SELECT count(*) FROM electric.grants"), "grants")
connection.commit()
connection.autocommit = True
try:
    cursor.execute("ALTER TABLE items DROP COLUMN value")
except psycopg2.Error as error:
    print("refused:", error.pgcode, error.diag.message_primary)
try:
    cursor.execute("ELECTRIC GRANT JUNK ON items TO ANYONE")
except psycopg2.Error as error:
    print("syntax:", error.pgcode, "at", error.diag.statement_position)
rows = "".join(f"{n}\tcopied\n" for n in range(1001, 2001))
cursor.copy_expert("COPY items FROM STDIN", io.StringIO(rows))
out = io.StringIO()
cursor.copy_expert("COPY (SELECT * FROM items WHERE id > 1000) TO STDOUT", out)
print("copied: 1000 in,", out.getvalue().count("\n"), "out")
print("large:", len(one("SELECT %s", "x" * 1_000_000)[0]), "bytes")
