//! Foreign keys in SQLite: which are kept, and that those never refuse what Postgres accepted.

mod common;

use common::*;
use electric_schema::dialect::sqlite::{keeps_foreign_key, schema};
use electric_schema::model::*;

fn parent(data_type: ColumnType) -> Table {
    table(
        "parent",
        vec![required("id", data_type), column("other", base("int4"))],
    )
}

fn child(column: Column) -> (Table, ForeignKey) {
    let shape = table("child", vec![required("id", base("int4")), column]);
    (shape, foreign_key("parent_id", "parent", "id"))
}

#[test]
fn kept_by_type() {
    let enum_type = || enumeration("state");
    for (from, to, kept) in [
        (base("int4"), base("int8"), true),
        (base("text"), base("varchar"), true),
        (domain(base("uuid")), base("uuid"), true),
        (enum_type(), enum_type(), true),
        (base("bytea"), base("bytea"), true),
        (base("timestamptz"), base("timestamptz"), true),
        (base("bool"), base("bool"), true),
        (base("date"), base("timestamp"), false),
        (base("int4"), base("numeric"), false),
        (base("numeric"), base("numeric"), false),
        (base("bpchar"), base("bpchar"), false),
        (base("text"), base("bpchar"), false),
        (extension("citext"), extension("citext"), false),
        (base("interval"), base("interval"), false),
        (base("timetz"), base("timetz"), false),
        (base("float8"), base("float8"), false),
        (base("jsonb"), base("jsonb"), false),
        (array(base("int4"), 1), array(base("int4"), 1), false),
        (enum_type(), enumeration("other"), false),
    ] {
        let parent = parent(to);
        let (child, key) = child(column("parent_id", from.clone()));
        assert_eq!(
            keeps_foreign_key(&key, &child, &parent, false),
            kept,
            "{} to {}",
            from.sql,
            parent.columns[0].data_type.sql
        );
        if kept {
            migrate(&replica(), &schema(&[parent, child]));
        }
    }
}

#[test]
fn kept_by_what_it_is() {
    let target = parent(base("int4"));
    let check = |edit: &dyn Fn(&mut Table, &mut ForeignKey, &mut Table), partitioned: bool| {
        let (mut child, mut key) = child(column("parent_id", base("int4")));
        let mut target = target.clone();
        edit(&mut child, &mut key, &mut target);
        keeps_foreign_key(&key, &child, &target, partitioned)
    };
    assert!(check(&|_, _, _| {}, false));
    assert!(check(&|_, _, _| {}, true));
    // Not the primary key, or not all of it.
    assert!(!check(
        &|_, key, _| key.references.columns = vec!["other".into()],
        false
    ));
    assert!(!check(
        &|_, _, target| target.primary_key.push("other".into()),
        false
    ));
    assert!(!check(
        &|_, key, _| key.references.columns = vec!["missing".into()],
        false
    ));
    assert!(!check(&|_, key, _| key.validated = false, false));
    // Two columns, in any order.
    let two = |child: &mut Table, key: &mut ForeignKey, target: &mut Table| {
        target.primary_key.push("other".into());
        child.columns.push(column("other", base("int4")));
        key.columns = vec!["other".into(), "parent_id".into()];
        key.references.columns = vec!["other".into(), "id".into()];
    };
    assert!(check(&two, false));
    // A key that SQLite has not, or not as a primary key.
    assert!(!check(
        &|child, key, target| {
            two(child, key, target);
            target.columns[1].data_type = base("float8");
            target.columns[1].sqlite_type = SqliteType::Real;
        },
        false
    ));
    // Texts that are equal by a collation alone.
    let text = |collation: &'static str| {
        move |child: &mut Table, _: &mut ForeignKey, target: &mut Table| {
            child.columns[1].data_type = base("text");
            target.columns[0].data_type = base("text");
            target.columns[0].collation = Some(collation.into());
        }
    };
    assert!(check(&text("pg_catalog.\"C\""), false));
    assert!(!check(&text("public.case_insensitive"), false));

    // Actions: (on delete, column takes NULL, column has a default, referenced is partitioned) and whether kept.
    use Action::*;
    for (action, nullable, default, partitioned, kept) in [
        (Restrict, false, None, true, true),
        (Cascade, false, None, false, true),
        (Cascade, true, None, true, false),
        (SetNull, true, None, false, true),
        (SetNull, true, None, true, false),
        (SetNull, false, Some("1"), false, false),
        (SetDefault, true, None, false, true),
        (SetDefault, false, None, false, false),
        (SetDefault, false, Some("1"), false, true),
        (SetDefault, false, Some("1"), true, false),
    ] {
        let edit = |child: &mut Table, key: &mut ForeignKey, _: &mut Table| {
            key.on_delete = action;
            child.columns[1].nullable = nullable;
            electric_schema::dialect::sqlite::fix_column(&mut child.columns[1], default)
                .expect("an integer");
        };
        assert_eq!(
            check(&edit, partitioned),
            kept,
            "{action:?} {nullable} {default:?} {partitioned}"
        );
    }
    assert!(check(&|_, key, _| key.on_update = Cascade, true));
    assert!(!check(
        &|_, key, _| {
            key.on_delete = SetNull;
            key.definition.push_str(" ON DELETE SET NULL (parent_id)");
        },
        false
    ));
}

fn tree(on_delete: Action) -> Table {
    let mut tree = table(
        "tree",
        vec![required("id", base("int4")), column("up", base("int4"))],
    );
    let mut key = foreign_key("up", "tree", "id");
    key.on_delete = on_delete;
    assert!(keeps_foreign_key(&key, &tree, &tree, false));
    tree.foreign_keys = vec![key];
    tree
}

/// `DELETE FROM tree` of Postgres takes parent and child in one statement; row by row, the parent comes first.
#[test]
fn rows_that_leave_together() {
    for action in [
        Action::NoAction,
        Action::Restrict,
        Action::Cascade,
        Action::SetNull,
    ] {
        let db = replica();
        migrate(&db, &schema(&[tree(action)]));
        db.execute_batch(
            "BEGIN; INSERT INTO tree VALUES (2, 1); INSERT INTO tree VALUES (1, NULL); COMMIT;
             BEGIN; DELETE FROM tree WHERE id = 1; DELETE FROM tree WHERE id = 2; COMMIT",
        )
        .unwrap_or_else(|error| panic!("{action:?}: {error}"));
        let broken = db.execute_batch("INSERT INTO tree VALUES (3, 4)");
        assert!(
            broken.is_err(),
            "the key is checked, when the transaction ends"
        );
    }
}

/// One row leaves; Postgres reached its descendants in an order in which nothing was left to restrict.
#[test]
fn restrict_beside_cascade() {
    let a = table("a", vec![required("id", base("int4"))]);
    let mut b = table(
        "b",
        vec![required("id", base("int4")), column("a_id", base("int4"))],
    );
    let mut c = table(
        "c",
        vec![
            required("id", base("int4")),
            column("a_id", base("int4")),
            column("b_id", base("int4")),
        ],
    );
    let cascade = || ForeignKey {
        on_delete: Action::Cascade,
        ..foreign_key("a_id", "a", "id")
    };
    b.foreign_keys = vec![cascade()];
    c.foreign_keys = vec![
        cascade(),
        ForeignKey {
            on_delete: Action::Restrict,
            ..foreign_key("b_id", "b", "id")
        },
    ];
    for tables in [[a.clone(), b.clone(), c.clone()], [c, b, a]] {
        let db = replica();
        for statement in schema(&tables) {
            db.execute(&statement, []).expect("makes");
        }
        db.execute_batch(
            "PRAGMA foreign_keys = ON;
             BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1); INSERT INTO c VALUES (1, 1, 1); COMMIT;
             BEGIN; DELETE FROM a WHERE id = 1; DELETE FROM c WHERE id = 1; DELETE FROM b WHERE id = 1; COMMIT",
        )
        .unwrap_or_else(|error| panic!("{error}"));
    }
}
