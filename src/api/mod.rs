//! The SQL functions, a file per family.

use std::cell::Cell;

pub mod enable;
pub mod events;
pub mod status;
pub mod versions;

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Whether a command that runs now is one of our own, which capture passes over.
pub fn at_work() -> bool {
    AT_WORK.get()
}

/// An error ended whatever we were at.
pub fn forget() {
    AT_WORK.set(false);
}

/// Runs commands of our own.
pub fn working<T>(body: impl FnOnce() -> T) -> T {
    AT_WORK.set(true);
    let result = body();
    AT_WORK.set(false);
    result
}
