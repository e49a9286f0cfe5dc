//! Canonical SQLite, run in a real one: the text of its schema, names of any kind, and rows that must get in.

mod common;

use common::*;
use electric_schema::change::Change;
use electric_schema::dialect::sqlite::{can_say_index, fix_column, schema, statements};
use electric_schema::model::*;

fn add(column: &Column, foreign_keys: &[ForeignKey]) -> Change {
    Change::AddColumn {
        column: column.clone(),
        existing_value: column.default_value.clone(),
        constraints: vec![],
        foreign_keys: foreign_keys.to_vec(),
    }
}

#[test]
fn a_table_as_text() {
    let mut items = table(
        "items",
        vec![
            required("id", base("uuid")),
            with_default(required("done", base("bool")), "f"),
            with_default(column("title", base("text")), "it's"),
            required("score", base("float8")),
            with_default(column("data", base("bytea")), "\\x00ff"),
            required("list_id", base("uuid")),
        ],
    );
    items.schema = "app".into();
    items.sqlite_name = "app.items".into();
    let mut key = foreign_key("list_id", "lists", "id");
    (key.on_delete, key.on_update) = (Action::Cascade, Action::SetNull);
    items.foreign_keys = vec![key];
    items.indexes = vec![index(
        "items_done",
        &["done", "title DESC"],
        Some("(NOT done)"),
    )];
    assert_eq!(
        statements(&create_table(), Some(&items)),
        [
            "CREATE TABLE \"app.items\" (\"id\" TEXT NOT NULL, \"done\" INTEGER NOT NULL DEFAULT 0, \
             \"title\" TEXT DEFAULT 'it''s', \"score\" REAL, \"data\" BLOB DEFAULT X'00FF', \
             \"list_id\" TEXT NOT NULL REFERENCES \"lists\" (\"id\") ON DELETE CASCADE ON UPDATE SET NULL \
             DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (\"id\")) STRICT",
            "CREATE INDEX \"items_done\" ON \"app.items\" (\"done\", \"title\" DESC) WHERE NOT \"done\"",
        ]
    );
    assert_eq!(
        schema(&[items.clone()]),
        statements(&create_table(), Some(&items))
    );
    assert_eq!(
        statements(&Change::DisableTable, Some(&items)),
        ["DROP TABLE \"app.items\""]
    );
    let column = items.columns[1].clone();
    for silent in [
        Change::SetDefault(column.clone()),
        Change::DropDefault(column),
        Change::ValidateConstraint("c".into()),
    ] {
        assert!(statements(&silent, Some(&items)).is_empty());
    }
}

/// The oracle of S6: a replica that went through `ADD COLUMN` has the same schema, byte by byte, as a fresh one.
#[test]
fn added_columns_leave_the_text_of_a_fresh_table() {
    let mut pair = table(
        "pair",
        vec![required("a", base("int4")), required("b", base("int4"))],
    );
    pair.primary_key = vec!["a".into(), "b".into()];
    let mut plain = table("plain", vec![required("id", base("int8"))]);
    plain.indexes = vec![index("plain_id", &["id DESC"], None)];
    let mut with_keys = table(
        "with_keys",
        vec![
            required("id", base("text")),
            column("a", base("int4")),
            column("b", base("int4")),
        ],
    );
    let mut both = foreign_key("a", "pair", "a");
    both.columns.push("b".into());
    both.references.columns.push("b".into());
    both.on_delete = Action::Cascade;
    with_keys.foreign_keys = vec![both];
    let no_key = table("no_key", vec![required("id", array(base("int4"), 1))]);
    let float_key = table("float_key", vec![required("id", base("float8"))]);
    let mut hostile = table(
        "in (\"a\"), it's\n",
        vec![required(") STRICT, \"", base("int4"))],
    );
    hostile.schema = "app".into();
    hostile.sqlite_name = electric_schema::names::sqlite_name("app", &hostile.name);

    for start in [plain, pair.clone(), with_keys, no_key, float_key, hostile] {
        let db = replica();
        if start.name != "pair" {
            migrate(&db, &schema(std::slice::from_ref(&pair)));
        }
        migrate(&db, &schema(std::slice::from_ref(&start)));
        let mut now = start.clone();
        let mut additions = vec![
            column("n", base("numeric")),
            with_default(column("t", base("text")), "a, b) -- it's\n"),
            with_default(required("flag", base("bool")), "t"),
            with_default(required("r", base("float8")), "Infinity"),
            with_default(required("nan", base("float8")), "NaN"),
            with_default(required("blob", base("bytea")), "\\x"),
            with_default(
                required("when", base("timestamptz")),
                "2024-02-29 00:00:00+00",
            ),
            with_default(column("min", base("int8")), "-9223372036854775808"),
            with_default(column("tags", array(base("text"), 1)), "{a,NULL}"),
        ];
        additions.extend(HOSTILE.iter().map(|name| column(name, base("text"))));
        for added in additions {
            now.columns.push(added.clone());
            migrate(&db, &statements(&add(&added, &[]), Some(&now)));
        }
        // The keys to come point at no primary key: enough for their text, but the checks of `migrate` would fail.
        db.execute_batch("PRAGMA foreign_keys = OFF")
            .expect("turns off");
        for (name, default) in [("to_plain", None), ("to_itself", Some("7"))] {
            let mut added = column(name, base("int4"));
            fix_column(&mut added, default).expect("an integer");
            let mut first = foreign_key(name, &now.name, &now.primary_key[0]);
            first.references.schema = now.schema.clone();
            let mut second = foreign_key(name, "pair", "a");
            second.name = "second".into();
            second.on_update = Action::SetDefault;
            // What SQLite does not know leaves no trace.
            let mut third = foreign_key(name, "unknown", "a");
            third.sqlite = false;
            let keys = [first, second, third];
            now.columns.push(added.clone());
            now.foreign_keys.extend(keys.clone());
            for statement in statements(&add(&added, &keys), Some(&now)) {
                db.execute(&statement, [])
                    .unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
        }
        for added in ["OID", "_rowid_"].map(|name| with_default(required(name, base("int4")), "3"))
        {
            now.columns.push(added.clone());
            for statement in statements(&add(&added, &[]), Some(&now)) {
                db.execute(&statement, [])
                    .unwrap_or_else(|error| panic!("{statement}: {error}"));
            }
        }
        let more = index(
            "more",
            &["n DESC", "lower(t)"],
            Some("(flag AND (t IS NOT NULL))"),
        );
        for statement in statements(&Change::CreateIndex(more.clone()), Some(&now)) {
            db.execute(&statement, [])
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        now.indexes.push(more);

        let fresh = replica();
        let tables = if start.name == "pair" {
            vec![now]
        } else {
            vec![pair.clone(), now]
        };
        for statement in schema(&tables) {
            fresh
                .execute(&statement, [])
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        assert_eq!(dump(&db), dump(&fresh));
    }
}

#[test]
fn names_of_any_kind() {
    let db = replica();
    let mut parents = vec![];
    for (n, name) in HOSTILE.iter().enumerate() {
        let schema_name = if n % 2 == 0 { "public" } else { HOSTILE[n - 1] };
        let mut shape = table(
            name,
            [required("id", base("int8"))]
                .into_iter()
                .chain(HOSTILE.iter().map(|c| column(c, base("int8"))))
                .collect(),
        );
        shape.schema = schema_name.into();
        shape.sqlite_name = electric_schema::names::sqlite_name(schema_name, name);
        if let Some(parent) = parents.last() {
            let parent: &Table = parent;
            for column in HOSTILE {
                let mut key = foreign_key(column, &parent.name, "id");
                key.references.schema = parent.schema.clone();
                shape.foreign_keys.push(key);
            }
        }
        let index_name = format!("index of {name}");
        let key = electric_schema::names::quote_ident_if_needed(name);
        shape.indexes = vec![index(&index_name, &[&key], Some(&format!("({key} > 0)")))];
        migrate(&db, &statements(&create_table(), Some(&shape)));

        let to = Index {
            sqlite_name: Some(format!("{index_name} renamed")),
            ..shape.indexes[0].clone()
        };
        let from = std::mem::replace(&mut shape.indexes[0], to.clone());
        migrate(
            &db,
            &statements(
                &Change::RenameIndex {
                    from,
                    to: to.clone(),
                },
                Some(&shape),
            ),
        );
        let extra = index(&format!("{index_name} 2"), &[&key], None);
        migrate(
            &db,
            &statements(&Change::CreateIndex(extra.clone()), Some(&shape)),
        );
        migrate(&db, &statements(&Change::DropIndex(extra), Some(&shape)));
        parents.push(shape);
    }
    let fresh = replica();
    migrate(&fresh, &schema(&parents));
    assert_eq!(dump(&db), dump(&fresh));
    for shape in parents.iter().rev() {
        migrate(&db, &statements(&Change::DisableTable, Some(shape)));
    }
    assert_eq!(dump(&db), []);
}

#[test]
fn indexes_that_sqlite_does_not_have() {
    let items = table(
        "items",
        vec![required("id", base("int4")), column("doc", base("jsonb"))],
    );
    let sayable = index("i", &["doc"], None);
    let gin = Index {
        method: "gin".into(),
        ..sayable.clone()
    };
    let expression = index("i", &["(doc ->> 'a'::text)"], None);
    let partial = index("i", &["id"], Some("((doc ->> 'a'::text) = 'b'::text)"));
    let nameless = Index {
        sqlite_name: None,
        ..sayable.clone()
    };
    let unique = Index {
        unique: true,
        method: "hash".into(),
        ..sayable.clone()
    };
    for (index, sayable) in [
        (sayable.clone(), true),
        (unique, true),
        (nameless.clone(), true),
        (gin, false),
        (expression, false),
        (partial, false),
    ] {
        assert_eq!(can_say_index(&index, &items), sayable);
        let made = statements(&Change::CreateIndex(index.clone()), Some(&items));
        let dropped = statements(&Change::DropIndex(index.clone()), Some(&items));
        if sayable && index.sqlite_name.is_some() {
            assert_eq!(made, ["CREATE INDEX \"i\" ON \"items\" (\"doc\")"]);
            assert_eq!(dropped, ["DROP INDEX \"i\""]);
        } else {
            assert!(made.is_empty() && dropped.is_empty());
        }
    }
    let to = Index {
        sqlite_name: Some("j".into()),
        ..sayable.clone()
    };
    assert_eq!(
        statements(
            &Change::RenameIndex {
                from: sayable,
                to: to.clone()
            },
            Some(&items)
        ),
        [
            "DROP INDEX \"i\"",
            "CREATE INDEX \"j\" ON \"items\" (\"doc\")"
        ]
    );
    assert_eq!(
        statements(&Change::RenameIndex { from: nameless, to }, Some(&items)),
        ["CREATE INDEX \"j\" ON \"items\" (\"doc\")"]
    );
}

/// Keys of Postgres under which SQLite's primary key would refuse rows.
#[test]
fn keys_accept_every_row() {
    let run = |shape: &Table, rows: &[&str]| {
        let db = replica();
        migrate(&db, &schema(std::slice::from_ref(shape)));
        for row in rows {
            db.execute(&format!("INSERT INTO t VALUES ({row})"), [])
                .unwrap_or_else(|error| panic!("{row}: {error}"));
        }
        db
    };
    // NaN arrives as NULL, also as a part of a longer key where it may come twice.
    let mut pair = table(
        "t",
        vec![required("a", base("float8")), required("b", base("int4"))],
    );
    pair.primary_key.push("b".into());
    let db = run(&pair, &["1.5, 1", "NULL, 1", "NULL, 2", "9e999, 1"]);
    assert!(
        db.execute("INSERT INTO t VALUES (1.5, 1)", []).is_err(),
        "still a key"
    );
    run(
        &table("t", vec![required("a", domain(base("float4")))]),
        &["NULL", "0.0"],
    );
    // In JSON, arrays with other bounds are the same.
    run(
        &table("t", vec![required("a", array(base("int4"), 1))]),
        &["'[1]'", "'[1]'"],
    );
    run(
        &table("t", vec![required("a", domain(array(base("int4"), 1)))]),
        &["'[1]'", "'[1]'"],
    );
    // A deferrable key may be broken on the way.
    for definition in [
        "PRIMARY KEY (a) DEFERRABLE",
        "PRIMARY KEY (a) DEFERRABLE INITIALLY DEFERRED",
    ] {
        let mut deferrable = table("t", vec![required("a", base("int4"))]);
        deferrable.primary_key_constraint = Some(constraint("t_pkey", definition));
        run(&deferrable, &["1", "1"]);
    }
    // What a key of SQLite cannot be, but for these, it is: no row id is given out in place of a value.
    let db = run(
        &table("t", vec![required("a", base("int8"))]),
        &["-9223372036854775808", "9223372036854775807"],
    );
    assert!(
        db.execute("INSERT INTO t VALUES (9223372036854775807)", [])
            .is_err()
    );
}

/// New versions of SQLite refuse to add columns of these names, so the table is made anew, with all that is in it.
#[test]
fn columns_named_as_row_ids() {
    for name in ["rowid", "OID", "_rowid_"] {
        let mut start = table(
            "t",
            vec![required("id", base("int8")), column("up", base("int8"))],
        );
        start.foreign_keys = vec![ForeignKey {
            on_delete: Action::Cascade,
            ..foreign_key("up", "t", "id")
        }];
        start.indexes = vec![index("t_up", &["up"], None)];
        let mut other = table(
            "other",
            vec![required("id", base("int4")), column("t_id", base("int8"))],
        );
        other.foreign_keys = vec![ForeignKey {
            on_delete: Action::Cascade,
            ..foreign_key("t_id", "t", "id")
        }];

        let db = replica();
        migrate(&db, &schema(&[start.clone(), other.clone()]));
        db.execute_batch(
            "BEGIN; INSERT INTO t VALUES (7, NULL), (8, 7); INSERT INTO other VALUES (1, 8); COMMIT",
        )
        .expect("inserts");
        let added = with_default(required(name, base("text")), "x");
        start.columns.push(added.clone());
        migrate(&db, &statements(&add(&added, &[]), Some(&start)));
        let rows: String = db
            .query_row(
                &format!(
                    "SELECT group_concat(id || coalesce(up, '-') || \"{name}\") FROM t ORDER BY id"
                ),
                [],
                |row| row.get(0),
            )
            .expect("reads");
        assert_eq!(rows, "7-x,87x");
        let fresh = replica();
        migrate(&fresh, &schema(&[start, other]));
        assert_eq!(dump(&db), dump(&fresh));
        db.execute("DELETE FROM t WHERE id = 7", [])
            .expect("deletes");
        let left: i64 = db
            .query_row("SELECT count(*) FROM other", [], |row| row.get(0))
            .expect("reads");
        assert_eq!(left, 0, "the keys are in force");
    }
}
