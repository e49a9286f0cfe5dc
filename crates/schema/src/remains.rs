//! What can be told of a recorded shape that cannot be read any more: it is nested too deep, or was edited by hand.

use crate::model::Table;
use crate::names;

/// A table of which only the names are known: those in the text, or else `schema` and `name`.
pub fn of(text: &str, schema: &str, name: &str) -> Table {
    if let Ok(table) = serde_json::from_str(text) {
        return table;
    }
    let schema = text_at(text, "schema").unwrap_or_else(|| schema.to_owned());
    let name = text_at(text, "name").unwrap_or_else(|| name.to_owned());
    Table {
        sqlite_name: text_at(text, "sqlite_name")
            .unwrap_or_else(|| names::sqlite_name(&schema, &name)),
        schema,
        name,
        checks: Vec::new(),
        collations: Vec::new(),
        columns: Vec::new(),
        exclusions: Vec::new(),
        extensions: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        primary_key: Vec::new(),
        primary_key_constraint: None,
        unique: Vec::new(),
    }
}

/// Whether JSON is nested no deeper than what reads it takes.
pub fn is_shallow(json: &str) -> bool {
    /// What serde_json reads.
    const LEVELS: usize = 127;
    let (mut at, mut depth) = (0, 0_usize);
    let bytes = json.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => match bytes.get(at..).and_then(end_of_string) {
                Some(length) => at += length - 1,
                None => return false,
            },
            _ => {}
        }
        if depth > LEVELS {
            return false;
        }
        at += 1;
    }
    true
}

/// The text that a JSON object has under that key, however deep its other values are.
fn text_at(json: &str, key: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    let mut is_key = false;
    let mut is_wanted = false;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                is_key = depth == 1 && byte == b'{';
                is_wanted &= depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => (is_key, is_wanted) = (true, false),
            b'"' => {
                let end = at + end_of_string(bytes.get(at..)?)?;
                if depth == 1 {
                    let found: Option<String> = serde_json::from_str(json.get(at..end)?).ok();
                    if is_key {
                        is_wanted = found.as_deref() == Some(key);
                        is_key = false;
                    } else if is_wanted {
                        return found;
                    }
                }
                at = end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the string ends that the bytes begin with.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_that_of_the_parser() {
        for levels in [1, 100, 126, 127, 128, 129, 5000] {
            let json = format!("{}\"]\\\"[\"{}", "[".repeat(levels), "]".repeat(levels));
            let is_read = serde_json::from_str::<serde_json::Value>(&json).is_ok();
            assert_eq!(is_shallow(&json), is_read, "{levels}");
        }
    }

    #[test]
    fn names_are_found_whatever_else_there_is() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let text = format!(
            r#"{{"columns": {deep}, "x": {{"name": "inner"}}, "name": "a\"b\\", "schema" : "public", "y": 1}}"#
        );
        let table = of(&text, "s", "n");
        assert_eq!(
            (table.schema.as_str(), table.name.as_str()),
            ("public", "a\"b\\")
        );
        assert_eq!(table.sqlite_name, "a\"b\\");
        for nothing in [
            "",
            "5",
            "null",
            "[]",
            "{",
            "{\"name\"",
            "{\"name\": 5}",
            "{\"a\": \"name\"}",
            "\"name",
            "{\"name\":\"\\",
        ] {
            assert_eq!(of(nothing, "s", "n").qualified_name(), "s.n", "{nothing}");
        }
        assert_eq!(of(r#"{"a":["x"],"name":"t"}"#, "s", "n").name, "t");
    }
}
