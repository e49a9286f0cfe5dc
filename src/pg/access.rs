//! The object access hook: partitions that are dropped, truncated, attached or detached, by whatever route, what
//! comes and goes in `pg_class`, and what an expression calls.
//!
//! Where the server calls it the objects are locked but for named tables of TRUNCATE, and those that go are still
//! there: whether they hold rows can be seen then, and only then. What it sees is judged when the command ends.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

use super::compat::catalog as c;
use super::touched::{self, How};
use super::{entry, relation, stranger};

struct Previous(Cell<pg_sys::object_access_hook_type>);
// SAFETY: a backend has a single thread.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(Cell::new(None));

/// Puts the hook in front of those that are there.
pub fn init() {
    // SAFETY: called once, by _PG_init.
    unsafe {
        PREVIOUS.0.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(object_access);
    }
}

/// A bare frame, as [`entry`] has them: errors of other hooks pass through it untouched.
#[allow(ffi_unwind_calls)]
unsafe extern "C-unwind" fn object_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    // SAFETY: the arguments are those of the server; this frame holds nothing that has a destructor.
    unsafe {
        if let Some(previous) = PREVIOUS.0.get() {
            previous(access, class, object, part, argument);
        }
        if part != 0 {
            return;
        }
        use pg_sys::ObjectAccessType::*;
        match access {
            OAT_POST_CREATE if class == pg_sys::RelationRelationId => {
                touched::comes_or_goes(object);
            }
            OAT_DROP if class == pg_sys::RelationRelationId => {
                touched::comes_or_goes(object);
                entry::finish(entry::guarded(|| {
                    emptied(object, How::Dropped);
                    Ok(entry::void())
                }));
            }
            OAT_TRUNCATE => {
                entry::finish(entry::guarded(|| {
                    emptied(object, How::Truncated);
                    Ok(entry::void())
                }));
            }
            OAT_FUNCTION_EXECUTE if stranger::is_watched(object) => {
                entry::finish(entry::guarded(|| {
                    stranger::called(object)?;
                    Ok(entry::void())
                }));
            }
            OAT_POST_ALTER if class == c::INHERITANCE && !argument.is_null() => {
                let parent = (*argument.cast::<pg_sys::ObjectAccessPostAlter>()).auxiliary_id;
                entry::finish(entry::guarded(|| {
                    if let Some(root) = touched::root_of(parent) {
                        touched::moves(root, object, How::Joined);
                    }
                    Ok(entry::void())
                }));
            }
            _ => {}
        }
    }
}

/// The relation is about to lose its rows. Partitions are looked at one by one; if the root goes as a whole, replicas
/// hear of that.
fn emptied(id: pg_sys::Oid, how: How) {
    let Some(root) = touched::root_of(id) else {
        return;
    };
    let counts = if root == id {
        how == How::Truncated
    } else {
        !touched::is_truncated(root) && relation::has_rows_itself(id)
    };
    if counts {
        touched::moves(root, id, how);
    }
}
