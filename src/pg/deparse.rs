//! SQL text of catalog entries, as the server prints it. All of it is to be called within [`session::printing`].

use std::ffi::CStr;

use pgrx::pg_sys;

use super::names::from_server;
use super::session;

// `pg_proc.dat` fixes these; the bindings spell the constants of functions that end in `_OID` as something else.
const PG_GET_EXPR: pg_sys::Oid = pg_sys::Oid::from_u32(1716);
const PG_GET_CONSTRAINTDEF: pg_sys::Oid = pg_sys::Oid::from_u32(1387);
const PG_GET_INDEXDEF: pg_sys::Oid = pg_sys::Oid::from_u32(1643);
const PG_GET_INDEXDEF_COLUMN: pg_sys::Oid = pg_sys::Oid::from_u32(2507);

/// Calls a built-in function of the server's that takes what `ruleutils.c` needs and returns text.
fn text(function: pg_sys::Oid, arguments: &[pg_sys::Datum]) -> Option<String> {
    session::prints();
    let none = pg_sys::Oid::INVALID;
    // SAFETY: built-in functions with that many arguments, none of them NULL. They return NULL only for objects
    // that are gone, which OidFunctionCall reports as an error.
    unsafe {
        let datum = match *arguments {
            [a] => pg_sys::OidFunctionCall1Coll(function, none, a),
            [a, b] => pg_sys::OidFunctionCall2Coll(function, none, a, b),
            [a, b, c] => pg_sys::OidFunctionCall3Coll(function, none, a, b, c),
            _ => return None,
        };
        super::size::definition(datum)
    }
}

/// A stored expression (`pg_node_tree`) over the columns of a relation.
pub fn expression(tree: pg_sys::Datum, relation: pg_sys::Oid) -> Option<String> {
    super::size::tree(tree);
    text(PG_GET_EXPR, &[tree, relation.into()])
}

/// A constraint without its name: `CHECK ((a > 0))`.
pub fn constraint(id: pg_sys::Oid) -> Option<String> {
    text(PG_GET_CONSTRAINTDEF, &[id.into()])
}

/// A PRIMARY KEY that is not deferrable, and has no columns but those of the key, as [`constraint`] prints it.
pub fn primary_key(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
    format!("PRIMARY KEY ({})", quoted.join(", "))
}

/// A name as the server quotes it.
pub fn quoted(name: &str) -> String {
    // SAFETY: reads a variable, that of the one setting which quoting depends on.
    if unsafe { pg_sys::quote_all_identifiers } {
        session::prints();
    }
    let Ok(name) = std::ffi::CString::new(name) else {
        return String::new();
    };
    // SAFETY: gives its argument or a copy, nul-terminated.
    unsafe { from_server(CStr::from_ptr(pg_sys::quote_identifier(name.as_ptr())).to_bytes()) }
}

/// `CREATE INDEX …`; `None` if the index is gone.
pub fn index(id: pg_sys::Oid) -> Option<String> {
    super::relation::table_of_index(id)?;
    text(PG_GET_INDEXDEF, &[id.into()])
}

/// A key column or expression of an index, from 1, without its direction.
pub fn index_key(id: pg_sys::Oid, number: i32) -> Option<String> {
    super::relation::table_of_index(id)?;
    text(
        PG_GET_INDEXDEF_COLUMN,
        &[id.into(), number.into(), false.into()],
    )
}
