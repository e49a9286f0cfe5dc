//! Backtraces stay out of errors, whatever the server's environment says: pgrx would put them into DETAIL.

use std::backtrace::Backtrace;
use std::ffi::CStr;

/// Has Rust's library decide now, and for good, that backtraces are not captured.
pub fn never() {
    // It is asked before RUST_BACKTRACE.
    const NAME: &CStr = c"RUST_LIB_BACKTRACE";
    // SAFETY: called once, by _PG_init, in a process with one thread; what was there is copied before it changes, and put back.
    unsafe {
        let before = libc::getenv(NAME.as_ptr());
        let before = (!before.is_null()).then(|| CStr::from_ptr(before).to_owned());
        libc::setenv(NAME.as_ptr(), c"0".as_ptr(), 1);
        // The first capture decides for all that come.
        drop(Backtrace::capture());
        match before {
            Some(value) => libc::setenv(NAME.as_ptr(), value.as_ptr(), 1),
            None => libc::unsetenv(NAME.as_ptr()),
        };
    }
}
