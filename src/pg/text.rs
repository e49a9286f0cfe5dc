//! The texts of statements, for people: what was issued, alone, and nothing of what stands around it.

use std::cell::Cell;
use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use super::{hook, names, reserve, script, subtransaction};
use crate::error::Error;
use crate::limits;

/// A command that the hook did not see begin: its session loads the library by it.
#[derive(Clone, Copy)]
struct Unseen {
    tree: pg_sys::NodeTag,
    tag: pg_sys::CommandTag::Type,
}

thread_local! {
    static UNSEEN: Cell<Option<Unseen>> = const { Cell::new(None) };
}

/// An event trigger fires for that command.
pub(super) fn fires(tree: pg_sys::NodeTag, tag: pg_sys::CommandTag::Type) {
    if hook::depth() == 0 {
        UNSEEN.set(Some(Unseen { tree, tag }));
    }
}

/// So many places are tried at which a statement could end in an error context.
const PLACES: usize = 64;

/// The text of the utility statement that runs, alone, as it was issued.
///
/// In a backend whose first command loaded the library the hook was not there when that command began. Then it is the
/// portal's, or the one that a procedural language reports, if that is such a command and nothing else; or what is known of
/// the command is said.
pub fn statement(relation: &str) -> Result<String, Error> {
    if let Some((text, location, length)) = hook::running_text() {
        // SAFETY: the text of a statement that runs.
        let bytes = unsafe { slice(text, location, length) };
        if bytes.len() > limits::RECORD {
            return Err(limits::too_large("the statement", bytes.len()));
        }
        reserve::expect(2 * bytes.len());
        return Ok(alone(names::from_server(bytes)));
    }
    let Some(unseen) = UNSEEN.get() else {
        return Ok(String::new());
    };
    let of_portal = portal(limits::RECORD, |tree| tree == Some(unseen.tree));
    if let Some(text) = of_portal.or_else(|| of_context(unseen)) {
        return Ok(text);
    }
    // SAFETY: gives a constant.
    let tag = unsafe { CStr::from_ptr(pg_sys::GetCommandTagName(unseen.tag)) };
    Ok(format!("{} {relation}", tag.to_string_lossy()))
}

/// The text of the one statement of the portal that runs, if its tree (`None` if it is a query) is as wanted, and the text has
/// no more bytes than that.
pub(super) fn portal(
    longest: usize,
    is_wanted: impl FnOnce(Option<pg_sys::NodeTag>) -> bool,
) -> Option<String> {
    // SAFETY: ActivePortal is valid while a portal runs, and so are its statements and its text.
    unsafe {
        let portal = pg_sys::ActivePortal;
        if portal.is_null() || (*portal).sourceText.is_null() || (*portal).stmts.is_null() {
            return None;
        }
        let statements = (*portal).stmts;
        if (*statements).length != 1 {
            return None;
        }
        let statement: *mut pg_sys::PlannedStmt = (*(*statements).elements).ptr_value.cast();
        let tree = (*statement).utilityStmt;
        if !is_wanted((!tree.is_null()).then(|| (*tree).type_)) {
            return None;
        }
        let (start, length) = ((*statement).stmt_location, (*statement).stmt_len);
        let bytes = slice((*portal).sourceText, start, length);
        (bytes.len() <= longest).then(|| alone(names::from_server(bytes)))
    }
}

/// A statement that a procedural language runs is quoted where the error context begins, and nothing marks where it ends: that
/// is the first place up to which the text is one such command.
fn of_context(unseen: Unseen) -> Option<String> {
    // SAFETY: GetErrorContextStack runs the context callbacks as an error would, and returns a C string.
    let context = unsafe {
        if pg_sys::error_context_stack.is_null() {
            return None;
        }
        let context = pg_sys::GetErrorContextStack();
        if context.is_null() {
            return None;
        }
        CStr::from_ptr(context).to_bytes()
    };
    // Other callbacks begin with other words; only SPI's quotes a statement first.
    let quoted = context.strip_prefix(b"SQL statement \"")?;
    if quoted.len() > limits::TEXT {
        return None;
    }
    let quoted = names::from_server(quoted);
    let may_end = |at: &usize| quoted[at + 1..].starts_with('\n') || at + 1 == quoted.len();
    let places = quoted.match_indices('"').map(|(at, _)| at).filter(may_end);
    for end in places.take(PLACES) {
        let is_one = || {
            let found = script::statements(&quoted[..end]);
            let mut wanted = found
                .into_iter()
                .filter(|one| one.tree_tag() == unseen.tree);
            match (wanted.next(), wanted.next()) {
                (Some(one), None) => Some(one.text),
                _ => None,
            }
        };
        match subtransaction::run(std::panic::AssertUnwindSafe(is_one)) {
            Ok(found) => return found,
            Err(error) if error.is_about_session() => error.rethrow(),
            // It ends later.
            Err(_) => {}
        }
    }
    None
}

/// A part of a text that the server holds.
///
/// # Safety
/// `text` must be a C string that outlives what is given.
unsafe fn slice<'a>(text: *const c_char, location: i32, length: i32) -> &'a [u8] {
    // SAFETY: as the caller promises.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    let start = usize::try_from(location).unwrap_or(0).min(bytes.len());
    let end = match usize::try_from(length) {
        Ok(n) if n > 0 => (start + n).min(bytes.len()),
        _ => bytes.len(),
    };
    &bytes[start..end]
}

/// A statement's text without what stands around it: comments and blanks before, a semicolon and blanks after.
pub fn alone(text: impl AsRef<str>) -> String {
    without_leading_comments(text.as_ref())
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
