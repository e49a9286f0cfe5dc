//! Canonical Postgres, as text; that a server takes it and shows the same shapes is tested end to end elsewhere.

mod common;

use common::*;
use electric_schema::change::{Change, LabelPosition};
use electric_schema::dialect::postgres::statements;
use electric_schema::model::*;

fn sequence(name: &str, owned: bool) -> Sequence {
    Sequence {
        schema: "app".into(),
        name: name.into(),
        data_type: "integer".into(),
        start: 1,
        increment: 1,
        min: 1,
        max: 2147483647,
        cache: 1,
        cycle: owned,
        owned,
    }
}

fn definition(kind: TypeKind, labels: &[&str], sql: Option<&str>) -> TypeDefinition {
    TypeDefinition {
        schema: "app".into(),
        name: "State".into(),
        kind,
        labels: labels.iter().map(|label| (*label).into()).collect(),
        definition: sql.map(Into::into),
        extensions: vec![],
        collations: vec![],
        not_valid: vec![],
    }
}

#[test]
fn types() {
    let state = definition(TypeKind::Enum, &["open", "it's"], None);
    assert_eq!(
        statements(&Change::CreateType(state.clone()), None),
        [
            "CREATE SCHEMA IF NOT EXISTS \"app\"",
            "CREATE TYPE \"app\".\"State\" AS ENUM ('open', 'it''s')"
        ]
    );
    let public = TypeDefinition {
        schema: "public".into(),
        ..state.clone()
    };
    assert_eq!(
        statements(&Change::CreateType(public), None),
        ["CREATE TYPE \"public\".\"State\" AS ENUM ('open', 'it''s')"]
    );
    let mut domain = definition(
        TypeKind::Domain,
        &[],
        Some("CREATE DOMAIN app.\"State\" AS ext.citext"),
    );
    domain.extensions = vec![Extension {
        name: "citext".into(),
        schema: "ext".into(),
    }];
    assert_eq!(
        statements(&Change::CreateType(domain), None),
        [
            "CREATE SCHEMA IF NOT EXISTS \"app\"",
            "CREATE SCHEMA IF NOT EXISTS \"ext\"",
            "CREATE EXTENSION IF NOT EXISTS \"citext\" WITH SCHEMA \"ext\"",
            "CREATE DOMAIN app.\"State\" AS ext.citext"
        ]
    );
    let mut domain = definition(
        TypeKind::Domain,
        &[],
        Some("CREATE DOMAIN \"app\".\"State\" AS text COLLATE \"sort\".\"No\""),
    );
    domain.collations = vec![Collation {
        schema: "sort".into(),
        name: "No".into(),
        options: "provider = libc, locale = 'C'".into(),
    }];
    domain.not_valid = vec![
        "ALTER DOMAIN \"app\".\"State\" ADD CONSTRAINT \"c\" CHECK (VALUE <> '') NOT VALID".into(),
    ];
    assert_eq!(
        statements(&Change::CreateType(domain.clone()), None),
        [
            "CREATE SCHEMA IF NOT EXISTS \"app\"",
            "CREATE SCHEMA IF NOT EXISTS \"sort\"",
            "CREATE COLLATION IF NOT EXISTS \"sort\".\"No\" (provider = libc, locale = 'C')",
            domain.definition.as_deref().unwrap(),
            &domain.not_valid[0],
        ]
    );
    let add = |position| Change::AddEnumValue {
        enum_type: state.clone(),
        value: "it's new".into(),
        position,
    };
    assert_eq!(
        statements(&add(LabelPosition::Last), None),
        ["ALTER TYPE \"app\".\"State\" ADD VALUE 'it''s new'"]
    );
    assert_eq!(
        statements(&add(LabelPosition::Before("it's".into())), None),
        ["ALTER TYPE \"app\".\"State\" ADD VALUE 'it''s new' BEFORE 'it''s'"]
    );
}

fn items() -> Table {
    let mut id = required("id", base("int4"));
    id.default = Some("nextval('app.items_id_seq'::regclass)".into());
    id.sequence = Some(sequence("items_id_seq", true));
    let mut number = required("number", base("int4"));
    number.identity = Some(Identity::Always);
    number.sequence = Some(sequence("items_number_seq", false));
    let mut title = with_default(required("Title", base("text")), "it's");
    title.collation = Some("pg_catalog.\"C\"".into());
    let mut local = column("local", extension("citext"));
    local.default = Some("app.mine()".into());
    local.default_is_local = true;
    let mut items = table("items", vec![id, number, title, local]);
    items.schema = "app".into();
    items.sqlite_name = "app.items".into();
    items.unique = vec![constraint(
        "items_title_key",
        "UNIQUE (\"Title\") INCLUDE (number)",
    )];
    items.exclusions = vec![constraint("ex", "EXCLUDE USING gist (number WITH =)")];
    items.checks = vec![
        constraint("check 1", "CHECK ((number > 0))"),
        constraint("unchecked", "CHECK ((number < 9)) NOT VALID"),
        Constraint {
            is_local: true,
            ..constraint("mine", "CHECK (app.mine(number)) NOT VALID")
        },
    ];
    let mut late = foreign_key("number", "late", "id");
    late.name = "late".into();
    let mut unchecked = foreign_key("number", "other", "id");
    unchecked.definition.push_str(" NOT VALID");
    items.foreign_keys = vec![foreign_key("id", "parent", "id"), late, unchecked];
    items.indexes = vec![
        Index {
            definition: "CREATE INDEX i ON app.items USING btree (number)".into(),
            ..index("i", &["number"], None)
        },
        Index {
            is_local: true,
            ..index("j", &["app.mine(number)"], None)
        },
    ];
    items.extensions = vec![Extension {
        name: "btree_gist".into(),
        schema: "public".into(),
    }];
    items
}

#[test]
fn tables() {
    let change = Change::CreateTable {
        later: vec!["late".into()],
        earlier: vec![("app.\"Before\"".into(), foreign_key("item", "items", "id"))],
    };
    assert_eq!(
        statements(&change, Some(&items())),
        [
            "CREATE SCHEMA IF NOT EXISTS \"app\"",
            "CREATE EXTENSION IF NOT EXISTS \"btree_gist\" WITH SCHEMA \"public\"",
            "CREATE SEQUENCE IF NOT EXISTS \"app\".\"items_id_seq\" AS integer START WITH 1 INCREMENT BY 1 \
             MINVALUE 1 MAXVALUE 2147483647 CACHE 1 CYCLE",
            "CREATE EXTENSION IF NOT EXISTS \"citext\" WITH SCHEMA \"public\"",
            "CREATE TABLE \"app\".\"items\" (\
             \"id\" int4 DEFAULT nextval('app.items_id_seq'::regclass) NOT NULL, \
             \"number\" int4 NOT NULL GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME \"app\".\"items_number_seq\" \
             START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1), \
             \"Title\" text COLLATE pg_catalog.\"C\" DEFAULT 'it''s'::text NOT NULL, \
             \"local\" public.citext, \
             CONSTRAINT \"items_pkey\" PRIMARY KEY (id), \
             CONSTRAINT \"items_title_key\" UNIQUE (\"Title\") INCLUDE (number), \
             CONSTRAINT \"ex\" EXCLUDE USING gist (number WITH =), \
             CONSTRAINT \"check 1\" CHECK ((number > 0)), \
             CONSTRAINT \"id_fkey\" FOREIGN KEY (id) REFERENCES public.parent(id))",
            "ALTER SEQUENCE \"app\".\"items_id_seq\" OWNED BY \"app\".\"items\".\"id\"",
            "ALTER TABLE \"app\".\"items\" ADD CONSTRAINT \"unchecked\" CHECK ((number < 9)) NOT VALID",
            "ALTER TABLE \"app\".\"items\" ADD CONSTRAINT \"number_fkey\" FOREIGN KEY (number) REFERENCES \
             public.other(id) NOT VALID",
            "CREATE INDEX i ON app.items USING btree (number)",
            "ALTER TABLE app.\"Before\" ADD CONSTRAINT \"item_fkey\" FOREIGN KEY (item) REFERENCES public.items(id)",
        ]
    );
    assert!(statements(&Change::DisableTable, Some(&items())).is_empty());
}

#[test]
fn added_columns() {
    let add = |column: Column, existing: Option<&str>| {
        let change = Change::AddColumn {
            column: column.clone(),
            existing_value: existing.map(Into::into),
            constraints: vec![],
            foreign_keys: vec![],
        };
        let mut shape = table("t", vec![required("id", base("int4")), column]);
        shape.extensions = vec![];
        statements(&change, Some(&shape))
    };
    let with = |default: &str, value: Option<&str>| Column {
        default: Some(default.into()),
        default_value: value.map(Into::into),
        ..column("c", base("int4"))
    };
    assert_eq!(
        add(column("c", base("int4")), None),
        ["ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4"]
    );
    assert_eq!(
        add(
            Column {
                nullable: false,
                ..with("5", Some("5"))
            },
            Some("5")
        ),
        ["ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4 DEFAULT 5 NOT NULL"]
    );
    // A default that gave existing rows this value then, and may give another elsewhere.
    assert_eq!(
        add(with("now_as_int()", None), Some("5")),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4 DEFAULT '5'::int4",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" SET DEFAULT now_as_int()"
        ]
    );
    // One that gave NULL.
    assert_eq!(
        add(with("setting_as_int()", None), None),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" SET DEFAULT setting_as_int()"
        ]
    );
    // One that was changed within the same statement, or that only that server has.
    assert_eq!(
        add(with("6", Some("6")), Some("5")),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4 DEFAULT '5'::int4",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" SET DEFAULT 6"
        ]
    );
    assert_eq!(
        add(
            Column {
                default_is_local: true,
                ..with("app.mine()", None)
            },
            Some("it's")
        ),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4 DEFAULT 'it''s'::int4",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" DROP DEFAULT"
        ]
    );
    assert_eq!(
        add(column("c", array(extension("ltree"), 1)), None),
        [
            "CREATE EXTENSION IF NOT EXISTS \"ltree\" WITH SCHEMA \"public\"",
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.ltree[]"
        ]
    );

    // Without a word, rows that are there would get the domain's default.
    let of_domain = |default: Option<&str>| Column {
        default: default.map(Into::into),
        ..column("c", domain(domain(base("int4"))))
    };
    assert_eq!(
        add(of_domain(None), None),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.dom DEFAULT NULL",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" DROP DEFAULT",
        ]
    );
    assert_eq!(
        add(of_domain(Some("NULL::public.dom")), None),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.dom DEFAULT NULL",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" SET DEFAULT NULL::public.dom",
        ]
    );
    let local = Column {
        default_is_local: true,
        ..of_domain(Some("app.mine()"))
    };
    assert_eq!(
        add(local, None),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.dom DEFAULT NULL",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" DROP DEFAULT",
        ]
    );
    assert_eq!(
        add(of_domain(None), Some("5")),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.dom DEFAULT '5'::public.dom",
            "ALTER TABLE \"public\".\"t\" ALTER COLUMN \"c\" DROP DEFAULT",
        ]
    );
    // An array of a domain does not take the domain's default.
    assert_eq!(
        add(column("c", array(domain(base("int4")), 1)), None),
        ["ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" public.dom[]"]
    );

    let change = Change::AddColumn {
        column: column("c", base("int4")),
        existing_value: None,
        constraints: vec![
            constraint("c1", "CHECK ((c > 0))"),
            Constraint {
                is_local: true,
                ..constraint("c2", "CHECK (app.mine(c))")
            },
        ],
        foreign_keys: vec![foreign_key("c", "parent", "id")],
    };
    assert_eq!(
        statements(
            &change,
            Some(&table("t", vec![required("id", base("int4"))]))
        ),
        [
            "ALTER TABLE \"public\".\"t\" ADD COLUMN \"c\" int4",
            "ALTER TABLE \"public\".\"t\" ADD CONSTRAINT \"c1\" CHECK ((c > 0))",
            "ALTER TABLE \"public\".\"t\" ADD CONSTRAINT \"c_fkey\" FOREIGN KEY (c) REFERENCES public.parent(id)",
        ]
    );
}

#[test]
fn the_rest() {
    let items = items();
    let run = |change: Change| statements(&change, Some(&items));
    let gist = "CREATE EXTENSION IF NOT EXISTS \"btree_gist\" WITH SCHEMA \"public\"";
    let (shared, local) = (items.indexes[0].clone(), items.indexes[1].clone());
    assert_eq!(
        run(Change::CreateIndex(shared.clone())),
        [gist, "CREATE INDEX i ON app.items USING btree (number)"]
    );
    assert_eq!(
        run(Change::DropIndex(shared.clone())),
        ["DROP INDEX \"app\".\"i\""]
    );
    let renamed = Index {
        name: "I 2".into(),
        ..shared.clone()
    };
    assert_eq!(
        run(Change::RenameIndex {
            from: shared,
            to: renamed
        }),
        ["ALTER INDEX \"app\".\"i\" RENAME TO \"I 2\""]
    );
    for change in [
        Change::CreateIndex(local.clone()),
        Change::DropIndex(local.clone()),
        Change::RenameIndex {
            from: local.clone(),
            to: local,
        },
        Change::ValidateConstraint("mine".into()),
    ] {
        assert!(run(change).is_empty());
    }
    assert_eq!(
        run(Change::ValidateConstraint("unchecked".into())),
        ["ALTER TABLE \"app\".\"items\" VALIDATE CONSTRAINT \"unchecked\""]
    );
    let alter = |column: usize, action: &str| {
        format!(
            "ALTER TABLE \"app\".\"items\" ALTER COLUMN \"{}\" {action}",
            items.columns[column].name
        )
    };
    assert_eq!(
        run(Change::DropDefault(items.columns[2].clone())),
        [alter(2, "DROP DEFAULT")]
    );
    assert_eq!(
        run(Change::SetDefault(items.columns[2].clone())),
        [alter(2, "SET DEFAULT 'it''s'::text")]
    );
    assert_eq!(
        run(Change::SetDefault(items.columns[3].clone())),
        [alter(3, "DROP DEFAULT")],
        "local"
    );
    let serial = run(Change::SetDefault(items.columns[0].clone()));
    assert_eq!(
        serial[2..],
        [
            "CREATE SEQUENCE IF NOT EXISTS \"app\".\"items_id_seq\" AS integer START WITH 1 INCREMENT BY 1 \
             MINVALUE 1 MAXVALUE 2147483647 CACHE 1 CYCLE"
                .to_owned(),
            alter(0, "SET DEFAULT nextval('app.items_id_seq'::regclass)"),
            "ALTER SEQUENCE \"app\".\"items_id_seq\" OWNED BY \"app\".\"items\".\"id\"".to_owned()
        ]
    );
    assert!(
        statements(&Change::DropDefault(items.columns[2].clone()), None).is_empty(),
        "no table"
    );
}
