//! Versions of migrations: which row of `electric.migrations` this transaction's commands belong to.

use std::cell::RefCell;

use pgrx::pg_sys;

use crate::error::{Error, SqlState};
use crate::pg::{locks, session, xact};
use crate::store::Migration;
use crate::store::migrations::{self as rows};

/// The longest version, in bytes: versions are indexed.
const MAX_LENGTH: usize = 1024;

/// A version that was set before the first command, and the subtransaction that set it.
struct Pending {
    version: String,
    subtransaction: pg_sys::SubTransactionId,
}

thread_local! {
    static PENDING: RefCell<Vec<Pending>> = const { RefCell::new(Vec::new()) };
}

/// The transaction ended.
pub fn forget() {
    PENDING.with_borrow_mut(Vec::clear);
}

/// A subtransaction was rolled back, and with it what it set.
pub fn subtransaction_aborted(id: pg_sys::SubTransactionId) {
    PENDING.with_borrow_mut(|pending| pending.retain(|p| p.subtransaction < id));
}

/// A subtransaction became part of its parent.
pub fn subtransaction_committed(id: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
    PENDING.with_borrow_mut(|pending| {
        for p in pending.iter_mut().filter(|p| p.subtransaction == id) {
            p.subtransaction = parent;
        }
    });
}

/// The migration of this transaction, if it has one. A restored dump may hold the same transaction number: the start
/// of the transaction tells them apart.
fn of_this_transaction() -> Result<Option<Migration>, Error> {
    let last = rows::last()?;
    Ok(last.filter(|m| m.xid == xact::id_if_any() && m.created_at == xact::start()))
}

/// The id of the migration that a command of this transaction belongs to; makes it with the first command.
///
/// Call it under the migration lock.
pub fn migration() -> Result<i64, Error> {
    if let Some(migration) = of_this_transaction()? {
        return Ok(migration.id);
    }
    let pending = PENDING.with_borrow_mut(|pending| pending.last().map(|p| p.version.clone()));
    let (version, source) = match pending {
        Some(version) => {
            refuse_taken(&version, None)?;
            (version, "user")
        }
        None => (automatic()?, "auto"),
    };
    let migration = Migration {
        id: rows::last()?.map_or(1, |last| last.id + 1),
        version,
        source: source.to_owned(),
        framework: None,
        framework_version: None,
        xid: xact::id(),
        created_at: xact::start(),
    };
    rows::insert(&migration)?;
    xact::command_counter_increment();
    Ok(migration.id)
}

/// Names this transaction's migration: the one it has, or the one to come.
pub fn set(version: &str) -> Result<(), Error> {
    session::prevent_in_recovery(c"electric.set_migration_version()");
    if version.is_empty() {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            "a migration's version must not be empty",
        ));
    }
    if version.len() > MAX_LENGTH {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("a migration's version must not be longer than {MAX_LENGTH} bytes"),
        ));
    }
    match of_this_transaction()? {
        Some(migration) => {
            refuse_taken(version, Some(migration.id))?;
            locks::migrations();
            rows::update(&Migration {
                version: version.to_owned(),
                source: "user".to_owned(),
                ..migration
            })?;
            xact::command_counter_increment();
        }
        None => {
            refuse_taken(version, None)?;
            let subtransaction = xact::subtransaction();
            PENDING.with_borrow_mut(|pending| {
                pending.push(Pending {
                    version: version.to_owned(),
                    subtransaction,
                });
            });
        }
    }
    Ok(())
}

fn refuse_taken(version: &str, own: Option<i64>) -> Result<(), Error> {
    match rows::with_version(version)? {
        Some(other) if Some(other.id) != own => Err(Error::new(
            SqlState::UniqueViolation,
            format!("migration version \"{version}\" is already taken"),
        )
        .detail(format!("Migration {} has it.", other.id))
        .hint("Versions name one migration for good. Choose another, or leave it to the extension to make one.")
        .table("electric", "migrations")
        .constraint("migrations_version_key")),
        _ => Ok(()),
    }
}

/// The start of the transaction in UTC as `YYYYMMDDHHMISSmmm`, with a suffix if that is taken.
fn automatic() -> Result<String, Error> {
    let base = timestamp(xact::start());
    let mut version = base.clone();
    let mut suffix = 2;
    while rows::with_version(&version)?.is_some() {
        version = format!("{base}_{suffix}");
        suffix += 1;
    }
    Ok(version)
}

/// Microseconds since 2000-01-01 UTC as `YYYYMMDDHHMISSmmm`.
fn timestamp(microseconds: i64) -> String {
    let milliseconds = microseconds.div_euclid(1000);
    let (days, of_day) = (
        milliseconds.div_euclid(86_400_000),
        milliseconds.rem_euclid(86_400_000),
    );
    let (year, month, day) = civil(days + 10_957);
    let seconds = of_day / 1000;
    format!(
        "{year:04}{month:02}{day:02}{:02}{:02}{:02}{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        of_day % 1000
    )
}

/// Days since 1970-01-01 as year, month and day of the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
