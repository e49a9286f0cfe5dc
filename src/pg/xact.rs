//! Ends of transactions and subtransactions: what outlives a statement is reset here.

use std::ffi::c_void;

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    /// Without pgrx' wrapper: it raises no errors, and every utility statement asks for it.
    #[allow(clashing_extern_declarations)]
    fn GetCurrentSubTransactionId() -> pg_sys::SubTransactionId;
}

/// Registers the callbacks.
pub fn init() {
    // SAFETY: called once, by _PG_init; the callbacks live as long as the library, which is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(at_subtransaction_end), std::ptr::null_mut());
    }
}

// Both callbacks run where no error may be thrown: they call nothing of the server's.
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::*;
    match event {
        XACT_EVENT_ABORT | XACT_EVENT_PARALLEL_ABORT => {
            super::hook::forget();
            super::touched::reset();
            crate::version::forget();
            crate::api::forget();
            crate::watch::forget();
            crate::follow::make::forget();
        }
        XACT_EVENT_COMMIT => {
            crate::version::committed();
            crate::follow::make::forget();
            super::passing::install();
        }
        XACT_EVENT_PREPARE => crate::version::forget(),
        _ => {}
    }
}

unsafe extern "C-unwind" fn at_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    subid: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    use pg_sys::SubXactEvent::*;
    match event {
        SUBXACT_EVENT_ABORT_SUB => {
            super::hook::subtransaction_aborted(subid);
            super::touched::subtransaction_aborted(subid);
            crate::version::subtransaction_aborted(subid);
            crate::api::subtransaction_aborted(subid);
            crate::watch::forget();
        }
        SUBXACT_EVENT_COMMIT_SUB => crate::version::subtransaction_committed(subid, parent),
        _ => {}
    }
}

/// The transaction's id, with its epoch; gives it one if it has none.
pub fn id() -> u64 {
    // SAFETY: inside a transaction that writes.
    unsafe { pg_sys::GetTopFullTransactionId().value }
}

/// The current subtransaction.
pub fn subtransaction() -> pg_sys::SubTransactionId {
    // SAFETY: reads a variable.
    unsafe { GetCurrentSubTransactionId() }
}

/// Whether this is a part of a parallel query, which can neither write nor begin a subtransaction.
pub fn is_parallel() -> bool {
    // SAFETY: reads variables.
    unsafe { pg_sys::IsInParallelMode() }
}

/// When the transaction began, in microseconds since 2000-01-01 UTC.
pub fn start() -> i64 {
    // SAFETY: reads a variable.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// Makes what was done so far visible to what follows.
pub fn command_counter_increment() {
    // SAFETY: inside a transaction, between commands.
    unsafe { pg_sys::CommandCounterIncrement() }
}

/// An active snapshot, taken where there was none; gone when dropped, or with the transaction.
pub struct Active(bool);

/// Makes sure that there is an active snapshot. Commands that commit in between, such as CREATE INDEX CONCURRENTLY, end
/// without one, and then values that are stored out of line can be neither read nor replaced.
pub fn active_snapshot() -> Active {
    // SAFETY: what is pushed is popped by Drop, or by the abort of the transaction.
    unsafe {
        if pg_sys::ActiveSnapshotSet() {
            return Active(false);
        }
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        Active(true)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        if self.0 && !std::thread::panicking() {
            // SAFETY: pops what `active_snapshot` pushed.
            unsafe { pg_sys::PopActiveSnapshot() };
        }
    }
}

/// Commits what a CALL by itself has done, and lets go of its locks; what follows is another transaction.
pub fn commit_and_go_on() {
    // SAFETY: what PL/pgSQL does for COMMIT. The caller has seen that the call is not part of a transaction block.
    unsafe {
        pg_sys::SPI_connect_ext(pg_sys::SPI_OPT_NONATOMIC as i32);
        pg_sys::SPI_commit();
        pg_sys::SPI_finish();
        pg_sys::EnsurePortalSnapshotExists();
    }
}
