"""Follows the publication of Electric for Postgres into a SQLite file: python3 follow.py FILE [CONNECTION STRING]

Needs psycopg2 and SQLite 3.37 or newer. A table's first copy is held in memory; a real client would go in portions.
"""
import hashlib, itertools, json, re, sqlite3, struct, sys, time
import psycopg2, psycopg2.extras

PUBLICATION, SLOT = "electric_publication", "follow_py"
COPIES = itertools.count(1)
# Text forms must not depend on the server's or the role's settings.
SESSION = ("-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=postgres "
           "-c bytea_output=hex -c extra_float_digits=1 -c lc_monetary=C")
# Every type that the driver knows, not converted.
AS_SENT = psycopg2.extensions.new_type(tuple(psycopg2.extensions.string_types), "AS_SENT", lambda text, _: text)
quote = lambda name: '"' + name.replace('"', '""') + '"'


# ---- values: the text form of Postgres -> what SQLite stores

def base(type):
    while type["kind"] == "domain" and type["array_dims"] == 0:
        type = type["of"]
    return type

def value(column, text):
    if text is None:
        return None
    type, storage = base(column["type"]), column["sqlite_type"]
    if storage == "INTEGER":
        return int(text == "t") if type["name"] == "bool" else int(text)
    if storage == "REAL":
        return None if text == "NaN" else float(text)
    if storage == "BLOB":
        return bytes.fromhex(text[2:])
    return array(type, text) if type["array_dims"] else text

ITEM = r'(?:"((?:[^"\\]|\\.)*)"|((?:\\.|[^{}"\\%s])+))'

def array(type, text):
    """{1,2} -> [1,2]"""
    element = base({**type, "array_dims": 0})
    comma = ";" if element["name"] == "box" else ","
    if text.startswith("["):  # lower bounds
        text = text.split("=", 1)[1]
    def item(match):
        if match[0] in "{}" + comma:
            return {"{": "[", "}": "]"}.get(match[0], ",")
        if match[2] is not None and match[2].upper() == "NULL":
            return "null"
        plain = re.sub(r"\\(.)", r"\1", match[1] if match[1] is not None else match[2], flags=re.S)
        name = element["name"] if element["kind"] == "base" else None
        if element["array_dims"]:
            return array(element, plain)
        if name == "bool":
            return "true" if plain == "t" else "false"
        number = name in ("int2", "int4", "int8", "oid", "float4", "float8", "numeric")
        if name in ("json", "jsonb") or number and not re.search("[a-zA-Z]{3}", plain):
            return plain
        return json.dumps(plain, ensure_ascii=False)
    return re.sub(r"[{}%s]|" % comma + ITEM % comma, item, text, flags=re.S)


# ---- pgoutput, protocol version 1

class Reader:
    def __init__(self, data): self.data, self.at = data, 0
    def number(self, format):
        (n,) = struct.unpack_from(">" + format, self.data, self.at)
        self.at += struct.calcsize(format)
        return n
    def string(self):
        end = self.data.index(0, self.at)
        text, self.at = self.data[self.at:end].decode(), end + 1
        return text
    def row(self):
        """A list of texts; None is NULL, and ... a large value that did not change and is not sent."""
        row = []
        for _ in range(self.number("H")):
            kind = self.number("c")
            if kind == b"t":
                length = self.number("I")
                row.append(self.data[self.at:self.at + length].decode())
                self.at += length
            else:
                row.append(None if kind == b"n" else ...)
        return row

def decode(data, relations):
    """The letter of a message, with ("schema.name", columns, old row, new row) for rows."""
    r = Reader(data)
    letter = r.number("c").decode()
    if letter == "R":
        id, schema, name, _ = r.number("I"), r.string(), r.string(), r.number("c")
        columns = []
        for _ in range(r.number("H")):
            r.number("B")
            columns.append(r.string())
            r.number("I"), r.number("i")
        relations[id] = ((schema, name), columns)
    elif letter == "T":
        count, _ = r.number("I"), r.number("B")
        return letter, [relations[r.number("I")] for _ in range(count)]
    elif letter in "IUD":
        relation, old, new = relations[r.number("I")], None, None
        while r.at < len(data):
            if r.number("c") == b"N": new = r.row()
            else: old = r.row()
        return letter, [(*relation, old, new)]
    return letter, []


# ---- the replica

class Replica:
    def __init__(self, file, dsn):
        self.dsn, self.relations, self.shapes = dsn, {}, {}
        self.previous = ""
        self.sqlite = sqlite3.connect(file, isolation_level=None)
        self.server = psycopg2.connect(dsn, options=SESSION)
        self.server.autocommit = True
        self.cursor = self.server.cursor()

    def snapshot(self, slot, temporary):
        """Makes a slot: a session that sees all that was committed before it, and where it begins."""
        maker = psycopg2.connect(self.dsn, connection_factory=psycopg2.extras.LogicalReplicationConnection)
        cursor = maker.cursor()
        cursor.execute(f"CREATE_REPLICATION_SLOT {slot} {'TEMPORARY' if temporary else ''} LOGICAL pgoutput (SNAPSHOT 'export')")
        _, point, name, _ = cursor.fetchone()
        reader = psycopg2.connect(self.dsn, options=SESSION)
        reader.set_session(isolation_level="REPEATABLE READ", readonly=True)
        sql = reader.cursor()
        sql.execute("SET TRANSACTION SNAPSHOT %s", (name,))
        maker.close()
        return sql, point

    def first_contact(self):
        sql, _ = self.snapshot(SLOT, temporary=False)
        sql.execute("SELECT id, command, relation, sqlite, op, hash FROM electric.ddl_commands ORDER BY id")
        with self.transaction(checked=False):
            for row in sql.fetchall():
                self.command(*row)
            for table in self.shapes.values():
                self.copy(sql, table)
        sql.connection.close()

    def transaction(replica, checked):
        class Block:
            def __enter__(self):
                replica.sqlite.execute(f"PRAGMA foreign_keys = {'ON' if checked else 'OFF'}")
                replica.sqlite.execute("BEGIN")
            def __exit__(self, error, *_):
                replica.sqlite.execute("ROLLBACK" if error else "COMMIT")
        return Block()

    def command(self, id, command, relation, statements, op, hash):
        text = json.dumps(op, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.previous = hashlib.sha256((self.previous + text).encode()).hexdigest()
        assert self.previous == hash, f"command {id} breaks the chain"
        print(f"{id:4} {command} {relation}")
        for statement in statements:
            print("    ", statement)
            self.sqlite.execute(statement)
        if "table" in op:
            key = (op["table"]["schema"], op["table"]["name"])
            if command == "replace_table": self.shapes.pop((op["from"]["schema"], op["from"]["name"]))
            if command == "disable_table": self.shapes.pop(key)
            else: self.shapes[key] = op["table"]

    def copy(self, sql, table):
        # A cast to text would give other forms (true, 10.0.0.1/32): take what the server prints, as the stream does.
        psycopg2.extensions.register_type(AS_SENT, sql)
        columns = ", ".join(quote(c["name"]) for c in table["columns"])
        name = f"{quote(table['schema'])}.{quote(table['name'])}"
        sql.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", (name,))
        only = "" if sql.fetchone()[0] == "t" else "ONLY"  # tables that inherit are tables of their own
        sql.execute(f"SELECT {columns} FROM {only} {name}")
        for texts in sql.fetchall():
            self.insert(table, texts)

    def insert(self, table, texts):
        names = ", ".join(quote(c["name"]) for c in table["columns"])
        marks = ", ".join("?" * len(texts))
        values = [value(c, t) for c, t in zip(table["columns"], texts)]
        self.sqlite.execute(f"INSERT INTO {quote(table['sqlite_name'])} ({names}) VALUES ({marks})", values)

    def row(self, letter, table, old, new):
        name, columns, key = quote(table["sqlite_name"]), table["columns"], table["primary_key"]
        where = " AND ".join(f"{quote(k)} IS ?" for k in key)
        keys = lambda row: [value(c, t) for k in key for c, t in zip(columns, row) if c["name"] == k]
        if letter == "I":
            self.insert(table, new)
        elif letter == "D":  # none there: ON DELETE CASCADE took it already
            self.sqlite.execute(f"DELETE FROM {name} WHERE {where}", keys(old))
        elif letter == "T":
            self.sqlite.execute(f"DELETE FROM {name}")
        else:
            sent = [(c, t) for c, t in zip(columns, new) if t is not ...]
            sets = ", ".join(f"{quote(c['name'])} = ?" for c, _ in sent)
            values = [value(c, t) for c, t in sent]
            sql = f"UPDATE {name} SET {sets} WHERE {where}"
            if self.sqlite.execute(sql, values + keys(old or new)).rowcount == 0:
                self.sqlite.execute(sql, values + keys(new))  # ON UPDATE CASCADE moved it already

    def apply(self, changes, skip, whole):
        """One transaction of Postgres in one of SQLite; the tables that it made, or made anew."""
        created = set()
        ddl = any(name == ("electric", "ddl_commands") for _, (name, *_) in changes)
        truncates = any(letter == "T" for letter, _ in changes)
        with self.transaction(checked=whole and not ddl and not truncates):
            for letter, (name, columns, *rows) in changes:
                if name == ("electric", "ddl_commands"):
                    record = dict(zip(columns, rows[1]))
                    op = json.loads(record["op"])
                    text_array = {"kind": "base", "name": "text", "array_dims": 1}
                    self.command(int(record["id"]), record["command"], record["relation"],
                                 json.loads(array(text_array, record["sqlite"])), op, record["hash"])
                    if record["command"] in ("create_table", "replace_table"):
                        created.add((op["table"]["schema"], op["table"]["name"]))
                elif name[0] != "electric" and name not in skip | created:
                    self.row(letter, self.shapes[name], *(rows or (None, None)))
            if whole and not created and (ddl or truncates):
                broken = self.sqlite.execute("PRAGMA foreign_key_check").fetchall()
                assert not broken, broken
        return created

    def pull(self, upto=None, skip=frozenset()):
        """Applies what was committed (before `upto`), but no rows of the tables in `skip`. Stops after a transaction
        that made tables, and gives those."""
        self.cursor.execute("SELECT lsn, data FROM pg_logical_slot_peek_binary_changes(%s, %s, NULL, "
                            "'proto_version', '1', 'publication_names', %s)", (SLOT, upto, PUBLICATION))
        changes = []
        for lsn, data in self.cursor.fetchall():
            letter, found = decode(bytes(data), self.relations)
            changes += [(letter, change) for change in found]
            if letter != "C":
                continue
            created = self.apply(changes, skip, whole=not skip)
            self.cursor.execute("SELECT pg_replication_slot_advance(%s, %s)", (SLOT, lsn))
            changes = []
            if created:
                return created
        return set()

    def follow(self):
        """Applies all that was committed. Tables that are made get their rows from a snapshot, once the stream has come
        to it; if more are made on the way, from a later one."""
        created = self.pull()
        while created:
            sql, point = self.snapshot(f"{SLOT}_{next(COPIES)}", temporary=True)
            more = self.pull(point, created)
            if not more:
                with self.transaction(checked=False):
                    for name in created & self.shapes.keys():
                        self.copy(sql, self.shapes[name])
            sql.connection.close()
            created = created | more if more else self.pull()


if __name__ == "__main__":
    replica = Replica(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
    replica.first_contact()
    while True:
        replica.follow()
        time.sleep(0.5)
