//! What the pure crates take for what they do once per command, measured by criterion: `cargo bench --package electric_bench`.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use electric_schema::change::Change;
use electric_schema::dialect::{postgres, sqlite};
use electric_schema::diff::{Facts, NewColumn, diff};
use electric_schema::hash;
use electric_schema::model::Table;
use electric_schema::op::Op;
use electric_schema::policy::Policy;
use serde_json::{Value, json};

/// A table of ten columns, as it is recorded.
fn recorded() -> Table {
    let column = |name: &str, data_type: &str, sqlite_type: &str| {
        json!({
            "name": name, "nullable": name != "id", "default": null, "identity": null, "sqlite_type": sqlite_type,
            "type": {"name": data_type, "schema": "pg_catalog", "modifiers": [], "array_dims": 0, "kind": "base", "sql": data_type}
        })
    };
    let columns: Vec<Value> = [
        ("id", "uuid", "TEXT"),
        ("title", "text", "TEXT"),
        ("amount", "int4", "INTEGER"),
        ("price", "numeric", "TEXT"),
        ("done", "bool", "INTEGER"),
        ("made_at", "timestamptz", "TEXT"),
        ("due", "date", "TEXT"),
        ("notes", "jsonb", "TEXT"),
        ("picture", "bytea", "BLOB"),
        ("rating", "float8", "REAL"),
    ]
    .into_iter()
    .map(|(name, data_type, sqlite_type)| column(name, data_type, sqlite_type))
    .collect();
    let table = json!({
        "schema": "public", "name": "items", "sqlite_name": "items", "columns": columns, "primary_key": ["id"],
        "primary_key_constraint": {"name": "items_pkey", "columns": ["id"], "definition": "PRIMARY KEY (id)", "validated": true},
        "foreign_keys": [], "unique": [], "checks": [],
        "indexes": [{
            "name": "items_title_idx", "unique": false, "method": "btree", "keys": ["title"], "where": null,
            "definition": "CREATE INDEX items_title_idx ON public.items USING btree (title)", "sqlite_name": "items_title_idx"
        }],
    });
    serde_json::from_value(table).expect("a table")
}

/// The same with a column more.
fn actual() -> Table {
    let mut table = recorded();
    let mut column = table.columns[2].clone();
    column.name = "amount_in_stock".to_owned();
    table.columns.push(column);
    table
}

fn shapes(criterion: &mut Criterion) {
    let (recorded, actual) = (recorded(), actual());
    let facts = Facts {
        new_columns: BTreeMap::from([("amount_in_stock".to_owned(), NewColumn::default())]),
        ..Facts::default()
    };
    let changes =
        || diff(&recorded, &actual, &facts, None, Policy::Additive).expect("an additive change");
    let added: Change = changes().pop().expect("one change");
    let op = Op::of(&added, Some(&actual), usize::MAX)
        .expect("an op")
        .text();
    let shape = serde_json::to_string(&recorded).expect("a shape");
    let mut group = criterion.benchmark_group("a table of ten columns");
    group.bench_function("diff, a column added", |bencher| {
        bencher.iter(|| black_box(changes()))
    });
    group.bench_function("diff, nothing changed", |bencher| {
        let nothing = || {
            diff(
                &recorded,
                black_box(&recorded),
                &facts,
                None,
                Policy::Additive,
            )
            .is_ok()
        };
        bencher.iter(nothing)
    });
    group.bench_function("op as canonical JSON", |bencher| {
        bencher.iter(|| Op::of(black_box(&added), Some(&actual), usize::MAX).map(|op| op.text()))
    });
    group.bench_function("hash of the op", |bencher| {
        bencher.iter(|| hash::next("0123", black_box(&op)))
    });
    group.bench_function("statements for Postgres", |bencher| {
        bencher.iter(|| postgres::statements(black_box(&added), Some(&actual)))
    });
    group.bench_function("statements for SQLite", |bencher| {
        bencher.iter(|| sqlite::statements(black_box(&added), Some(&actual)))
    });
    group.bench_function("shape from JSON", |bencher| {
        bencher.iter(|| {
            serde_json::from_str::<Table>(black_box(&shape)).map(|table| table.columns.len())
        })
    });
    group.finish();
}

fn ddlx(criterion: &mut Criterion) {
    let grant = "ELECTRIC GRANT UPDATE (title, amount) ON projects TO 'projects:owner' USING project_id WHERE (NEW.amount > 0)";
    criterion.bench_function("DDLX: a grant parsed", |bencher| {
        bencher.iter(|| electric_ddlx::parse(black_box(grant)).map(|found| found.len()))
    });
    let insert = "INSERT INTO items (id, title, amount) VALUES ('5f0c9d6e', 'some text that is quoted', 42);\n".repeat(1000);
    let mut group = criterion.benchmark_group("DDLX: a text of a thousand statements");
    group.throughput(Throughput::Bytes(insert.len() as u64));
    group.bench_function("does it mention ELECTRIC", |bencher| {
        bencher.iter(|| electric_ddlx::mentions(black_box(insert.as_bytes())))
    });
    let with = format!("{insert}ALTER TABLE items ENABLE ELECTRIC;");
    group.bench_function("the one DDLX statement found", |bencher| {
        bencher.iter(|| electric_ddlx::find(black_box(&with)).len())
    });
    group.finish();
}

criterion_group!(benches, shapes, ddlx);
criterion_main!(benches);
