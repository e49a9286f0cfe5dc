//! S5: the statements of the records: the same under any settings, and what they make elsewhere.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, commands, run, text, words};

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

#[test]
fn canonical_statements_are_qualified_and_independent_of_settings() {
    let plain = items();
    let odd = items();
    let sql = "CREATE TYPE public.mood AS ENUM ('x'); ALTER TABLE public.items ADD COLUMN a public.mood DEFAULT 'x', \
               ADD COLUMN b timestamptz DEFAULT '2024-02-03 04:05:06+00', ADD COLUMN c interval DEFAULT '1 day 02:03', \
               ADD COLUMN d float8 DEFAULT 0.1, ADD COLUMN e bytea DEFAULT '\\x00ff'; \
               CREATE INDEX i ON public.items (lower(value), b DESC)";
    run(&mut plain.client(), sql);
    run(
        &mut odd.client(),
        &format!(
            "SET search_path = public, pg_catalog; SET DateStyle = 'SQL, DMY'; SET TimeZone = '<+05>-05'; \
                  SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -3; SET bytea_output = 'escape'; \
                  SET quote_all_identifiers = on; {sql}"
        ),
    );
    let (plain, odd) = (plain.commands(), odd.commands());
    for (plain, odd) in plain.iter().zip(&odd) {
        assert_eq!(
            (&plain.postgres, &plain.sqlite, &plain.op),
            (&odd.postgres, &odd.sqlite, &odd.op)
        );
    }
    assert_eq!(plain.len(), odd.len());
    assert_eq!(
        plain.last().map(|c| c.hash.clone()),
        odd.last().map(|c| c.hash.clone())
    );
}

#[test]
fn what_is_plain_reads_the_same_under_any_settings() {
    let database = items();
    let mut odd = database.client();
    run(
        &mut odd,
        "SET quote_all_identifiers = on; SET search_path = public, pg_catalog; ALTER TABLE items ADD COLUMN a int; \
         CREATE INDEX i ON items (a DESC, value)",
    );
    let commands = database.commands();
    assert_eq!(
        words(&commands[1..]),
        [
            ("add_column", "public.items"),
            ("create_index", "public.items")
        ]
    );
    assert_eq!(
        commands[2].op["index"]["definition"],
        "CREATE INDEX i ON public.items USING btree (a DESC, value)"
    );
    // Nothing is seen by a session that quotes as ever.
    run(&mut database.client(), "ALTER TABLE items ADD COLUMN b int");
    assert_eq!(database.commands().len(), 4);
}

#[test]
fn an_index_is_recorded_as_the_server_prints_it() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        r#"ALTER TABLE items ADD COLUMN "order" int, ADD COLUMN "Odd ""Name" text COLLATE "C", ADD COLUMN v varchar(9),
           ADD COLUMN j jsonb, ADD COLUMN n numeric(5, 2), ADD COLUMN l text[];
           CREATE DOMAIN whole AS int; ALTER TABLE items ADD COLUMN w whole"#,
    );
    let forms = [
        "(value)",
        "(value, \"order\" DESC)",
        "(\"order\" NULLS FIRST, v DESC NULLS LAST)",
        "(\"Odd \"\"Name\")",
        "(\"Odd \"\"Name\" COLLATE \"POSIX\")",
        "(value COLLATE \"C\")",
        "(value text_pattern_ops)",
        "(v varchar_pattern_ops, n)",
        "(w, l)",
        "(value) INCLUDE (\"order\", j)",
        "(n) WITH (fillfactor = 70, deduplicate_items = off)",
        "USING hash (v)",
        "USING gin (j jsonb_path_ops)",
        "USING brin (\"order\")",
        "(lower(value), (\"order\" + 1))",
        "(value) WHERE \"order\" > 0",
    ];
    for (n, form) in forms.iter().enumerate() {
        let on = match form.starts_with("USING") {
            true => (*form).to_owned(),
            false => format!("USING btree {form}"),
        };
        run(
            &mut client,
            &format!("CREATE INDEX \"Index {n}\" ON items {on}"),
        );
    }
    run(
        &mut client,
        "CREATE UNIQUE INDEX one ON items (v) NULLS NOT DISTINCT",
    );
    let printed = "SELECT string_agg(pg_get_indexdef(i.indexrelid), E'\n' ORDER BY c.id) \
        FROM electric.ddl_commands c JOIN pg_class r ON r.relname = c.op->'index'->>'name' JOIN pg_index i ON i.indexrelid = r.oid";
    let recorded = "SELECT string_agg(op->'index'->>'definition', E'\n' ORDER BY id) FROM electric.ddl_commands \
        WHERE command = 'create_index'";
    let (printed, recorded) = (text(&mut client, printed), text(&mut client, recorded));
    assert_eq!(recorded, printed);
    assert_eq!(recorded.lines().count(), forms.len() + 1);
}

#[test]
fn the_postgres_statements_build_the_same_table_elsewhere() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a', 'c'); CREATE TABLE s.t (id serial PRIMARY KEY, m s.mood \
         DEFAULT 'a', item int REFERENCES items ON DELETE CASCADE, amount numeric(10,2) CHECK (amount > 0), \
         email text UNIQUE); CREATE INDEX by_m ON s.t (m DESC); SELECT electric.enable('s.t'); \
         ALTER TYPE s.mood ADD VALUE 'b' BEFORE 'c'",
    );
    run(
        &mut database.client(),
        "ALTER TABLE s.t ADD COLUMN flag boolean NOT NULL DEFAULT true; ALTER TABLE s.t ALTER m SET DEFAULT 'b'; \
         DROP INDEX s.by_m",
    );
    let copy = Cluster::shared().empty_database();
    for statement in database.commands().iter().flat_map(|c| &c.postgres) {
        run(&mut copy.client(), statement);
    }
    let columns = "SELECT string_agg(concat_ws(' ', c.table_schema, c.table_name, c.column_name, c.data_type, c.udt_name, \
                   c.is_nullable, c.column_default, c.numeric_precision), E'\\n' ORDER BY c.table_name, c.ordinal_position) \
                   FROM information_schema.columns c WHERE table_schema IN ('s', 'public')";
    let constraints = "SELECT string_agg(conrelid::regclass || conname || pg_get_constraintdef(oid), E'\\n' ORDER BY conname) \
                       FROM pg_constraint WHERE conrelid >= 16384 AND connamespace::regnamespace::text IN ('s', 'public')";
    let labels = "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum";
    for sql in [columns, constraints, labels] {
        assert_eq!(
            text(&mut database.client(), sql),
            text(&mut copy.client(), sql)
        );
    }
    // Nothing was captured there, and here all is in order.
    assert!(commands(&mut database.client()).len() >= 6);
    database.history_is_sound();
}
