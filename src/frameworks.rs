//! Migration frameworks: rows that come into their books name the migrations of this session.
//!
//! What is looked at is rows that statements wrote, after they did: the tables are not altered, nothing is locked that
//! the statement has not locked, and nothing of a user's runs.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use electric_schema::framework::{Column, Framework};
use pgrx::pg_sys;

use crate::api::events;
use crate::error::Error;
use crate::pg::written::{self, Reader, TooLong, Which};
use crate::pg::{entry, heap, names, session};
use crate::{limits, store, version};

/// A table in which a framework keeps its books.
struct Books {
    framework: Framework,
    /// The columns of the version.
    columns: HashMap<String, Reader>,
    running: Option<Reader>,
}

/// What is known of tables, and since which generation.
#[derive(Default)]
struct Known {
    generation: u64,
    frameworks: Option<Rc<[Framework]>>,
    tables: HashMap<u32, Option<Rc<Books>>>,
}

/// A session that writes to ever more tables must not grow for as long as it lasts.
const MOST_TABLES: usize = 1000;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

impl Books {
    fn of(table: pg_sys::Oid, frameworks: &[Framework]) -> Option<Books> {
        let name = names::relation_name(table)?;
        let (columns, readers): (Vec<Column>, Vec<Option<Reader>>) =
            written::columns(table).into_iter().unzip();
        let framework = frameworks.iter().find(|of| of.keeps(&name, &columns))?;
        let reader = |wanted: &str| {
            let at = columns.iter().position(|column| column.name == wanted)?;
            readers[at]
        };
        let of_version = framework.version_columns();
        Some(Books {
            columns: of_version
                .into_iter()
                .map(|name| Some((name.to_owned(), reader(name)?)))
                .collect::<Option<_>>()?,
            running: match &framework.running {
                Some(name) => Some(reader(name)?),
                None => None,
            },
            framework: framework.clone(),
        })
    }

    /// The version that a row gives, if it gives one.
    fn version(&self, row: &heap::Row) -> Result<Option<String>, TooLong> {
        let too_long = Cell::new(false);
        let value = |name: &str| {
            let text = self.columns.get(name)?.text(row, limits::VERSION);
            text.unwrap_or_else(|TooLong| {
                too_long.set(true);
                None
            })
        };
        let version = session::canonical(|| self.framework.version_of(value));
        match version {
            _ if too_long.get() => Err(TooLong),
            Some(version) if version.len() > limits::VERSION => Err(TooLong),
            version => Ok(version),
        }
    }

    /// Says that a row was passed over. The table may be anything that merely looks like books: to write to it is no error.
    fn passed_over(&self) {
        entry::warning(&format!(
            "cannot name the migration by {}: the row gives a version of more than {} bytes",
            self.framework.name,
            limits::VERSION
        ));
    }

    /// Whether the migration of a row runs.
    fn runs(&self, row: &heap::Row) -> bool {
        self.running.is_some_and(|reader| {
            let value = reader.text(row, limits::VERSION);
            value.is_ok_and(|value| value.is_none_or(|value| reader.is_boolean && value == "t"))
        })
    }
}

/// The books that a table is; `None` if it is none. The caller holds a lock on it.
fn books(table: pg_sys::Oid) -> Result<Option<Rc<Books>>, Error> {
    let Some(list) = store::frameworks::table()? else {
        return Ok(None);
    };
    if names::is_own_relation(table) {
        return Ok(None);
    }
    let generation = written::generation();
    let known = KNOWN.with_borrow_mut(|known| {
        if known.generation != generation || known.tables.len() > MOST_TABLES {
            *known = Known {
                generation,
                ..Known::default()
            };
        }
        known.tables.get(&table.to_u32()).cloned()
    });
    if let Some(known) = known {
        return Ok(known);
    }
    // Before it is read: what changes meanwhile makes it stale.
    written::keep_in_mind(list);
    written::keep_in_mind(table);
    let frameworks = match KNOWN.with_borrow(|known| known.frameworks.clone()) {
        Some(known) => known,
        None => store::frameworks::all()?.into(),
    };
    let books = Books::of(table, &frameworks).map(Rc::new);
    KNOWN.with_borrow_mut(|known| {
        known.frameworks = Some(frameworks);
        known.tables.insert(table.to_u32(), books.clone());
    });
    Ok(books)
}

/// A command of this transaction, of that number, wrote to a table. If it keeps the books of a framework, its new rows
/// name what is to be named. Never an error: a migration must not fail because of its name.
pub fn rows_came(table: pg_sys::Oid, command: pg_sys::CommandId) {
    if events::idle() || table == pg_sys::Oid::INVALID {
        return;
    }
    let books = match books(table) {
        Ok(Some(books)) => books,
        Ok(None) => return,
        Err(error) => {
            unnamed(&error);
            return;
        }
    };
    let (mut came, mut replaced) = (Vec::new(), HashSet::new());
    let mut is_too_long = false;
    written::by_command(table, command, |which, row| {
        match (books.version(row), which) {
            (Ok(Some(version)), Which::New) => came.push((version, books.runs(row))),
            (Ok(Some(version)), Which::Old) => drop(replaced.insert(version)),
            (Ok(None), _) => {}
            (Err(TooLong), which) => is_too_long |= which == Which::New,
        }
    });
    if is_too_long {
        books.passed_over();
    }
    for (version, runs) in came {
        // Another column changed. That counts where it says that the migration ended.
        if replaced.contains(&version) && (books.running.is_none() || runs) {
            continue;
        }
        if let Err(error) = version::row_came(&books.framework.name, &version, runs) {
            entry::warning(&format!(
                "cannot name the migration by {}: {}",
                books.framework.name, error.message
            ));
        }
    }
}

/// A migration must not fail because of its name.
fn unnamed(error: &Error) {
    entry::warning(&format!("cannot name the migration: {}", error.message));
}

/// The framework whose migration runs in this session and its version, by a row that the session wrote before.
pub fn running() -> Result<Option<(String, String)>, Error> {
    let mut seen = HashSet::new();
    for write in written::last() {
        if write.table.to_u32() < pg_sys::FirstNormalObjectId {
            continue;
        }
        let rows = written::unless_locked(write.table, || {
            let books = match books(write.table) {
                Ok(Some(books)) if books.running.is_some() => books,
                Ok(_) => return None,
                Err(error) => return Some(Err(error)),
            };
            let rows = written::by_transaction(write.table, write.xid, |row| {
                (books.version(row), books.runs(row))
            });
            Some(Ok((books, rows)))
        });
        let Some(rows) = rows.flatten() else {
            continue;
        };
        let (books, rows) = match rows {
            Ok(rows) => rows,
            Err(error) => {
                unnamed(&error);
                return Ok(None);
            }
        };
        if rows.iter().any(|(version, runs)| version.is_err() && *runs) {
            books.passed_over();
        }
        for (version, runs) in rows {
            let Ok(Some(version)) = version else { continue };
            // The newest state of a row counts.
            if seen.insert((write.table.to_u32(), version.clone())) && runs {
                return Ok(Some((books.framework.name.clone(), version)));
            }
        }
    }
    Ok(None)
}
