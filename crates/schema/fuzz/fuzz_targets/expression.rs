//! Expressions of indexes: whatever the text, it is left out or said, and what is said SQLite takes.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{base, column, enumeration, extension, index, migrate, replica, table};
use electric_schema::change::Change;
use electric_schema::dialect::sqlite::{can_say_index, schema, statements};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // No text of Postgres holds this character.
    if input.contains('\0') {
        return;
    }
    let (key, predicate) = match input.split_once(" WHERE ") {
        Some((key, predicate)) => (key, Some(predicate)),
        None => (input, None),
    };
    let mut table = table(
        "t",
        vec![
            column("id", base("int4")),
            column("a", base("text")),
            column("b", base("bool")),
            column("c", base("float8")),
            column("d", base("timestamptz")),
            column("m", enumeration("mood")),
            column("e", extension("citext")),
            column("value", base("bytea")),
            column("Weird \"col", base("uuid")),
        ],
    );
    let create = schema(std::slice::from_ref(&table));
    let index = index("i", &[key], predicate);
    let can_be_said = can_say_index(&index, &table);
    table.indexes.push(index.clone());
    let said = statements(&Change::CreateIndex(index.clone()), Some(&table));
    assert_eq!(can_be_said, !said.is_empty());
    if can_be_said {
        let db = replica();
        migrate(&db, &create);
        migrate(&db, &said);
        migrate(&db, &statements(&Change::DropIndex(index), Some(&table)));
    }
});
