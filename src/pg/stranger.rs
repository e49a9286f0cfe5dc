//! Functions of ordinary roles, which nothing that a publisher says may call: they would run with the rights of the role
//! that applies.

use std::cell::Cell;

use pgrx::pg_sys;

use super::entry;
use super::{names, session, trust, types};
use crate::error::{Error, SqlState};

struct Previous(Cell<pg_sys::needs_fmgr_hook_type>);
// SAFETY: a backend has a single thread.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(Cell::new(None));

thread_local! {
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// Puts the hook in front of those that are there.
pub fn init() {
    // SAFETY: called once, by _PG_init.
    unsafe {
        PREVIOUS.0.set(pg_sys::needs_fmgr_hook);
        pg_sys::needs_fmgr_hook = Some(needs_hook);
    }
}

/// Runs `body`, in which expressions call no function that belongs to somebody who is neither a superuser nor the role
/// that runs it. Triggers are not expressions: a superuser put them there.
pub fn refused<T>(body: impl FnOnce() -> T) -> T {
    /// Puts back what was there, also when an error passes.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            REFUSED.set(self.0);
        }
    }
    let _before = Before(REFUSED.replace(true));
    body()
}

/// An expression is about to be prepared that calls the function.
pub fn called(function: pg_sys::Oid) -> Result<(), Error> {
    if !is_refused(function) {
        return Ok(());
    }
    let (kind, name) = names::described(pg_sys::ProcedureRelationId, function).unwrap_or_default();
    let owner = trust::owner(pg_sys::ProcedureRelationId, function);
    Err(Error::new(
        SqlState::InsufficientPrivilege,
        format!(
            "{kind} {name} belongs to role {}, who is no superuser",
            names::role_name(owner.unwrap_or(pg_sys::Oid::INVALID))
        ),
    )
    .detail("What comes from a publisher calls the server's own functions, and those of extensions that a superuser made.")
    .hint("The publisher's record names it. Look at who wrote that, and drop or rename the function here."))
}

/// Whether calls are watched now: cheap, for everybody else's.
pub fn is_watched(function: pg_sys::Oid) -> bool {
    REFUSED.get() && !types::is_built_in(function)
}

fn is_refused(function: pg_sys::Oid) -> bool {
    is_watched(function)
        && !session::is_superuser_role(session::user())
        && trust::owner(pg_sys::ProcedureRelationId, function)
            .is_none_or(|owner| owner != session::user() && !session::is_superuser_role(owner))
}

/// The server asks whether a hook must see the function's calls. One for which it must is not put in line, so that the
/// expression that calls it is prepared, and seen.
///
/// A bare frame, as [`entry`] has them.
#[allow(ffi_unwind_calls)]
unsafe extern "C-unwind" fn needs_hook(function: pg_sys::Oid) -> bool {
    // SAFETY: this frame holds nothing that has a destructor.
    unsafe {
        if let Some(previous) = PREVIOUS.0.get()
            && previous(function)
        {
            return true;
        }
        is_watched(function)
            && entry::finish(entry::guarded(|| Ok(entry::truth(is_refused(function))))).value() != 0
    }
}
