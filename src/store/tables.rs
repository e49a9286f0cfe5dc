//! The tables of the extension, as sql/*.sql makes them: one list, which everything that reads or writes them goes by.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::pg::column::{Column, Moment, Xid8};
use crate::pg::own::Spec;

/// A name that ends with a zero byte.
const fn terminated(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(found) => found,
        Err(_) => c"",
    }
}

/// Of each table its columns, with what Rust reads and what SQL has, and its indexes, with their columns.
macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident {
        $($column:ident: $rust:ty = $sql:ident),+ $(,)?
    } by {
        $($index:ident ($($key:ident),+)),+ $(,)?
    })+) => {
        $($(#[$doc])*
        #[allow(non_upper_case_globals, dead_code, missing_docs, reason = "named as in SQL")]
        pub mod $table {
            use super::*;

            #[allow(non_camel_case_types, reason = "named as in SQL")]
            enum Number { Zero, $($column),+ }

            $(pub const $column: Column<$rust> = Column::new(Number::$column as u32);)+

            pub static TABLE: Spec = Spec {
                name: terminated(concat!(stringify!($table), "\0")),
                columns: &[$((stringify!($column), pg_sys::$sql)),+],
                indexes: &[$(($index, &[$(Number::$key as i16),+])),+],
            };

            $(pub const $index: &CStr =
                terminated(concat!(stringify!($index), "\0"));)+

            const _: u32 = Number::Zero as u32;
        })+
    };
}

tables! {
    /// Migrations, in commit order.
    migrations {
        id: i64 = INT8OID,
        version: String = TEXTOID,
        source: String = TEXTOID,
        framework: Option<String> = TEXTOID,
        framework_version: Option<String> = TEXTOID,
        xid: Xid8 = XID8OID,
        created_at: Moment = TIMESTAMPTZOID,
    } by {
        migrations_pkey(id),
        migrations_version_key(version),
    }

    /// Their commands, in order.
    ddl_commands {
        id: i64 = INT8OID,
        migration_id: i64 = INT8OID,
        command: String = TEXTOID,
        relation: String = TEXTOID,
        query: String = TEXTOID,
        postgres: Vec<String> = TEXTARRAYOID,
        sqlite: Vec<String> = TEXTARRAYOID,
        op: serde_json::Value = JSONBOID,
        hash: String = TEXTOID,
    } by {
        ddl_commands_pkey(id),
        ddl_commands_relation_idx(relation, id),
        ddl_commands_command_idx(command, relation, id),
    }

    /// Privileges of clients.
    grants {
        table_schema: String = TEXTOID,
        table_name: String = TEXTOID,
        privilege: String = TEXTOID,
        grantee: String = TEXTOID,
        role: Option<String> = TEXTOID,
        scope_schema: Option<String> = TEXTOID,
        scope_table: Option<String> = TEXTOID,
        columns: Option<Vec<String>> = TEXTARRAYOID,
        using_path: Option<Vec<String>> = TEXTARRAYOID,
        condition: Option<String> = TEXTOID,
    } by {
        grants_key(table_schema, table_name, privilege, grantee, role, scope_schema, scope_table),
    }

    /// How rows give roles to users.
    assignments {
        table_schema: String = TEXTOID,
        table_name: String = TEXTOID,
        user_column: String = TEXTOID,
        role: Option<String> = TEXTOID,
        role_column: Option<String> = TEXTOID,
        scope_schema: Option<String> = TEXTOID,
        scope_table: Option<String> = TEXTOID,
        using_path: Option<Vec<String>> = TEXTARRAYOID,
        condition: Option<String> = TEXTOID,
    } by {
        assignments_key(table_schema, table_name, user_column, role, role_column, scope_schema, scope_table),
    }

    /// The electrified tables, and where their ids were recorded.
    places {
        relation: pg_sys::Oid = REGCLASSOID,
        place: String = TEXTOID,
    } by {
        places_pkey(relation),
    }

    /// Their recorded shapes.
    electrified {
        relation: pg_sys::Oid = REGCLASSOID,
        shape: String = JSONOID,
        identity: String = JSONOID,
    } by {
        electrified_pkey(relation),
    }

    /// The types that they use.
    electrified_types {
        r#type: pg_sys::Oid = REGTYPEOID,
        definition: String = JSONOID,
        identity: String = TEXTOID,
    } by {
        electrified_types_pkey(r#type),
    }

    /// Names in SQLite.
    sqlite_names {
        name: String = TEXTOID,
        relation: pg_sys::Oid = REGCLASSOID,
    } by {
        sqlite_names_pkey(name),
    }

    /// The subscription that this database follows another by.
    subscriptions {
        name: String = TEXTOID,
    } by {
        subscriptions_pkey(name),
    }

    /// What the subscription made here.
    stream_objects {
        relation: pg_sys::Oid = REGCLASSOID,
        r#type: pg_sys::Oid = REGTYPEOID,
    } by {
        stream_objects_pkey(relation, r#type),
    }

    /// What is passed over here.
    blocked {
        relation: String = TEXTOID,
        reason: String = TEXTOID,
        command: i64 = INT8OID,
        since: Moment = TIMESTAMPTZOID,
    } by {
        blocked_pkey(relation),
    }

    /// How the books of frameworks are recognised.
    frameworks {
        name: String = TEXTOID,
        table_name: String = TEXTOID,
        columns: Vec<String> = TEXTARRAYOID,
        only_columns: bool = BOOLOID,
        version: String = TEXTOID,
        running: Option<String> = TEXTOID,
        built_in: bool = BOOLOID,
    } by {
        frameworks_pkey(name, table_name),
    }
}

/// The tables that replicas follow.
pub static RECORDS: [&Spec; 4] = [
    &migrations::TABLE,
    &ddl_commands::TABLE,
    &grants::TABLE,
    &assignments::TABLE,
];
