//! SQL scripts: taken apart and run statement by statement.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use super::names::from_server;
use super::tree::items;

/// Runs a statement, as the caller. Raises its errors.
pub fn run(sql: &str) {
    if let Err(error) = pgrx::spi::Spi::run(sql) {
        pgrx::error!("{error}");
    }
}

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
    /// As it is; it may demand to be outside a transaction, before it does anything, and then concerns no shape.
    PerhapsOutside,
    /// Not at all: BEGIN, COMMIT, SAVEPOINT and their kin.
    TransactionControl,
    /// Not at all: REINDEX of all tables of a schema, or of the database, in transactions of their own.
    ReindexMany,
    /// Not at all: what demands to be outside a transaction, and concerns no shape.
    OutsideTransaction,
    /// Not at all: what a rollback does not undo, and concerns no shape: PREPARE and DEALLOCATE.
    Session,
    /// Not at all: COPY from or to the client, which has no rows for it here.
    CopyOfClient,
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
                    text: super::text::alone(from_server(&bytes[start..end])),
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
            T_AlterTableStmt if detaches_concurrently(tree.cast()) => Kind::Concurrent,
            T_ReindexStmt => reindex(tree.cast()),
            T_ClusterStmt
            | T_AlterDatabaseStmt
            | T_DiscardStmt
            | T_AlterSubscriptionStmt
            | T_VariableSetStmt => Kind::PerhapsOutside,
            T_VacuumStmt
            | T_CreatedbStmt
            | T_DropdbStmt
            | T_AlterSystemStmt
            | T_CreateTableSpaceStmt
            | T_DropTableSpaceStmt
            | T_CreateSubscriptionStmt
            | T_DropSubscriptionStmt => Kind::OutsideTransaction,
            T_PrepareStmt | T_DeallocateStmt => Kind::Session,
            T_CopyStmt if (*tree.cast::<pg_sys::CopyStmt>()).filename.is_null() => {
                Kind::CopyOfClient
            }
            _ => Kind::Ordinary,
        }
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
unsafe fn reindex(statement: *mut pg_sys::ReindexStmt) -> Kind {
    use pg_sys::ReindexObjectType::*;
    // SAFETY: the caller passes a node of that type.
    let (kind, concurrent) = unsafe { ((*statement).kind, concurrently(statement).is_some()) };
    match (kind, concurrent) {
        (REINDEX_OBJECT_INDEX, true) => Kind::Concurrent,
        (REINDEX_OBJECT_INDEX | REINDEX_OBJECT_TABLE, false) => Kind::PerhapsOutside,
        (REINDEX_OBJECT_SCHEMA | REINDEX_OBJECT_DATABASE, false) => Kind::ReindexMany,
        // Of more than one index, CONCURRENTLY passes over invalid ones.
        _ => Kind::OutsideTransaction,
    }
}

/// The position of CONCURRENTLY among the options of REINDEX.
///
/// # Safety
/// `statement` must be a valid node.
pub unsafe fn concurrently(statement: *mut pg_sys::ReindexStmt) -> Option<i32> {
    // SAFETY: a list of DefElem nodes, with names.
    unsafe {
        items::<pg_sys::DefElem>((*statement).params)
            .position(|option| {
                CStr::from_ptr((*option).defname) == c"concurrently"
                    && pg_sys::defGetBoolean(option)
            })
            .and_then(|position| i32::try_from(position).ok())
    }
}

unsafe fn detaches_concurrently(statement: *mut pg_sys::AlterTableStmt) -> bool {
    // SAFETY: the caller passes a node of that type.
    unsafe { detached(statement).any(|partition| (*partition).concurrent) }
}

/// What DETACH PARTITION names in the statement.
unsafe fn detached(
    statement: *mut pg_sys::AlterTableStmt,
) -> impl Iterator<Item = *mut pg_sys::PartitionCmd> {
    // SAFETY: a list of AlterTableCmd nodes; that of DETACH has a PartitionCmd.
    unsafe {
        items::<pg_sys::AlterTableCmd>((*statement).cmds)
            .filter(|command| (**command).subtype == pg_sys::AlterTableType::AT_DetachPartition)
            .map(|command| (*command).def.cast())
    }
}

/// Takes CONCURRENTLY out of a statement that has it.
unsafe fn without_concurrently(tree: *mut pg_sys::Node) {
    use pg_sys::NodeTag::*;
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*tree).type_ {
            T_IndexStmt => (*tree.cast::<pg_sys::IndexStmt>()).concurrent = false,
            T_DropStmt => (*tree.cast::<pg_sys::DropStmt>()).concurrent = false,
            T_AlterTableStmt => {
                for partition in detached(tree.cast()) {
                    (*partition).concurrent = false;
                }
            }
            T_ReindexStmt => {
                let statement: *mut pg_sys::ReindexStmt = tree.cast();
                while let Some(at) = concurrently(statement) {
                    (*statement).params = pg_sys::list_delete_nth_cell((*statement).params, at);
                }
            }
            _ => {}
        }
    }
}

impl Statement {
    /// The schema that it names by itself; `None` where it concerns the whole database.
    pub fn schema(&self) -> Option<String> {
        // SAFETY: the tag says which struct the node is; a name is a C string.
        unsafe {
            if (*self.tree).type_ != pg_sys::NodeTag::T_ReindexStmt {
                return None;
            }
            let statement: *mut pg_sys::ReindexStmt = self.tree.cast();
            let is_schema = (*statement).kind == pg_sys::ReindexObjectType::REINDEX_OBJECT_SCHEMA;
            (is_schema && !(*statement).name.is_null())
                .then(|| from_server(CStr::from_ptr((*statement).name).to_bytes()))
        }
    }

    /// Its parse tree.
    pub(super) fn tree(&self) -> *mut pg_sys::Node {
        self.tree
    }

    /// What kind of node it is.
    pub fn tree_tag(&self) -> pg_sys::NodeTag {
        // SAFETY: a node, which its memory outlives.
        unsafe { (*self.tree).type_ }
    }

    /// Runs the statement, as the caller. Raises its errors.
    pub fn run(&self) {
        if self.kind != Kind::Concurrent {
            run(&self.text);
            return;
        }
        let text = CString::new(self.text.as_str()).unwrap_or_default();
        // SAFETY: the tree was made by the parser for this call alone; ProcessUtility runs it as a driver's would be.
        unsafe {
            without_concurrently(self.tree);
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
