//! Values in Postgres' text form: whatever the text, it is read or refused, and what is read SQLite holds as it was.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{array, base, domain, enumeration};
use electric_schema::model::ColumnType;
use electric_schema::value::{SqliteValue, to_sqlite};
use libfuzzer_sys::fuzz_target;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde::de::IgnoredAny;

const TYPES: &[&str] = &[
    "bool",
    "int2",
    "int8",
    "oid",
    "float4",
    "float8",
    "numeric",
    "text",
    "bytea",
    "jsonb",
    "timestamptz",
    "box",
    "uuid",
    "interval",
];

fn data_type(name: u8, dims: u8) -> ColumnType {
    let number = usize::from(name) % (TYPES.len() + 2);
    let scalar = match TYPES.get(number) {
        Some(name) => base(name),
        None if number == TYPES.len() => enumeration("mood"),
        None => domain(array(base("float8"), 1)),
    };
    match dims % 4 {
        0 | 3 => scalar,
        dims => array(scalar, dims.into()),
    }
}

fuzz_target!(|input: (u8, u8, String)| {
    let (name, dims, text) = input;
    // No text of Postgres holds this character.
    if text.contains('\0') {
        return;
    }
    let data_type = data_type(name, dims);
    let Ok(value) = to_sqlite(&data_type, Some(&text)) else {
        return;
    };
    thread_local! {
        static SQLITE: Connection = common::replica();
    }
    let sql = format!("SELECT {}", value.literal());
    let held: Value = SQLITE.with(|sqlite| {
        sqlite
            .query_row(&sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    });
    match (&value, held) {
        (SqliteValue::Null, Value::Null) => {}
        (SqliteValue::Integer(value), Value::Integer(held)) => assert_eq!(*value, held),
        (SqliteValue::Real(value), Value::Real(held)) => {
            assert_eq!(value.to_bits(), held.to_bits(), "{sql}");
        }
        (SqliteValue::Text(value), Value::Text(held)) => assert_eq!(*value, held),
        (SqliteValue::Blob(value), Value::Blob(held)) => assert_eq!(*value, held),
        (_, held) => panic!("{sql} is {held:?} in SQLite"),
    }
    let is_array = data_type.base().array_dims > 0;
    // Elements that are JSON themselves are taken as they are: Postgres has read them.
    if let (SqliteValue::Text(json), true, false) = (&value, is_array, data_type.name == "jsonb") {
        serde_json::from_str::<IgnoredAny>(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
});
