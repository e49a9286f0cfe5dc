//! Work in a subtransaction of its own, whose errors can be looked at.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::pg_sys::panic::ErrorReportWithLevel;

/// An error that rolled a subtransaction back.
pub struct Caught(CaughtError);

impl Caught {
    fn report(&self) -> &ErrorReportWithLevel {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic {
            ereport: report, ..
        }) = &self.0;
        report
    }

    /// The primary message.
    pub fn message(&self) -> String {
        self.report().message().to_owned()
    }

    /// DETAIL.
    pub fn detail(&self) -> Option<String> {
        self.report().detail().map(str::to_owned)
    }

    /// HINT.
    pub fn hint(&self) -> Option<String> {
        self.report().hint().map(str::to_owned)
    }

    /// SQLSTATE, packed.
    pub fn sqlstate(&self) -> i32 {
        self.report().sql_error_code() as i32
    }

    /// Whether it has that SQLSTATE.
    pub fn is(&self, code: &str) -> bool {
        self.sqlstate() == crate::error::SqlState::of_code(code).code()
    }

    /// The class of the SQLSTATE, its first two characters.
    fn class(&self) -> [u8; 2] {
        let packed = self.report().sql_error_code() as u32;
        // Six bits each, counted from '0', the first character lowest.
        let character = |shift: u32| ((packed >> shift) & 0x3f) as u8 + b'0';
        [character(0), character(6)]
    }

    /// Class 22, data exceptions.
    pub fn is_about_values(&self) -> bool {
        self.class() == *b"22"
    }

    /// Classes 22 and 42: what was said makes no sense, or not any more.
    pub fn is_about_definition(&self) -> bool {
        self.is_about_values() || self.class() == *b"42"
    }

    /// The statement demands to be outside a transaction.
    pub fn is_about_transaction(&self) -> bool {
        self.report().sql_error_code() == PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION
    }

    /// Whether it concerns the session rather than the statement: cancelled, shut down, out of resources.
    pub fn is_about_session(&self) -> bool {
        matches!(&self.class(), b"53" | b"57" | b"58")
    }

    /// Raises it again.
    pub fn rethrow(self) -> ! {
        self.0.rethrow()
    }
}

/// Runs `body` in a subtransaction, which is kept if `body` returns and rolled back if it raises an error. What it
/// returns must not lie in memory of the subtransaction.
pub fn run<T>(body: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, Caught> {
    enter(body, true)
}

/// Runs `body` in a subtransaction that is rolled back in any case.
pub fn run_and_undo<T>(body: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, Caught> {
    enter(body, false)
}

fn enter<T>(body: impl FnOnce() -> T + std::panic::UnwindSafe, keep: bool) -> Result<T, Caught> {
    enter_and(body, |_| keep)
}

/// Runs `body` in a subtransaction that is kept only if `body` succeeds.
pub fn attempt<T, E>(
    body: impl FnOnce() -> Result<T, E> + std::panic::UnwindSafe,
) -> Result<Result<T, E>, Caught> {
    enter_and(body, Result::is_ok)
}

fn enter_and<T>(
    body: impl FnOnce() -> T + std::panic::UnwindSafe,
    keep: impl FnOnce(&T) -> bool,
) -> Result<T, Caught> {
    // SAFETY: the calls are those that PL/pgSQL makes around a block with EXCEPTION.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = pgrx::PgTryBuilder::new(|| Ok(body()))
            .catch_others(|error| Err(Caught(error)))
            .catch_rust_panic(|error| Err(Caught(error)))
            .execute();
        pg_sys::MemoryContextSwitchTo(context);
        if result.as_ref().is_ok_and(keep) {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}
