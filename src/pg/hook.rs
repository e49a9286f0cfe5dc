//! The utility hook: remembers the text of the statement that runs, and stands in where no event trigger fires.
//!
//! The frame has nothing to drop and no guard, so that the server's errors pass through it untouched. (Through pgrx's
//! boundary every error of every utility statement would lose its cursor position and its object fields.)

use std::cell::{Cell, UnsafeCell};
use std::ffi::c_char;

use pgrx::pg_sys;

use super::entry;
use super::options::{self, Native};
use super::touched::Command;
use super::tree;

/// A statement that a frame of the hook runs, and the subtransaction it began in.
#[derive(Clone, Copy)]
struct Statement {
    text: *const c_char,
    location: i32,
    length: i32,
    subtransaction: pg_sys::SubTransactionId,
}

/// The server runs one thread per backend; nothing here is ever shared.
struct Local<T>(T);
// SAFETY: a backend has a single thread.
unsafe impl<T> Sync for Local<T> {}

static PREVIOUS: Local<Cell<pg_sys::ProcessUtility_hook_type>> = Local(Cell::new(None));
/// The statements that run, innermost last. Kept apart from the frames, over which errors jump.
static RUNNING: Local<UnsafeCell<Vec<Statement>>> = Local(UnsafeCell::new(Vec::new()));

fn running() -> &'static mut Vec<Statement> {
    // SAFETY: one thread, and no reference outlives the expression that asked for it.
    unsafe { &mut *RUNNING.0.get() }
}

unsafe extern "C-unwind" {
    /// `utility.c`, without pgrx's wrapper: errors of the statement are not ours to catch.
    #[allow(clashing_extern_declarations)]
    fn standard_ProcessUtility(
        pstmt: *mut pg_sys::PlannedStmt,
        query_string: *const c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        query_env: *mut pg_sys::QueryEnvironment,
        dest: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Puts the hook in front of those that are there.
pub fn init() {
    // SAFETY: called once, by _PG_init.
    unsafe {
        PREVIOUS.0.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

/// How many utility statements run, one inside the other, as far as the hook saw them begin.
pub fn depth() -> usize {
    running().len()
}

/// The transaction was rolled back: whatever ran, an error jumped over its frame.
pub fn forget() {
    running().clear();
}

/// A subtransaction was rolled back, and with it the statements that began in it.
pub fn subtransaction_aborted(id: pg_sys::SubTransactionId) {
    running().retain(|statement| statement.subtransaction < id);
}

#[allow(ffi_unwind_calls)]
unsafe extern "C-unwind" fn process_utility(
    pstmt: *mut pg_sys::PlannedStmt,
    query_string: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    query_env: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: `pstmt` is the statement to run. What is pushed is popped at the end, or by the transaction callbacks if
    // an error jumps over this frame.
    unsafe {
        let depth = running().len();
        // The parts of one statement (CREATE SCHEMA's tables, a serial column's sequence) are run as subcommands:
        // what was issued is the whole.
        if context != pg_sys::ProcessUtilityContext::PROCESS_UTILITY_SUBCOMMAND {
            running().push(Statement {
                text: query_string,
                location: (*pstmt).stmt_location,
                length: (*pstmt).stmt_len,
                subtransaction: super::xact::subtransaction(),
            });
        }
        let mut native: *mut Native = std::ptr::null_mut();
        let mut pstmt = pstmt;
        if options::mentioned(pstmt) {
            let given = pstmt;
            let taken = entry::guarded(|| take_options(given));
            native = entry::finish(taken).cast_mut_ptr();
            if !native.is_null() {
                pstmt = (*native).statement;
            }
        }
        let watched = has_no_event_trigger(pstmt);
        let tree = (*pstmt).utilityStmt;
        if watched {
            entry::finish(entry::guarded(|| {
                let command = Command::of(tree);
                crate::api::events::utility_starts(command, &tree::Statement::read(tree))
            }));
        }
        match PREVIOUS.0.get() {
            Some(previous) => previous(
                pstmt,
                query_string,
                read_only_tree,
                context,
                params,
                query_env,
                dest,
                completion,
            ),
            None => standard_ProcessUtility(
                pstmt,
                query_string,
                read_only_tree,
                context,
                params,
                query_env,
                dest,
                completion,
            ),
        }
        if watched {
            entry::finish(entry::guarded(|| {
                crate::api::events::utility_ended(Command::of(tree))
            }));
        }
        if !native.is_null() {
            entry::finish(entry::guarded(|| {
                crate::native::ended(&*native).map(|()| entry::void())
            }));
        }
        running().truncate(depth);
    }
}

/// Takes our options out of a statement that has some; null where the extension is not there to know them.
fn take_options(statement: *mut pg_sys::PlannedStmt) -> Result<entry::Datum, crate::error::Error> {
    if crate::api::events::idle() || super::names::own_extension() == pg_sys::Oid::INVALID {
        return Ok(entry::void());
    }
    // SAFETY: the statement that runs.
    let (native, said, if_not_exists) = unsafe { options::take(statement) };
    let native = crate::native::begins(native, &said, if_not_exists)?;
    Ok(entry::Datum(pg_sys::Datum::from(native.into_server())))
}

/// Commands that fire no event trigger but concern replicas: REINDEX makes an invalid index valid, TRUNCATE of a
/// partition takes rows away, and without our event triggers, or with more that call their functions, nothing is captured.
unsafe fn has_no_event_trigger(pstmt: *const pg_sys::PlannedStmt) -> bool {
    use pg_sys::NodeTag::*;
    // SAFETY: the caller passes the statement that runs; utility statements have a node, whose tag says which it is.
    unsafe {
        let tree = (*pstmt).utilityStmt;
        let kind = match (*tree).type_ {
            T_ReindexStmt | T_TruncateStmt | T_AlterEventTrigStmt | T_CreateEventTrigStmt => {
                return true;
            }
            T_RenameStmt => (*tree.cast::<pg_sys::RenameStmt>()).renameType,
            T_AlterOwnerStmt => (*tree.cast::<pg_sys::AlterOwnerStmt>()).objectType,
            _ => return false,
        };
        kind == pg_sys::ObjectType::OBJECT_EVENT_TRIGGER
    }
}

/// The text of the utility statement that runs, as the hook saw it begin: the whole of what was sent, where in it the
/// statement is, and how long it is.
pub(super) fn running_text() -> Option<(*const c_char, i32, i32)> {
    let statement = running().last()?;
    (!statement.text.is_null()).then_some((statement.text, statement.location, statement.length))
}
