//! Versions of migrations: which row of `electric.migrations` this transaction's commands belong to.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;

use crate::error::{Error, SqlState};
use crate::pg::entry::Call;
use crate::pg::{locks, session, xact};
use crate::store::Migration;
use crate::store::migrations::{self as rows};
use crate::{frameworks, limits};

/// What is kept for a suffix, in bytes.
const SUFFIX: usize = 24;

/// What was done about versions in this transaction.
enum What {
    /// The user named a migration that is to come.
    Named(String),
    /// A migration began; `known`: with the framework that runs it.
    Began { id: i64, xid: u64, known: bool },
    /// A framework's row closed the migration that was open.
    Closed,
    /// The migration that was closed last has the name meant for one that is to come, as long as none comes; it was
    /// called this.
    Lent { version: String, source: String },
    /// What the session had left unnamed got its framework.
    Filled,
}

/// Something that was done, and the subtransaction that did it.
struct Done {
    what: What,
    subtransaction: pg_sys::SubTransactionId,
}

/// A migration that this session committed: its id and transaction.
#[derive(Clone, Copy)]
struct Left {
    id: i64,
    xid: u64,
}

/// A session that never meets a framework must not grow for as long as it lasts.
const MOST_LEFT: usize = 10_000;

thread_local! {
    /// In this transaction, in order.
    static DONE: RefCell<Vec<Done>> = const { RefCell::new(Vec::new()) };
    /// Migrations of earlier transactions since a framework's row last came in this session, of no known framework.
    static LEFT: RefCell<Vec<Left>> = const { RefCell::new(Vec::new()) };
    /// The id of the last migration that this session made, even one that was undone.
    static MADE: Cell<i64> = const { Cell::new(0) };
}

/// The transaction was committed: what it left unnamed a later one may name.
pub fn committed() {
    let done = DONE.take();
    if done.is_empty() {
        return;
    }
    LEFT.with_borrow_mut(|left| {
        for done in done {
            match done.what {
                What::Began {
                    id,
                    xid,
                    known: false,
                } if left.len() < MOST_LEFT => left.push(Left { id, xid }),
                What::Closed | What::Filled => left.clear(),
                _ => {}
            }
        }
    });
}

/// The transaction was rolled back, or is another session's to commit.
pub fn forget() {
    DONE.with_borrow_mut(Vec::clear);
}

/// A subtransaction was rolled back, and with it what it did.
pub fn subtransaction_aborted(id: pg_sys::SubTransactionId) {
    DONE.with_borrow_mut(|done| done.retain(|d| d.subtransaction < id));
}

/// A subtransaction became part of its parent.
pub fn subtransaction_committed(id: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
    DONE.with_borrow_mut(|done| {
        for d in done.iter_mut().filter(|d| d.subtransaction == id) {
            d.subtransaction = parent;
        }
    });
}

fn does(what: What) {
    let subtransaction = xact::subtransaction();
    DONE.with_borrow_mut(|done| {
        done.push(Done {
            what,
            subtransaction,
        });
    });
}

/// The newest of what was done since the last row of a framework came, of which `of` makes something.
fn since_row<T>(of: impl FnMut(&What) -> Option<T>) -> Option<T> {
    DONE.with_borrow(|done| {
        let since = done.iter().rev().map(|done| &done.what);
        since
            .take_while(|what| !matches!(what, What::Closed))
            .find_map(of)
    })
}

/// The migration that began in this transaction, and was not closed.
fn began() -> Option<i64> {
    since_row(|what| match what {
        What::Began { id, .. } => Some(*id),
        _ => None,
    })
}

/// The migration of this transaction that is open: further commands belong to it.
fn open() -> Result<Option<Migration>, Error> {
    match began() {
        // It is the newest there is: others wait for the lock.
        Some(id) => Ok(rows::last()?.filter(|last| last.id == id)),
        None => Ok(None),
    }
}

/// Whether a migration of this transaction was closed.
fn has_closed() -> bool {
    DONE.with_borrow(|done| done.iter().any(|d| matches!(d.what, What::Closed)))
}

/// The id of the migration that a command of this transaction belongs to; makes it with the first command. `newest` is the
/// migration of the newest command.
///
/// Call it under the migration lock.
pub fn migration(newest: i64) -> Result<i64, Error> {
    if let Some(id) = began()
        && (id == newest || open()?.is_some())
    {
        return Ok(id);
    }
    let last = last_id(newest)?;
    let named = since_row(|what| match what {
        What::Named(version) => Some(version.clone()),
        _ => None,
    });
    let (version, source) = match named {
        Some(version) => {
            refuse_taken(&version, None)?;
            (version, "user")
        }
        None => (automatic()?, "auto"),
    };
    let (framework, framework_version) = frameworks::running()?.unzip();
    let migration = Migration {
        id: last + 1,
        version,
        source: source.to_owned(),
        framework,
        framework_version,
        xid: xact::id(),
        created_at: xact::start(),
    };
    rows::insert(&migration)?;
    MADE.set(migration.id);
    xact::command_counter_increment();
    does(What::Began {
        id: migration.id,
        xid: migration.xid,
        known: migration.framework.is_some(),
    });
    Ok(migration.id)
}

/// The id of the newest migration, which may lend its name no longer; `newest` is that of the newest command.
fn last_id(newest: i64) -> Result<i64, Error> {
    // What this session made and others have added nothing to needs no look.
    if newest > 0 && newest == MADE.get() && lent().is_none() {
        return Ok(newest);
    }
    let last = rows::last()?;
    take_back(last.as_ref())?;
    Ok(last.map_or(0, |last| last.id))
}

/// The version that an argument is; one that no migration can have is not copied.
pub fn given(call: &Call, n: usize) -> Result<Option<String>, Error> {
    match call.length(n)? {
        Some(length) if length > limits::VERSION => Err(too_long()),
        _ => call.text(n),
    }
}

fn too_long() -> Error {
    Error::new(
        SqlState::InvalidParameterValue,
        format!(
            "a migration's version must not be longer than {} bytes",
            limits::VERSION
        ),
    )
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
    if version.len() > limits::VERSION {
        return Err(too_long());
    }
    if let Some(migration) = open()? {
        refuse_taken(version, Some(migration.id))?;
        locks::migrations()?;
        return rename(migration, version, "user");
    }
    if has_closed()
        && let Some(closed) = rows::last()?
    {
        refuse_taken(version, Some(closed.id))?;
        if lent().is_none() {
            does(What::Lent {
                version: closed.version.clone(),
                source: closed.source.clone(),
            });
        }
        rename(closed, version, "user")?;
    } else {
        refuse_taken(version, None)?;
    }
    does(What::Named(version.to_owned()));
    Ok(())
}

/// What the migration that was closed last was called before it was lent another's name.
fn lent() -> Option<(String, String)> {
    since_row(|what| match what {
        What::Lent { version, source } => Some((version.clone(), source.clone())),
        _ => None,
    })
}

/// Another migration comes: the name that the last one was lent is for this one.
fn take_back(last: Option<&Migration>) -> Result<(), Error> {
    match (lent(), last) {
        (Some((version, source)), Some(last)) => rename(last.clone(), &version, &source),
        _ => Ok(()),
    }
}

fn rename(migration: Migration, version: &str, source: &str) -> Result<(), Error> {
    rows::update(&Migration {
        version: version.to_owned(),
        source: source.to_owned(),
        ..migration
    })?;
    xact::command_counter_increment();
    Ok(())
}

/// Whether a row of a framework would name something.
pub fn awaits_row() -> bool {
    let began = since_row(|what| matches!(what, What::Began { .. }).then_some(()));
    began.is_some() || LEFT.with_borrow(|left| !left.is_empty()) && !has_filled()
}

fn has_filled() -> bool {
    DONE.with_borrow(|done| {
        done.iter()
            .any(|d| matches!(d.what, What::Filled | What::Closed))
    })
}

/// A row of a framework came: it closes the open migration and names it. Where none is open, it says which framework
/// ran what this session left in earlier transactions, unless the migration of the row is yet to run.
pub fn row_came(framework: &str, version: &str, runs: bool) -> Result<(), Error> {
    if let Some(migration) = open()? {
        let name = if migration.source == "auto" {
            free(framework, version, migration.id)?
        } else {
            None
        };
        let source = name
            .as_ref()
            .map_or(migration.source, |_| framework.to_owned());
        rows::update(&Migration {
            version: name.unwrap_or(migration.version),
            source,
            framework: Some(framework.to_owned()),
            framework_version: Some(version.to_owned()),
            ..migration
        })?;
        xact::command_counter_increment();
        does(What::Closed);
        return Ok(());
    }
    if runs || has_filled() {
        return Ok(());
    }
    let left = LEFT.with_borrow(Clone::clone);
    // Versions are final; nobody else changes these rows, so there is no need to wait for those who migrate.
    for Left { id, xid } in left {
        let Some(migration) = rows::with_id(id)?.filter(|migration| migration.xid == xid) else {
            continue;
        };
        rows::update(&Migration {
            framework: Some(framework.to_owned()),
            framework_version: Some(version.to_owned()),
            ..migration
        })?;
    }
    xact::command_counter_increment();
    does(What::Filled);
    Ok(())
}

/// The version that a framework's gives: itself, or one with the framework in front of it where that is taken. `None`
/// where it is too long to be one.
fn free(framework: &str, version: &str, own: i64) -> Result<Option<String>, Error> {
    let is_free =
        |version: &str| Ok(rows::with_version(version)?.is_none_or(|other| other.id == own));
    let base = format!("{framework}:{version}");
    if base.len() + SUFFIX > limits::VERSION {
        return Ok(None);
    }
    if is_free(version)? {
        return Ok(Some(version.to_owned()));
    }
    unless_taken(base, is_free).map(Some)
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
    let is_free = |version: &str| Ok(rows::with_version(version)?.is_none());
    unless_taken(timestamp(xact::start()), is_free)
}

/// The version, with a suffix if it is taken.
fn unless_taken(
    base: String,
    is_free: impl Fn(&str) -> Result<bool, Error>,
) -> Result<String, Error> {
    let mut version = base.clone();
    let mut suffix = 2;
    while !is_free(&version)? {
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
