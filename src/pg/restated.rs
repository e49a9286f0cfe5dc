//! What a CHECK says with the types that its columns have now.

use std::ffi::CString;

use pgrx::pg_sys;

use super::{condition, deparse, session, subtransaction};

/// The definition of a CHECK, as the server prints it, read and printed once more: as ALTER COLUMN TYPE does with the
/// constraints of a column. `None` if it does not read as a CHECK of the table any more. Call it within
/// [`session::printing`].
///
/// Reading a literal may run what belongs to its type, such as a domain's CHECK: it is done as the owner of the table, and
/// only for who may act as that.
pub fn check(table: pg_sys::Oid, definition: &str) -> Option<String> {
    session::prints();
    let (expression, suffix) = definition.strip_prefix("CHECK (")?.rsplit_once(')')?;
    let source = CString::new(expression).ok()?;
    let _owner = session::as_owner(table)?;
    let text = subtransaction::run(std::panic::AssertUnwindSafe(|| {
        // SAFETY: the tree was made by the parser for this call alone; the table is open while names are looked up in it.
        unsafe {
            let expression = condition::parse(&source)?;
            let open = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
            let state = pg_sys::make_parsestate(std::ptr::null_mut());
            (*state).p_sourcetext = source.as_ptr();
            condition::add(state, open, std::ptr::null_mut(), true);
            let kind = pg_sys::ParseExprKind::EXPR_KIND_CHECK_CONSTRAINT;
            let analysed = pg_sys::transformExpr(state, expression, kind);
            let analysed = pg_sys::coerce_to_boolean(state, analysed, c"CHECK".as_ptr());
            pg_sys::assign_expr_collations(state, analysed);
            pg_sys::free_parsestate(state);
            pg_sys::table_close(open, pg_sys::NoLock as i32);
            let tree = pg_sys::cstring_to_text(pg_sys::nodeToString(analysed.cast()));
            deparse::expression(pg_sys::Datum::from(tree), table)
        }
    }));
    let text = match text {
        Ok(text) => text?,
        Err(error) if error.is_about_definition() => return None,
        Err(error) => error.rethrow(),
    };
    Some(format!("CHECK ({text}){suffix}"))
}
