//! The types of Postgres that replicas can hold, how SQLite stores them, and which of them it compares as Postgres does.

use crate::model::{ColumnType, SqliteType, TypeKind};

const CATALOG: &str = "pg_catalog";

/// The storage class of a column of that type; `None` for a type that no replica can hold.
pub fn sqlite_type(data_type: &ColumnType) -> Option<SqliteType> {
    let scalar = scalar_type(data_type)?;
    Some(if data_type.array_dims > 0 {
        SqliteType::Text
    } else {
        scalar
    })
}

/// As [`sqlite_type`], for the element where the type is an array.
fn scalar_type(data_type: &ColumnType) -> Option<SqliteType> {
    match data_type.kind {
        TypeKind::Enum => Some(SqliteType::Text),
        TypeKind::Domain => sqlite_type(data_type.of.as_deref()?),
        TypeKind::Range | TypeKind::Multirange => {
            sqlite_type(data_type.of.as_deref()?).map(|_| SqliteType::Text)
        }
        TypeKind::Base => base_type(data_type),
        TypeKind::Other => None,
    }
}

fn base_type(data_type: &ColumnType) -> Option<SqliteType> {
    // Of extensions, only these: any other may have an output that depends on settings, or none that SQLite could use.
    if let Some(extension) = &data_type.extension {
        let known = matches!(data_type.name.as_str(), "citext" | "ltree" | "hstore");
        return (known && *extension == data_type.name).then_some(SqliteType::Text);
    }
    if data_type.schema != CATALOG {
        return None;
    }
    match data_type.name.as_str() {
        "bool" | "int2" | "int4" | "int8" | "oid" => Some(SqliteType::Integer),
        "float4" | "float8" => Some(SqliteType::Real),
        "bytea" => Some(SqliteType::Blob),
        "numeric" | "money" | "text" | "varchar" | "bpchar" | "name" | "uuid" | "date" | "time"
        | "timetz" | "timestamp" | "timestamptz" | "interval" | "inet" | "cidr" | "macaddr"
        | "json" | "jsonb" | "xml" | "bit" | "varbit" | "tsvector" | "point" | "line" | "lseg"
        | "box" | "path" | "polygon" | "circle" => Some(SqliteType::Text),
        _ => None,
    }
}

/// The name of a class of types among which two values are equal in Postgres exactly when their SQLite forms are; two
/// columns with the same class may carry a foreign key there. `None` where equality and form may part:
///
/// * `numeric` (1.0 = 1.00), `jsonb` (numbers inside), `bpchar` (trailing blanks), `citext` (case), `interval`
///   (1 month = 30 days), floats (0 = -0, NaN), `timetz`, `money` (form depends on the server's locale);
/// * arrays, whose lower bounds JSON does not show;
/// * types without an equality in Postgres, and those where nobody needs it (`tsvector`, `hstore`, user's ranges).
pub fn equality_class(data_type: &ColumnType) -> Option<String> {
    if data_type.array_dims > 0 {
        return None;
    }
    match data_type.kind {
        TypeKind::Enum => Some(format!(
            "enum {}",
            crate::names::qualified(&data_type.schema, &data_type.name)
        )),
        TypeKind::Domain => equality_class(data_type.of.as_deref()?),
        // A user's range brings its own operator class, so its equality may be anything.
        TypeKind::Range | TypeKind::Multirange if data_type.schema == CATALOG => {
            equality_class(data_type.of.as_deref()?).map(|_| data_type.name.clone())
        }
        TypeKind::Range | TypeKind::Multirange | TypeKind::Other => None,
        TypeKind::Base => base_type(data_type)
            .and_then(|_| base_class(data_type))
            .map(str::to_owned),
    }
}

fn base_class(data_type: &ColumnType) -> Option<&str> {
    match data_type.name.as_str() {
        "int2" | "int4" | "int8" | "oid" => Some("integer"),
        "text" | "varchar" | "name" => Some("text"),
        // Each alone: Postgres also compares date with timestamp, inet with cidr, bit with varbit, but their forms differ.
        own @ ("bool" | "uuid" | "date" | "time" | "timestamp" | "timestamptz" | "inet"
        | "cidr" | "macaddr" | "bytea" | "bit" | "varbit" | "ltree") => Some(own),
        _ => None,
    }
}
