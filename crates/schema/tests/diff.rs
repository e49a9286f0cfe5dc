//! What the fuzz target of the diff found.

mod common;

use std::collections::BTreeMap;

use common::*;
use electric_schema::change::Change;
use electric_schema::dialect::sqlite::{schema, statements};
use electric_schema::diff::{Facts, apply, diff};
use electric_schema::model::{ColumnType, Constraint, Index, Table};
use electric_schema::policy::Policy;

fn index_on(name: &str, key: &str) -> Index {
    Index {
        definition: format!("CREATE INDEX {name} ON public.t USING btree ({key})"),
        ..index(name, &[key], None)
    }
}

/// Replicas have an index or not, as when it was made: a later judgement of it changes nothing there.
#[test]
fn an_index_that_is_renamed_stays_where_it_is() {
    for is_local in [true, false] {
        let with = |name: &str, is_local: bool| Table {
            indexes: vec![Index {
                is_local,
                ..index_on(name, "id")
            }],
            ..table("t", vec![required("id", base("int4"))])
        };
        let (mut now, actual) = (with("i", is_local), with("j", !is_local));
        let facts = Facts::default();
        for change in diff(&now.clone(), &actual, &facts, None, Policy::Additive).unwrap() {
            apply(&mut now, &change);
        }
        assert_eq!(now, with("j", is_local));
    }
}

/// An index took the name of another that went or was renamed: no replica may be told to make a name that it has.
#[test]
fn indexes_that_change_names_among_themselves_can_be_followed_one_by_one() {
    let plain = table(
        "t",
        vec![required("id", base("int4")), column("a", base("text"))],
    );
    let with = |indexes: &[(&str, &str)]| {
        let mut table = plain.clone();
        table.indexes = indexes.iter().map(|(n, k)| index_on(n, k)).collect();
        table
    };
    let recorded = with(&[("i", "id"), ("j", "a")]);
    for (actual, commands) in [
        (
            with(&[("j", "id")]),
            &["drop_index", "drop_index", "create_index"][..],
        ),
        (
            with(&[("i", "a"), ("j", "id")]),
            &["drop_index", "drop_index", "create_index", "create_index"],
        ),
        (with(&[("i", "id"), ("k", "a")]), &["rename_index"]),
        (with(&[("k", "id")]), &["drop_index", "rename_index"]),
        (
            with(&[("i", "a"), ("k", "id")]),
            &["drop_index", "rename_index", "create_index"],
        ),
    ] {
        let changes = diff(
            &recorded,
            &actual,
            &Facts::default(),
            None,
            Policy::Additive,
        )
        .unwrap();
        let said: Vec<_> = changes.iter().map(Change::command).collect();
        assert_eq!(said, commands);
        let (mut now, followed, fresh) = (recorded.clone(), replica(), replica());
        migrate(&followed, &schema(std::slice::from_ref(&recorded)));
        for change in &changes {
            apply(&mut now, change);
            migrate(&followed, &statements(change, Some(&now)));
        }
        assert_eq!(now, actual);
        migrate(&fresh, &schema(std::slice::from_ref(&now)));
        assert_eq!(dump(&followed), dump(&fresh));
    }
}

/// A constraint that says something else is not taken for one that reads differently because of a wider type.
#[test]
fn a_check_is_not_altered_while_its_column_gets_a_wider_type() {
    let with = |data_type: ColumnType, definition: &str| {
        let check = Constraint {
            columns: vec!["v".into()],
            ..constraint("t_v_check", definition)
        };
        Table {
            checks: vec![check],
            ..table(
                "t",
                vec![required("id", base("int4")), column("v", data_type)],
            )
        }
    };
    let varchar = ColumnType {
        sql: "character varying".into(),
        ..base("varchar")
    };
    let recorded = with(varchar, "CHECK (((v)::text <> 'x'::text))");
    // What the server makes of the recorded definition.
    let restated = BTreeMap::from([(
        "t_v_check".to_owned(),
        "CHECK ((v <> 'x'::text))".to_owned(),
    )]);
    let facts = Facts {
        restated,
        ..Facts::default()
    };
    let found = |definition: &str| {
        let actual = with(base("text"), definition);
        let changes = diff(&recorded, &actual, &facts, None, Policy::Compatible)
            .map_err(|refusal| refusal.message)?;
        let mut now = recorded.clone();
        changes.iter().for_each(|change| apply(&mut now, change));
        assert_eq!(now, actual);
        Ok::<(), String>(())
    };
    found("CHECK ((v <> 'x'::text))").unwrap();
    found("CHECK (((v)::text <> 'x'::text))").unwrap();
    for other in [
        "CHECK ((v <> 'y'::text))",
        "CHECK ((v <> 'x'::text)) NOT VALID",
    ] {
        let refused = found(other).unwrap_err();
        assert!(refused.starts_with("cannot alter constraint"), "{refused}");
    }
}
