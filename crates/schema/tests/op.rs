//! Ops are read back as they were written, and nothing else is read.

mod common;

use common::*;
use electric_schema::change::{Change, LabelPosition};
use electric_schema::dialect::postgres;
use electric_schema::model::*;
use electric_schema::op::{FORMAT, Names, Op, Read, Unreadable};
use electric_schema::permissions::{Assignment, Grant, Grantee, Privilege};
use serde_json::{Value, json};

fn index(name: &str) -> Index {
    Index {
        name: name.into(),
        unique: false,
        method: "btree".into(),
        keys: vec!["a".into()],
        predicate: None,
        definition: format!("CREATE INDEX {name} ON public.t USING btree (a)"),
        options: None,
        is_local: false,
        sqlite_name: Some(name.into()),
    }
}

fn constraint(name: &str, is_local: bool) -> Constraint {
    Constraint {
        name: name.into(),
        columns: vec!["a".into()],
        definition: "CHECK ((a > 0))".into(),
        validated: true,
        is_local,
    }
}

fn key(name: &str, sqlite: bool) -> ForeignKey {
    ForeignKey {
        name: name.into(),
        columns: vec!["a".into()],
        references: References {
            schema: "public".into(),
            table: "u".into(),
            columns: vec!["id".into()],
        },
        on_delete: Action::Cascade,
        on_update: Action::NoAction,
        definition: "FOREIGN KEY (a) REFERENCES public.u(id) ON DELETE CASCADE".into(),
        validated: true,
        sqlite,
    }
}

/// The table before each change, with all that a change may speak of.
fn previous(name: &str) -> Table {
    Table {
        schema: "public".into(),
        name: name.into(),
        sqlite_name: name.into(),
        columns: vec![
            required("id", base("int4")),
            with_default(column("a", base("int4")), "7"),
        ],
        primary_key: vec!["id".into()],
        primary_key_constraint: Some(Constraint {
            definition: "PRIMARY KEY (id)".into(),
            ..constraint("t_pkey", false)
        }),
        unique: vec![],
        checks: vec![constraint("local", true), constraint("shared", false)],
        exclusions: vec![],
        foreign_keys: vec![key("kept", true), key("left", false)],
        indexes: vec![
            index("i"),
            Index {
                is_local: true,
                ..index("own")
            },
        ],
        extensions: vec![],
        collations: vec![],
    }
}

fn mood() -> TypeDefinition {
    TypeDefinition {
        schema: "public".into(),
        name: "mood".into(),
        kind: TypeKind::Enum,
        labels: vec!["sad".into(), "ok".into()],
        definition: None,
        not_valid: vec![],
        extensions: vec![],
        collations: vec![],
    }
}

/// A change of every word, in all its variants, for a table of that name.
fn changes(name: &str) -> Vec<Change> {
    let before = previous(name);
    let column = |name: &str| before.column(name).unwrap().clone();
    let label = |position| Change::AddEnumValue {
        enum_type: mood(),
        value: name.into(),
        position,
    };
    let drop = |name: &str, in_sqlite, is_local| Change::DropConstraint {
        name: name.into(),
        in_sqlite,
        is_local,
    };
    let rename = |from: Index, to: &str| Change::RenameIndex {
        to: Index {
            name: to.into(),
            ..from.clone()
        },
        from,
    };
    let grant = Grant {
        table_schema: "public".into(),
        table_name: name.into(),
        privilege: Privilege::Select,
        grantee: Grantee::Anyone,
        role: None,
        scope_schema: None,
        scope_table: None,
        columns: None,
        using_path: None,
        condition: None,
    };
    let assignment = Assignment {
        table_schema: "public".into(),
        table_name: name.into(),
        user_column: "id".into(),
        role: Some("member".into()),
        role_column: None,
        scope_schema: None,
        scope_table: None,
        using_path: None,
        condition: None,
    };
    vec![
        Change::CreateType(mood()),
        Change::CreateType(TypeDefinition {
            kind: TypeKind::Domain,
            labels: vec![],
            definition: Some("CREATE DOMAIN public.mood AS integer".into()),
            not_valid: vec![
                "ALTER DOMAIN public.mood ADD CONSTRAINT c CHECK ((VALUE > 0)) NOT VALID".into(),
            ],
            ..mood()
        }),
        label(LabelPosition::Last),
        label(LabelPosition::Before("ok".into())),
        Change::CreateTable {
            later: vec![],
            earlier: vec![],
        },
        Change::DisableTable,
        Change::AddColumn {
            column: column("a"),
            existing_value: None,
            constraints: vec![],
            foreign_keys: vec![],
        },
        Change::AddColumn {
            column: column("a"),
            existing_value: Some("7".into()),
            constraints: vec![constraint("c", false), constraint("d", true)],
            foreign_keys: vec![key("k", true)],
        },
        Change::CreateIndex(index("new")),
        Change::DropIndex(index("i")),
        rename(before.indexes[0].clone(), "j"),
        rename(before.indexes[1].clone(), "j"),
        Change::SetDefault(column("a")),
        Change::DropDefault(column("id")),
        Change::DropNotNull(column("id")),
        Change::ValidateConstraint("shared".into()),
        drop("local", false, true),
        drop("shared", false, false),
        drop("kept", true, false),
        drop("left", false, false),
        Change::WidenColumn {
            column: column("a"),
            from: base("int2"),
            constraints: vec![],
        },
        Change::WidenColumn {
            column: column("a"),
            from: base("int2"),
            constraints: vec![constraint("shared", false)],
        },
        Change::ReplaceTable {
            from: Box::new(before.clone()),
            referencing: vec![],
        },
        Change::Grant(vec![grant.clone()]),
        Change::Revoke(vec![]),
        Change::Revoke(vec![grant]),
        Change::Assign(vec![assignment]),
        Change::Unassign(vec![]),
        Change::Sqlite(format!("SELECT '{name}'")),
    ]
}

fn written(change: &Change, table: Option<&Table>, has_rows: Option<bool>) -> Value {
    let mut op = Op::of(change, table, usize::MAX).unwrap();
    if let Some(has_rows) = has_rows {
        op.has_rows(has_rows);
    }
    serde_json::from_str(&op.text()).unwrap()
}

fn has_table(change: &Change) -> bool {
    !matches!(
        change,
        Change::CreateType(_) | Change::AddEnumValue { .. } | Change::Sqlite(_)
    )
}

#[test]
fn what_is_written_is_read_back_and_said_in_the_same_words() {
    for name in std::iter::once(&"t").chain(HOSTILE) {
        let before = previous(name);
        for change in changes(name) {
            for has_rows in [None, Some(true), Some(false)] {
                let makes = matches!(
                    change,
                    Change::CreateTable { .. } | Change::ReplaceTable { .. }
                );
                if has_rows.is_some() && !makes {
                    continue;
                }
                let table = has_table(&change).then_some(&before);
                let op = written(&change, table, has_rows);
                let mut read = Read::of(&op).unwrap_or_else(|error| panic!("{op}: {error}"));
                read.complete(&before);
                assert_eq!(read.change, change);
                assert_eq!(read.table.as_ref(), table);
                assert_eq!(read.has_rows, has_rows.unwrap_or(true));
                let replaced = matches!(change, Change::ReplaceTable { .. }).then(|| Names {
                    schema: before.schema.clone(),
                    name: before.name.clone(),
                    sqlite_name: before.sqlite_name.clone(),
                });
                assert_eq!(read.replaced, replaced);
                assert_eq!(
                    postgres::statements(&read.change, read.table.as_ref()),
                    postgres::statements(&change, table)
                );
            }
        }
    }
}

#[test]
fn every_word_is_among_them() {
    let mut words: Vec<&str> = changes("t").iter().map(Change::command).collect();
    words.dedup();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 20, "{words:?}");
}

/// Every member taken away, made something else, or joined by one that nobody knows: an error, or what was meant is
/// still complete. Never a panic.
#[test]
fn what_was_tampered_with_is_not_read() {
    let before = previous("t");
    for change in changes("t") {
        let op = written(&change, has_table(&change).then_some(&before), None);
        let mut more = op.clone();
        more["unheard_of"] = json!(1);
        assert!(Read::of(&more).is_err(), "{more}");
        for key in op.as_object().unwrap().keys() {
            for other in [
                json!(null),
                json!(5),
                json!({"a": 1}),
                json!([[1]]),
                json!("x"),
            ] {
                let mut changed = op.clone();
                if changed[key] == other {
                    continue;
                }
                changed[key] = other.clone();
                // A text is a text, and what may be absent may be null.
                let may_be = (op[key].is_string() && other == "x" && key != "op")
                    || (matches!(key.as_str(), "existing_value" | "before")
                        && (other.is_null() || other == "x"))
                    || (key == "table"
                        && other.is_null()
                        && matches!(change.command(), "grant" | "revoke" | "assign" | "unassign"));
                assert_eq!(Read::of(&changed).is_ok(), may_be, "{changed}");
            }
        }
    }
}

#[test]
fn formats_and_words_that_are_not_known_are_told_apart() {
    for format in [
        json!(FORMAT + 1),
        json!(0),
        json!(-1),
        json!("1"),
        json!(null),
        json!(1.5),
    ] {
        let op = json!({"op": "sqlite", "format": format, "statement": "x"});
        assert!(matches!(Read::of(&op), Err(Unreadable::Format(_))), "{op}");
    }
    let op = json!({"op": "sqlite", "statement": "x"});
    assert!(matches!(Read::of(&op), Err(Unreadable::Format(_))));
    for word in ["fly", "", "Sqlite", "createtable", "CREATE_TABLE"] {
        let op = json!({"op": word, "format": FORMAT});
        assert!(matches!(Read::of(&op), Err(Unreadable::Word(_))), "{op}");
    }
    for op in [
        json!(null),
        json!([]),
        json!("sqlite"),
        json!({"format": FORMAT}),
        json!({"op": 5, "format": FORMAT}),
    ] {
        assert!(Read::of(&op).is_err(), "{op}");
    }
}
