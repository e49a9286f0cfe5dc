//! Arrays as Postgres prints them: the JSON that replicas hold has the same elements in the same nesting.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use arbitrary::Arbitrary;
use common::{array, base};
use electric_schema::value::{SqliteValue, to_sqlite};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[derive(Debug, Arbitrary)]
struct Array {
    /// Lower bounds other than 1 are printed before the elements.
    bounds: bool,
    /// Whether elements are quoted that need it not, as `array_out` never does but `array_in` takes.
    quote_all: bool,
    rows: Vec<Vec<Option<String>>>,
    /// One dimension instead of two.
    flat: bool,
    /// Elements are boxes, which are delimited by semicolons.
    boxes: bool,
}

impl Array {
    fn element(&self, element: &Option<String>, delimiter: &str) -> String {
        let Some(text) = element else {
            return "NULL".to_owned();
        };
        // The rules of `array_out`.
        let needs_quotes = text.is_empty()
            || text.eq_ignore_ascii_case("null")
            || text.contains(['{', '}', '"', '\\'])
            || text.contains(delimiter)
            || text.contains([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
        if needs_quotes || self.quote_all {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{escaped}\"")
        } else {
            text.clone()
        }
    }

    fn row(&self, row: &[Option<String>], delimiter: &str) -> String {
        let elements: Vec<_> = row.iter().map(|e| self.element(e, delimiter)).collect();
        format!("{{{}}}", elements.join(delimiter))
    }
}

fuzz_target!(|input: Array| {
    let delimiter = if input.boxes { ";" } else { "," };
    let data_type = array(base(if input.boxes { "box" } else { "text" }), 1);
    let (printed, expected): (String, Value) = match (input.flat, input.rows.first()) {
        (true, Some(row)) => (input.row(row, delimiter), json!(row)),
        _ => {
            let rows: Vec<_> = input.rows.iter().map(|r| input.row(r, delimiter)).collect();
            (format!("{{{}}}", rows.join(delimiter)), json!(input.rows))
        }
    };
    let bounds = if input.bounds { "[2:3][-1:4]=" } else { "" };
    let text = format!("{bounds}{printed}");
    let Ok(SqliteValue::Text(json)) = to_sqlite(&data_type, Some(&text)) else {
        panic!("not read: {text}");
    };
    let held: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(held, expected, "{text}");
});
