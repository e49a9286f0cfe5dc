//! The server's memory: what is made on the way to a row is freed when the row is written.

use pgrx::pg_sys;

/// A context that the server allocates in until it is dropped; then all that is in it goes.
struct Passing {
    context: pg_sys::MemoryContext,
    before: pg_sys::MemoryContext,
}

impl Drop for Passing {
    fn drop(&mut self) {
        // While an error of the server unwinds, the context goes with the one that it is in.
        if !std::thread::panicking() {
            // SAFETY: goes back to where it came from, and nothing of what is in the context is used any more.
            unsafe {
                pg_sys::MemoryContextSwitchTo(self.before);
                pg_sys::MemoryContextDelete(self.context);
            }
        }
    }
}

/// Runs `body`; what it has the server allocate is freed after it. Thousands of rows in one statement need no more memory
/// than one. What it gives must not be of the server's memory.
pub fn passing<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the context is a child of the current one, which outlives the call.
    let _passing = unsafe {
        let context = pg_sys::AllocSetContextCreateExtended(
            pg_sys::CurrentMemoryContext,
            c"electric row".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        Passing {
            context,
            before: pg_sys::MemoryContextSwitchTo(context),
        }
    };
    body()
}
