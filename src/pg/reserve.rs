//! What happens when memory runs out while our code runs.
//!
//! The server raises an error where it gets no memory (53200), and the statement ends. Rust's allocator ends the process, and a
//! backend that ends so takes all others with it. An allocator must not unwind, so it cannot raise the error itself. Instead:
//!
//! * What comes from users is bounded before it is copied ([`crate::limits`]), and what will be large is asked for beforehand
//!   ([`expect`]): then the error is raised where it can be.
//! * Each backend that ran our code holds a *reserve*: addresses that nothing is written to, so they take no memory. When an
//!   allocation fails, ours or the server's, a piece of the reserve is given back to the system, and ours is tried again. That
//!   carries what must go on for a while: the conversion of the server's error on its way through Rust, or the rest of a step of
//!   ours. Where a step begins ([`check`]) what was given is taken anew; if that is not possible the error is raised there.
//! * Where even that was not enough the session ends with FATAL, as the server's do: it cleans up after itself, and the server stays.
#![cfg_attr(
    test,
    allow(
        dead_code,
        reason = "the program that `cargo pgrx test` links without a server has another allocator"
    )
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use pgrx::pg_sys;

use super::entry;
use crate::error::{Error, SqlState};

/// A piece is enough for the server, which gives up where less than a block of 1 MiB is left.
const PIECE: usize = 2 << 20;
/// One for the step that runs when memory ends, one for the server's error, one for ours.
const PIECES: usize = 3;
/// What is smaller than that the reserve carries.
const SMALL: usize = 64 << 10;

/// The allocator of the library: the system's, with a reserve.
pub struct Allocator;

// Not in the program that `cargo pgrx test` links without a server, whose symbols it has not.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: every call is passed on to the system's allocator, if need be again; none of them unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let found = unsafe { System.alloc(layout) };
        if found.is_null() {
            // SAFETY: as above.
            return again(|| unsafe { System.alloc(layout) });
        }
        found
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let found = unsafe { System.alloc_zeroed(layout) };
        if found.is_null() {
            // SAFETY: as above.
            return again(|| unsafe { System.alloc_zeroed(layout) });
        }
        found
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises. What was to grow is untouched where that failed.
        let found = unsafe { System.realloc(memory, layout, size) };
        if found.is_null() {
            // SAFETY: as above.
            return again(|| unsafe { System.realloc(memory, layout, size) });
        }
        found
    }
}

/// Where the pieces of the reserve are; null where there is none.
struct Reserve([Cell<*mut c_void>; PIECES]);
// SAFETY: used by the one thread of a backend alone, see `is_backend`.
unsafe impl Sync for Reserve {}
static RESERVE: Reserve = Reserve([const { Cell::new(null_mut()) }; PIECES]);

/// Whether this is a backend. The process of the proxy, which has threads, was one before it forked.
fn is_backend() -> bool {
    // SAFETY: reads variables.
    unsafe { pg_sys::IsUnderPostmaster && pg_sys::MyProcPid == libc::getpid() }
}

#[cold]
fn again(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    if !is_backend() {
        return null_mut();
    }
    while give_back() {
        let found = allocate();
        if !found.is_null() {
            return found;
        }
    }
    end_session()
}

/// Ends the session, as the server does where it cannot go on.
#[cold]
fn end_session() -> ! {
    let mut data = pg_sys::ErrorData {
        elevel: pg_sys::FATAL as i32,
        sqlerrcode: SqlState::OutOfMemory.code(),
        message: c"out of memory".as_ptr().cast_mut(),
        detail: c"Memory ran out where the statement alone could not be ended."
            .as_ptr()
            .cast_mut(),
        filename: c"electric".as_ptr(),
        funcname: c"electric".as_ptr(),
        ..Default::default()
    };
    // SAFETY: the server copies the error into memory that it keeps for errors, and ends the process by its own means:
    // FATAL does not return, and jumps over no frame.
    unsafe { entry::throw(&mut data) };
    std::process::abort()
}

/// Gives a piece back to the system. Gives whether there was one.
fn give_back() -> bool {
    let is_there = |piece: &&Cell<*mut c_void>| !piece.get().is_null();
    let Some(piece) = RESERVE.0.iter().find(is_there) else {
        return false;
    };
    // SAFETY: what was mapped, as a whole; nothing was ever put there.
    unsafe { libc::munmap(piece.replace(null_mut()), PIECE) == 0 }
}

/// Maps that many bytes; null if there are not as many.
fn mapped(size: usize) -> *mut c_void {
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANON,
    );
    // SAFETY: a mapping of its own, wherever there is room.
    let found = unsafe { libc::mmap(null_mut(), size, access, kind, -1, 0) };
    if found == libc::MAP_FAILED {
        return null_mut();
    }
    found
}

/// Takes the pieces that are not there. Gives whether all are.
fn take() -> bool {
    RESERVE.0.iter().all(|piece| {
        if piece.get().is_null() {
            piece.set(mapped(PIECE));
        }
        !piece.get().is_null()
    })
}

/// An error of the server is on its way; called where it is raised, before anything else is done with it.
unsafe extern "C-unwind" fn raised(_argument: *mut c_void) {
    unsafe extern "C-unwind" {
        /// `elog.c`, without pgrx's wrapper: it raises nothing while an error is in the making.
        #[allow(clashing_extern_declarations)]
        fn geterrcode() -> std::ffi::c_int;
    }
    // SAFETY: context callbacks are called while an error is in the making.
    if unsafe { geterrcode() } == SqlState::OutOfMemory.code() {
        give_back();
    }
}

/// Runs `body`, in which Rust stands between the server and its errors, with a reserve if there is room for one. pgrx copies
/// an error before anything is freed, and where that finds no memory either the server ends.
pub fn held<T>(body: impl FnOnce() -> T) -> T {
    /// Takes the callback off again, also when an error passes.
    struct Before(*mut pg_sys::ErrorContextCallback);
    impl Drop for Before {
        fn drop(&mut self) {
            // SAFETY: what was on the stack before, which outlives this frame.
            unsafe { pg_sys::error_context_stack = self.0 };
        }
    }
    take();
    // SAFETY: the callback is taken off before this frame ends.
    unsafe {
        let mut callback = pg_sys::ErrorContextCallback {
            previous: pg_sys::error_context_stack,
            callback: Some(raised),
            arg: null_mut(),
        };
        let _before = Before(callback.previous);
        pg_sys::error_context_stack = &raw mut callback;
        body()
    }
}

/// A step begins. Raises the error where memory ran out in one before.
pub fn check() {
    if !take() {
        raise();
    }
}

/// A step begins that takes as many bytes at most. Raises the error where there is no room for them.
pub fn expect(size: usize) {
    check();
    if size <= SMALL {
        return;
    }
    let probe = mapped(size);
    if probe.is_null() {
        raise();
    }
    // SAFETY: mapped above, as a whole.
    unsafe { libc::munmap(probe, size) };
}

/// Raises the error, as the server does where it allocates.
#[cold]
fn raise() -> ! {
    give_back();
    entry::raise(
        Error::new(SqlState::OutOfMemory, "out of memory")
            .detail("There is not enough memory for what the extension was about to do."),
    )
}
