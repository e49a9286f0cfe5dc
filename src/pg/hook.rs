//! The utility hook: remembers the text of the statement that runs, and stands in where no event trigger fires.
//!
//! The frame has nothing to drop and no guard, so that the server's errors pass through it untouched. (Through pgrx's
//! boundary every error of every utility statement would lose its cursor position and its object fields.)

use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use super::entry;
use super::options::{self, Native};
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
        if watched {
            entry::finish(entry::guarded(|| {
                crate::api::events::utility_starts(&tree::Statement::read((*pstmt).utilityStmt))
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
            entry::finish(entry::guarded(crate::api::events::utility_ended));
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
/// partition takes rows away, and without our event triggers nothing is captured.
unsafe fn has_no_event_trigger(pstmt: *const pg_sys::PlannedStmt) -> bool {
    use pg_sys::NodeTag::*;
    // SAFETY: the caller passes the statement that runs; utility statements have a node, whose tag says which it is.
    unsafe {
        let tree = (*pstmt).utilityStmt;
        let kind = match (*tree).type_ {
            T_ReindexStmt | T_TruncateStmt | T_AlterEventTrigStmt => return true,
            T_RenameStmt => (*tree.cast::<pg_sys::RenameStmt>()).renameType,
            T_AlterOwnerStmt => (*tree.cast::<pg_sys::AlterOwnerStmt>()).objectType,
            _ => return false,
        };
        kind == pg_sys::ObjectType::OBJECT_EVENT_TRIGGER
    }
}

/// The text of the statement that called a function of ours, alone, as it was issued.
pub fn calling_text() -> Option<String> {
    // SAFETY: runs the callbacks of the error context.
    unsafe { text_from_context() }.or_else(statement_text)
}

/// The text of the utility statement that runs, alone, as it was issued.
///
/// In a backend whose first command loaded the library the hook was not there when that command began; then the
/// portal that runs, or the context that the procedural language reports, has the text.
pub fn statement_text() -> Option<String> {
    // SAFETY: the texts belong to statements that still run; ActivePortal is valid while a portal runs.
    unsafe {
        if let Some(statement) = running()
            .last()
            .filter(|statement| !statement.text.is_null())
        {
            return Some(slice(statement.text, statement.location, statement.length));
        }
        if let Some(text) = text_from_context() {
            return Some(text);
        }
        let portal = pg_sys::ActivePortal;
        if portal.is_null() || (*portal).sourceText.is_null() {
            return None;
        }
        let statements = (*portal).stmts;
        if !statements.is_null() && (*statements).length == 1 {
            let statement: *mut pg_sys::PlannedStmt = (*(*statements).elements).ptr_value.cast();
            return Some(slice(
                (*portal).sourceText,
                (*statement).stmt_location,
                (*statement).stmt_len,
            ));
        }
        Some(slice((*portal).sourceText, -1, 0))
    }
}

/// A statement that a procedural language runs is quoted in the first line of the error context.
unsafe fn text_from_context() -> Option<String> {
    // SAFETY: GetErrorContextStack runs the context callbacks as an error would, and returns a C string.
    unsafe {
        if pg_sys::error_context_stack.is_null() {
            return None;
        }
        let context = pg_sys::GetErrorContextStack();
        if context.is_null() {
            return None;
        }
        let context = String::from_utf8_lossy(CStr::from_ptr(context).to_bytes()).into_owned();
        let start = context.find('"')? + 1;
        let before = &context[..start];
        // Other frames (a function's name, say) begin with other words; only SPI quotes a statement first.
        if !before.starts_with("SQL statement") {
            return None;
        }
        let end = match context.find("\"\nPL/") {
            Some(end) => end,
            None => context.rfind('"')?,
        };
        context.get(start..end).map(str::to_owned)
    }
}

unsafe fn slice(text: *const c_char, location: i32, length: i32) -> String {
    // SAFETY: the caller passes a C string that a running statement owns.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    let start = usize::try_from(location).unwrap_or(0).min(bytes.len());
    let end = match usize::try_from(length) {
        Ok(n) if n > 0 => (start + n).min(bytes.len()),
        _ => bytes.len(),
    };
    let text = crate::pg::names::from_server(&bytes[start..end]);
    alone(&text)
}

/// A statement's text without what stands around it: comments and blanks before, a semicolon and blanks after.
pub fn alone(text: &str) -> String {
    without_leading_comments(text)
        .trim_end()
        .trim_end_matches(';')
        .trim_end()
        .to_owned()
}

/// A statement's text begins where the one before ended: comments in between are nobody's.
fn without_leading_comments(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if rest.starts_with("/*") {
            match end_of_block_comment(rest) {
                Some(end) => &rest[end..],
                None => return rest,
            }
        } else {
            return rest;
        };
        rest = after.trim_start();
    }
}

/// Where a block comment ends; they nest.
fn end_of_block_comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}
