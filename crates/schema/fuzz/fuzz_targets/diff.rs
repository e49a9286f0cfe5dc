//! The diff: it names or refuses every difference; what it names leads to the table it was told of, and a SQLite that
//! ran the statements has the schema of a fresh replica.
#![no_main]
#![allow(clippy::result_large_err, reason = "as in the crate")]

#[path = "../../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use common::{array, base, column, dump, foreign_key, index, migrate, replica};
use electric_schema::change::Change;
use electric_schema::dialect::{postgres, sqlite};
use electric_schema::diff::{Facts, NewColumn, apply, diff, fix_table};
use electric_schema::model::{ColumnType, Constraint, Table};
use electric_schema::op::Op;
use electric_schema::policy::Policy;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Shape {
    columns: Vec<ShapeColumn>,
    constraints: Vec<(u8, u8, bool)>,
    keys: Vec<(u8, u8, bool)>,
    indexes: Vec<(u8, u8, Option<u8>)>,
}

#[derive(Debug, Arbitrary)]
struct ShapeColumn {
    name: u8,
    data_type: u8,
    nullable: bool,
    default: Option<u8>,
}

/// Types of which some can be widened to others.
fn types() -> Vec<ColumnType> {
    let sized = |name: &str, modifiers: &[i64]| ColumnType {
        modifiers: modifiers.to_vec(),
        sql: format!("{name}{modifiers:?}"),
        ..base(name)
    };
    vec![
        base("int4"),
        base("int8"),
        sized("varchar", &[10]),
        sized("varchar", &[20]),
        base("text"),
        base("float8"),
        base("bytea"),
        base("bool"),
        array(base("int4"), 1),
    ]
}

/// A text that is a value of that one of [`types`].
fn value(data_type: &ColumnType, number: u8) -> String {
    match data_type.name.as_str() {
        _ if data_type.array_dims > 0 => format!("{{{number}}}"),
        "bool" => if number.is_multiple_of(2) { "t" } else { "f" }.to_owned(),
        "bytea" => format!("\\x{number:02x}"),
        "text" => format!("it's {number}"),
        _ => number.to_string(),
    }
}

/// Names as users give them: plain ones, and those that break generators. None collides with another in SQLite.
fn name(prefix: &str, number: u8) -> String {
    match number % 4 {
        0 => format!("{prefix} \"{number}\" it's\n"),
        1 => format!("select {prefix}{number}"),
        _ => format!("{prefix}{number}"),
    }
}

fn table(shape: &Shape) -> Table {
    let types = types();
    let mut table = common::table("t", vec![common::required("id", base("int4"))]);
    for (position, from) in shape.columns.iter().take(6).enumerate() {
        // Beyond the first few under a name that is its own, so that most columns are in both shapes.
        let name = name("c", from.name % 4 + 4 * u8::try_from(position).unwrap_or(0));
        let data_type = types[usize::from(from.data_type) % types.len()].clone();
        let mut column = column(&name, data_type);
        column.nullable = from.nullable;
        if let Some(number) = from.default {
            column = common::with_default(column.clone(), &value(&column.data_type, number % 4));
        }
        table.columns.push(column);
    }
    let columns: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    let pick = |number: u8| columns[usize::from(number) % columns.len()].clone();
    for (number, column, validated) in shape.constraints.iter().take(4) {
        let column = pick(*column);
        let (list, definition) = match number % 3 {
            0 => (&mut table.checks, format!("CHECK (({column:?} > 0))")),
            1 => (&mut table.unique, format!("UNIQUE ({column:?})")),
            _ => (
                &mut table.exclusions,
                format!("EXCLUDE USING gist ({column:?} WITH &&)"),
            ),
        };
        let valid = *validated || number % 3 != 0;
        let constraint = Constraint {
            name: name("k", number % 6),
            definition: format!("{definition}{}", if valid { "" } else { " NOT VALID" }),
            validated: valid,
            is_local: false,
            columns: vec![column],
        };
        if !list.iter().any(|other| other.name == constraint.name) {
            list.push(constraint);
            list.sort_by(|a, b| a.name.cmp(&b.name));
        }
    }
    for (number, column, validated) in shape.keys.iter().take(3) {
        let column = pick(*column);
        let mut key = foreign_key(&column, "other", "id");
        key.name = name("f", number % 4);
        key.validated = *validated;
        key.definition = format!(
            "{}{}",
            key.definition,
            if *validated { "" } else { " NOT VALID" }
        );
        // Whether SQLite has it is settled when it is made, and follows from the key alone here.
        key.sqlite = number.is_multiple_of(2);
        if !table
            .foreign_keys
            .iter()
            .any(|other| other.name == key.name)
        {
            table.foreign_keys.push(key);
        }
    }
    table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
    for (number, column, predicate) in shape.indexes.iter().take(4) {
        let quoted = electric_schema::names::quote_ident(&pick(*column));
        let predicate = predicate.map(|n| {
            let column = electric_schema::names::quote_ident(&pick(n));
            format!("({column} IS NOT NULL)")
        });
        let name = name("i", number % 6);
        let mut index = index(&name, &[&quoted], predicate.as_deref());
        index.definition = format!(
            "CREATE INDEX {} ON public.t USING btree ({quoted}){}",
            electric_schema::names::quote_ident(&name),
            predicate.map(|p| format!(" WHERE {p}")).unwrap_or_default()
        );
        if !table.indexes.iter().any(|other| other.name == index.name) {
            table.indexes.push(index);
        }
    }
    table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
    fix_table(&mut table).expect("defaults are values of their types");
    table
}

/// The table in an order of its own, and without what replicas fix for good: no part of the comparison.
fn comparable(mut table: Table) -> Table {
    table.columns.sort_by(|a, b| a.name.cmp(&b.name));
    for column in &mut table.columns {
        column.sqlite_default = None;
    }
    table
}

fn agree(table: &Table) {
    for policy in [Policy::Additive, Policy::Compatible] {
        let none = diff(table, table, &Facts::default(), None, policy)
            .expect("no difference is no refusal");
        assert!(none.is_empty(), "{none:?}");
    }
    let json = serde_json::to_value(table).expect("a shape is JSON");
    assert_eq!(
        &serde_json::from_value::<Table>(json).expect("and is read from it"),
        table
    );
}

fuzz_target!(|shapes: (Shape, Shape)| {
    let (recorded, actual) = (table(&shapes.0), table(&shapes.1));
    agree(&recorded);
    let new_columns: BTreeMap<String, NewColumn> = actual
        .columns
        .iter()
        .map(|column| {
            let existing_value = column.default_value.clone();
            (
                column.name.clone(),
                NewColumn {
                    existing_value,
                    ..NewColumn::default()
                },
            )
        })
        .collect();
    let facts = Facts {
        new_columns,
        ..Facts::default()
    };
    let [additive, compatible] = [Policy::Additive, Policy::Compatible]
        .map(|policy| diff(&recorded, &actual, &facts, None, policy));
    let changes = match (additive, compatible) {
        (Ok(additive), compatible) => {
            let compatible = compatible.expect("what adds is compatible");
            assert_eq!(additive, compatible);
            additive
        }
        (Err(_), Ok(compatible)) => compatible,
        (Err(one), Err(_)) => {
            assert!(
                one.message.contains("electrified table") && !one.hint.is_empty(),
                "{one:?}"
            );
            return;
        }
    };

    let other = common::table("other", vec![common::required("id", base("int4"))]);
    let (followed, fresh) = (replica(), replica());
    migrate(
        &followed,
        &sqlite::schema(&[other.clone(), recorded.clone()]),
    );
    let mut now = recorded;
    for mut change in changes {
        if let Change::AddColumn {
            column,
            existing_value,
            ..
        } = &mut change
        {
            sqlite::fix_column(column, existing_value.as_deref()).expect("a value of the type");
        }
        apply(&mut now, &change);
        migrate(&followed, &sqlite::statements(&change, Some(&now)));
        for statement in postgres::statements(&change, Some(&now)) {
            assert!(!statement.is_empty());
        }
        let op = Op::of(&change, Some(&now), usize::MAX).expect("a change is JSON").text();
        let op: serde_json::Value = serde_json::from_str(&op).expect("an op is JSON");
        assert_eq!(
            serde_json::from_value::<Table>(op["table"].clone())
                .ok()
                .as_ref(),
            Some(&now)
        );
    }
    assert_eq!(comparable(now.clone()), comparable(actual));
    agree(&now);
    migrate(&fresh, &sqlite::schema(&[other, now]));
    assert_eq!(dump(&followed), dump(&fresh));
});
