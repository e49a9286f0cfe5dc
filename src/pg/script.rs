//! SQL scripts: taken apart and run statement by statement.

use std::ffi::CString;

use pgrx::pg_sys;

use super::names::from_server;

/// A statement of a script.
pub struct Statement {
    /// Its text alone.
    pub text: String,
    /// How it can be tried.
    pub kind: Kind,
    tree: *mut pg_sys::Node,
}

/// How a statement can be tried inside a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Ordinary,
    /// Without its CONCURRENTLY.
    Concurrent,
    /// Not at all: BEGIN, COMMIT, SAVEPOINT and their kin.
    TransactionControl,
    /// Not at all: what demands to be outside a transaction, and concerns no shape.
    OutsideTransaction,
}

/// The statements of a script. Raises the server's own syntax error.
pub fn statements(sql: &str) -> Vec<Statement> {
    let Ok(source) = CString::new(sql) else {
        return Vec::new();
    };
    // SAFETY: raw_parser gives a list of RawStmt nodes, in memory of the caller's context.
    unsafe {
        let list = pg_sys::raw_parser(source.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let length = if list.is_null() {
            0
        } else {
            (*list).length as usize
        };
        (0..length)
            .map(|i| {
                let raw: *mut pg_sys::RawStmt = (*(*list).elements.add(i)).ptr_value.cast();
                let bytes = sql.as_bytes();
                let start = usize::try_from((*raw).stmt_location)
                    .unwrap_or(0)
                    .min(bytes.len());
                let end = match usize::try_from((*raw).stmt_len) {
                    Ok(n) if n > 0 => (start + n).min(bytes.len()),
                    _ => bytes.len(),
                };
                Statement {
                    text: super::hook::alone(&from_server(&bytes[start..end])),
                    kind: kind((*raw).stmt),
                    tree: (*raw).stmt,
                }
            })
            .collect()
    }
}

unsafe fn kind(tree: *mut pg_sys::Node) -> Kind {
    use pg_sys::NodeTag::*;
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*tree).type_ {
            T_TransactionStmt => Kind::TransactionControl,
            T_IndexStmt if (*tree.cast::<pg_sys::IndexStmt>()).concurrent => Kind::Concurrent,
            T_DropStmt if (*tree.cast::<pg_sys::DropStmt>()).concurrent => Kind::Concurrent,
            T_VacuumStmt
            | T_CreatedbStmt
            | T_DropdbStmt
            | T_AlterSystemStmt
            | T_CreateTableSpaceStmt
            | T_DropTableSpaceStmt
            | T_ReindexStmt
            | T_CreateSubscriptionStmt
            | T_DropSubscriptionStmt => Kind::OutsideTransaction,
            _ => Kind::Ordinary,
        }
    }
}

impl Statement {
    /// Runs the statement, as the caller. Raises its errors.
    pub fn run(&self) {
        if self.kind != Kind::Concurrent {
            if let Err(error) = pgrx::spi::Spi::run(&self.text) {
                pgrx::error!("{error}");
            }
            return;
        }
        let text = CString::new(self.text.as_str()).unwrap_or_default();
        // SAFETY: the tree was made by the parser for this call alone; ProcessUtility runs it as a driver's would be.
        unsafe {
            match (*self.tree).type_ {
                pg_sys::NodeTag::T_IndexStmt => {
                    (*self.tree.cast::<pg_sys::IndexStmt>()).concurrent = false;
                }
                _ => (*self.tree.cast::<pg_sys::DropStmt>()).concurrent = false,
            }
            let planned: *mut pg_sys::PlannedStmt =
                pgrx::PgBox::<pg_sys::PlannedStmt>::alloc_node(pg_sys::NodeTag::T_PlannedStmt)
                    .into_pg();
            (*planned).commandType = pg_sys::CmdType::CMD_UTILITY;
            (*planned).utilityStmt = self.tree;
            (*planned).stmt_location = -1;
            pg_sys::ProcessUtility(
                planned,
                text.as_ptr(),
                false,
                pg_sys::ProcessUtilityContext::PROCESS_UTILITY_QUERY,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestNone),
                std::ptr::null_mut(),
            );
            pg_sys::CommandCounterIncrement();
        }
    }
}
