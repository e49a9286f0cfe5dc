//! The SQL functions, a file per family.

use std::cell::Cell;

use pgrx::pg_sys::SubTransactionId;

use crate::pg::{hook, xact};

mod calling;
pub mod check;
pub mod ddlx;
pub mod earlier;
pub mod enable;
pub mod events;
pub mod introspect;
pub mod permissions;
pub mod privileges;
pub mod status;
pub mod subscribe;
pub mod versions;

/// Where commands of our own are issued: how deep statements were nested before, and the subtransaction.
#[derive(Clone, Copy)]
struct Work {
    depth: usize,
    subtransaction: SubTransactionId,
}

thread_local! {
    static WORK: Cell<Option<Work>> = const { Cell::new(None) };
}

/// Whether the command that runs is one of our own, which capture passes over. One that a trigger of the user's
/// runs because of ours is not.
pub fn at_work() -> bool {
    WORK.get()
        .is_some_and(|work| hook::depth() == work.depth + 1)
}

/// The transaction was rolled back, and with it whatever we were at.
pub fn forget() {
    WORK.set(None);
}

/// A subtransaction was rolled back, and with it what began in it.
pub fn subtransaction_aborted(id: SubTransactionId) {
    if WORK.get().is_some_and(|work| work.subtransaction >= id) {
        WORK.set(None);
    }
}

/// Runs commands of our own.
pub fn working<T>(body: impl FnOnce() -> T) -> T {
    let before = WORK.replace(Some(Work {
        depth: hook::depth(),
        subtransaction: xact::subtransaction(),
    }));
    let result = body();
    WORK.set(before);
    result
}
