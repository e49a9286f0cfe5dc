//! Values: from the text form of Postgres (UTC, ISO dates, hex bytea, shortest floats) to what SQLite stores.

use crate::dialect::types::sqlite_type;
use crate::model::{ColumnType, SqliteType, TypeKind};
use crate::names::quote_literal;

/// Deeper than Postgres nests arrays (6), even with arrays of domains over arrays.
const MAX_DEPTH: usize = 64;

/// A value as SQLite stores it.
#[derive(Debug, Clone, PartialEq)]
pub enum SqliteValue {
    /// NULL.
    Null,
    /// INTEGER.
    Integer(i64),
    /// REAL.
    Real(f64),
    /// TEXT.
    Text(String),
    /// BLOB.
    Blob(Vec<u8>),
}

/// A text that is not a value of its type, or a type that SQLite replicas cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a value of type {data_type}: {value}")]
pub struct ValueError {
    /// The type as Postgres spells it.
    pub data_type: String,
    /// The text.
    pub value: String,
}

impl SqliteValue {
    /// The value as a literal of SQLite's SQL.
    pub fn literal(&self) -> String {
        match self {
            SqliteValue::Null => "NULL".to_owned(),
            SqliteValue::Integer(value) => value.to_string(),
            // SQLite stores NaN as NULL, and has no word for infinity but a number too large.
            SqliteValue::Real(value) if value.is_nan() => "NULL".to_owned(),
            SqliteValue::Real(value) if value.is_infinite() => {
                if *value > 0.0 {
                    "9e999".to_owned()
                } else {
                    "-9e999".to_owned()
                }
            }
            // Debug, unlike Display, keeps the point or exponent without which SQLite reads an integer.
            SqliteValue::Real(value) => format!("{value:?}"),
            SqliteValue::Text(value) => quote_literal(value),
            SqliteValue::Blob(value) => {
                let digits: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
                format!("X'{digits}'")
            }
        }
    }
}

/// What SQLite stores for a value of that type; `None` is NULL, and so is a NaN in a REAL column.
pub fn to_sqlite(data_type: &ColumnType, value: Option<&str>) -> Result<SqliteValue, ValueError> {
    let Some(text) = value else {
        return Ok(SqliteValue::Null);
    };
    convert(data_type, text).ok_or_else(|| ValueError {
        data_type: data_type.sql.clone(),
        value: text.to_owned(),
    })
}

fn convert(data_type: &ColumnType, text: &str) -> Option<SqliteValue> {
    let base = data_type.base();
    match sqlite_type(base)? {
        SqliteType::Integer if base.name == "bool" => {
            boolean(text).map(|b| SqliteValue::Integer(b.into()))
        }
        SqliteType::Integer => text.parse().ok().map(SqliteValue::Integer),
        SqliteType::Real => text.parse::<f64>().ok().map(|real| {
            if real.is_nan() {
                SqliteValue::Null
            } else {
                // SQLite stores whole numbers without a fraction, and with it loses the sign of -0.
                SqliteValue::Real(real + 0.0)
            }
        }),
        SqliteType::Blob => bytes(text).map(SqliteValue::Blob),
        SqliteType::Text if base.array_dims > 0 => {
            array_to_json(base, text, 0).map(SqliteValue::Text)
        }
        SqliteType::Text => Some(SqliteValue::Text(text.to_owned())),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "t" | "true" => Some(true),
        "f" | "false" => Some(false),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    digits
        .chunks_exact(2)
        .map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?))
        .collect()
}

/// An array's text form as JSON. The text is walked once and JSON written along, so that no number passes through
/// a float and loses digits. Lower bounds (`[2:4]={…}`) have no counterpart in JSON and are left out.
fn array_to_json(array: &ColumnType, text: &str, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    let element = ColumnType {
        array_dims: 0,
        ..array.clone()
    };
    // The one type of Postgres whose values hold commas unquoted.
    let is_box = element.base().kind == TypeKind::Base && element.base().name == "box";
    let delimiter = if is_box { ';' } else { ',' };
    let text = match text.strip_prefix('[') {
        Some(bounds) => bounds.split_once('=')?.1,
        None => text,
    };

    let mut json = String::with_capacity(text.len() + 8);
    let mut level = 0_usize;
    // Whether an element or a nested array may come next; otherwise a delimiter or a closing brace must.
    let mut expects_item = true;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            _ if level == 0 && !json.is_empty() => return None,
            '{' if expects_item => {
                level += 1;
                if depth + level > MAX_DEPTH {
                    return None;
                }
                json.push('[');
            }
            '}' if level > 0 && (!expects_item || json.ends_with('[')) => {
                level -= 1;
                expects_item = false;
                json.push(']');
            }
            c if c == delimiter && level > 0 && !expects_item => {
                expects_item = true;
                json.push(',');
            }
            c if level > 0 && expects_item && c != delimiter && c != '}' => {
                let quoted = c == '"';
                let mut item = String::new();
                if quoted {
                    loop {
                        match rest.next()? {
                            '"' => break,
                            '\\' => item.push(rest.next()?),
                            c => item.push(c),
                        }
                    }
                } else {
                    let mut next = Some(c);
                    while let Some(c) = next {
                        item.push(if c == '\\' { rest.next()? } else { c });
                        next = rest.next_if(|&c| c != delimiter && c != '}' && c != '{');
                    }
                }
                expects_item = false;
                if !quoted && item.eq_ignore_ascii_case("null") {
                    json.push_str("null");
                } else {
                    json.push_str(&element_to_json(&element, &item, depth + level)?);
                }
            }
            _ => return None,
        }
    }
    (level == 0 && !json.is_empty()).then_some(json)
}

fn element_to_json(element: &ColumnType, text: &str, depth: usize) -> Option<String> {
    let base = element.base();
    if base.array_dims > 0 {
        return array_to_json(base, text, depth);
    }
    if base.kind == TypeKind::Base {
        match base.name.as_str() {
            "bool" => return boolean(text).map(|b| b.to_string()),
            "int2" | "int4" | "int8" | "oid" => {
                return text.parse::<i64>().ok().map(|n| n.to_string());
            }
            // NaN and the infinities are no numbers in JSON and become strings below.
            "float4" | "float8" | "numeric" if is_json_number(text) => {
                return Some(text.to_owned());
            }
            "json" | "jsonb" => return Some(text.to_owned()),
            _ => {}
        }
    }
    Some(serde_json::Value::from(text).to_string())
}

/// Whether the text is a number by JSON's grammar as it stands.
fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        ),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}
