//! The policies: how far a change may go beyond what no replica can be hurt by.

use crate::model::{ColumnType, TypeKind};

/// What is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Only what takes nothing away.
    Additive,
    /// Also what loosens a promise.
    Compatible,
}

/// Whether every value of `from` has the same text form and the same place in SQLite as a value of `to`.
pub fn widens(from: &ColumnType, to: &ColumnType) -> bool {
    if from.array_dims != to.array_dims || from.kind != TypeKind::Base || to.kind != TypeKind::Base
    {
        return false;
    }
    if from.schema != "pg_catalog" || to.schema != "pg_catalog" {
        return false;
    }
    match (from.name.as_str(), to.name.as_str()) {
        ("int2", "int4" | "int8") | ("int4", "int8") => true,
        ("varchar", "text") => true,
        ("varchar", "varchar") | ("varbit", "varbit") => {
            longer(from.modifiers.first(), to.modifiers.first())
        }
        // Trailing zeros of seconds are not printed, so that more digits change no text.
        ("time", "time")
        | ("timetz", "timetz")
        | ("timestamp", "timestamp")
        | ("timestamptz", "timestamptz") => longer(from.modifiers.first(), to.modifiers.first()),
        // A scale pads with zeros: it must stay, or go.
        ("numeric", "numeric") => match (from.modifiers.as_slice(), to.modifiers.as_slice()) {
            (_, []) => true,
            ([digits, scale], [more, same]) => scale == same && digits <= more,
            _ => false,
        },
        _ => false,
    }
}

/// A limit is no narrower than another; none is the widest.
fn longer(from: Option<&i64>, to: Option<&i64>) -> bool {
    match (from, to) {
        (_, None) => true,
        (Some(from), Some(to)) => from <= to,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, modifiers: &[i64]) -> ColumnType {
        ColumnType {
            name: name.to_owned(),
            schema: "pg_catalog".to_owned(),
            modifiers: modifiers.to_vec(),
            array_dims: 0,
            kind: TypeKind::Base,
            sql: name.to_owned(),
            extension: None,
            of: None,
        }
    }

    #[test]
    fn types_widen_as_long_as_no_text_changes() {
        let yes = [
            (of("int2", &[]), of("int4", &[])),
            (of("int4", &[]), of("int8", &[])),
            (of("varchar", &[10]), of("varchar", &[20])),
            (of("varchar", &[10]), of("varchar", &[])),
            (of("varchar", &[10]), of("text", &[])),
            (of("numeric", &[10, 2]), of("numeric", &[12, 2])),
            (of("numeric", &[10, 2]), of("numeric", &[])),
            (of("timestamptz", &[3]), of("timestamptz", &[])),
        ];
        for (from, to) in yes {
            assert!(widens(&from, &to), "{from:?} {to:?}");
        }
        let no = [
            (of("int8", &[]), of("int4", &[])),
            (of("int4", &[]), of("text", &[])),
            (of("float4", &[]), of("float8", &[])),
            (of("bpchar", &[3]), of("bpchar", &[5])),
            (of("varchar", &[]), of("varchar", &[20])),
            (of("text", &[]), of("varchar", &[])),
            (of("numeric", &[10, 2]), of("numeric", &[12, 4])),
            (of("numeric", &[]), of("numeric", &[12, 4])),
            (of("int4", &[]), of("numeric", &[])),
        ];
        for (from, to) in no {
            assert!(!widens(&from, &to), "{from:?} {to:?}");
        }
    }

    #[test]
    fn dimensions_must_agree() {
        let array = ColumnType {
            array_dims: 1,
            ..of("int4", &[])
        };
        assert!(!widens(&array, &of("int8", &[])));
        assert!(widens(
            &array,
            &ColumnType {
                array_dims: 1,
                ..of("int8", &[])
            }
        ));
    }
}
