//! Every type of S6: how SQLite stores it, and whether a foreign key may rest on it.

mod common;

use common::*;
use electric_schema::dialect::types::{equality_class, sqlite_type};
use electric_schema::model::{ColumnType, SqliteType, TypeKind};

#[test]
fn base_types() {
    let cases = [
        (SqliteType::Integer, "bool int2 int4 int8 oid"),
        (SqliteType::Real, "float4 float8"),
        (
            SqliteType::Text,
            "numeric money text varchar bpchar name uuid date time timetz timestamp timestamptz interval inet cidr \
             macaddr json jsonb xml bit varbit tsvector point line lseg box path polygon circle",
        ),
        (SqliteType::Blob, "bytea"),
    ];
    for (storage, names) in cases {
        for name in names.split_whitespace() {
            assert_eq!(sqlite_type(&base(name)), Some(storage), "{name}");
            assert_eq!(
                sqlite_type(&domain(base(name))),
                Some(storage),
                "domain over {name}"
            );
            assert_eq!(
                sqlite_type(&domain(domain(base(name)))),
                Some(storage),
                "domain over domain over {name}"
            );
            for dims in 1..=3 {
                let text = Some(SqliteType::Text);
                assert_eq!(sqlite_type(&array(base(name), dims)), text, "{name}[]");
                assert_eq!(
                    sqlite_type(&array(domain(base(name)), dims)),
                    text,
                    "array of domain over {name}"
                );
                assert_eq!(
                    sqlite_type(&domain(array(base(name), dims))),
                    text,
                    "domain over {name}[]"
                );
            }
        }
    }
}

#[test]
fn other_types() {
    let text = Some(SqliteType::Text);
    for name in ["citext", "ltree", "hstore"] {
        assert_eq!(sqlite_type(&extension(name)), text);
        assert_eq!(sqlite_type(&array(extension(name), 1)), text);
        let impostor = ColumnType {
            extension: None,
            ..extension(name)
        };
        assert_eq!(sqlite_type(&impostor), None, "a user's base type {name}");
        let other = ColumnType {
            extension: Some("other".into()),
            ..extension(name)
        };
        assert_eq!(sqlite_type(&other), None, "{name} of another extension");
    }
    assert_eq!(sqlite_type(&enumeration("status")), text);
    assert_eq!(
        sqlite_type(&enumeration("bool")),
        text,
        "an enum may be called anything"
    );
    for kind in [TypeKind::Range, TypeKind::Multirange] {
        assert_eq!(sqlite_type(&made_of(kind, "r", base("int4"))), text);
        assert_eq!(sqlite_type(&made_of(kind, "r", base("pg_lsn"))), None);
    }
}

#[test]
fn refused_types() {
    for name in [
        "record",
        "pg_lsn",
        "tsquery",
        "xid",
        "anyelement",
        "void",
        "int2vector",
        "point3d",
    ] {
        for data_type in [base(name), array(base(name), 1), domain(base(name))] {
            assert_eq!(sqlite_type(&data_type), None, "{name}");
            assert_eq!(equality_class(&data_type), None, "{name}");
        }
    }
    let composite = ColumnType {
        kind: TypeKind::Other,
        schema: "public".into(),
        ..base("text")
    };
    assert_eq!(sqlite_type(&composite), None);
    assert_eq!(sqlite_type(&array(composite, 1)), None);
    let shadow = ColumnType {
        schema: "public".into(),
        ..base("text")
    };
    assert_eq!(sqlite_type(&shadow), None);
    assert_eq!(sqlite_type(&extension("vector")), None);
    assert_eq!(
        sqlite_type(&ColumnType {
            kind: TypeKind::Domain,
            ..base("text")
        }),
        None,
        "a domain over nothing"
    );
}

#[test]
fn classes_of_equality() {
    let class = |data_type: &ColumnType| equality_class(data_type);
    for (names, same) in [
        ("int2 int4 int8 oid", "integer"),
        ("text varchar name", "text"),
    ] {
        for name in names.split_whitespace() {
            assert_eq!(class(&base(name)).as_deref(), Some(same), "{name}");
            assert_eq!(
                class(&domain(base(name))).as_deref(),
                Some(same),
                "domain over {name}"
            );
        }
    }
    for name in "bool uuid date time timestamp timestamptz inet cidr macaddr bytea bit varbit"
        .split_whitespace()
    {
        assert_eq!(class(&base(name)).as_deref(), Some(name));
    }
    for name in
        "numeric money bpchar timetz interval float4 float8 json jsonb xml tsvector point box"
            .split_whitespace()
    {
        assert_eq!(class(&base(name)), None, "{name}");
        assert_eq!(class(&domain(base(name))), None, "{name}");
    }
    assert_eq!(class(&extension("citext")), None);
    assert_eq!(class(&extension("hstore")), None);
    assert_eq!(class(&array(base("int4"), 1)), None);
    assert_eq!(class(&domain(array(base("int4"), 1))), None);
    assert_ne!(class(&enumeration("a")), class(&enumeration("b")));
    assert!(class(&enumeration("a")).is_some());

    let range = |name: &str, of: &str| ColumnType {
        schema: "pg_catalog".into(),
        ..made_of(TypeKind::Range, name, base(of))
    };
    assert_eq!(
        class(&range("int4range", "int4")).as_deref(),
        Some("int4range")
    );
    assert_eq!(class(&range("numrange", "numeric")), None);
    assert_eq!(
        class(&made_of(TypeKind::Range, "r", base("int4"))),
        None,
        "a user's range"
    );
}
