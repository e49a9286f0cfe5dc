//! Native syntax: `ALTER TABLE items SET (electric.enabled)` and `CREATE TABLE items (…) WITH (electric.enabled)`.
//!
//! The server parses these options, and would refuse them only when it runs the statement: the utility hook takes them
//! out before.

use pgrx::pg_sys;

use crate::api::enable;
use crate::error::{Error, SqlState};
use crate::pg::options::{Native, Said};
use crate::pg::{compat, locks, session};
use crate::watch;

/// The one option that there is, without its prefix.
pub const OPTION: &str = "enabled";

/// The statement is about to run without our options. A table that is switched off is so before, so that the rest of
/// the statement is free; one that is switched on is so afterwards, as the statement left it.
pub fn begins(mut native: Native, said: &[Said], if_not_exists: bool) -> Result<Native, Error> {
    let mut enabled = None;
    for option in said {
        let (name, value) = match option {
            Said::Set(name, value) => (name, *value),
            Said::Reset(name) => (name, false),
        };
        if name != OPTION {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("unrecognized parameter \"electric.{name}\""),
            )
            .hint("There is one: electric.enabled, for example ALTER TABLE items SET (electric.enabled);"));
        }
        enabled = Some(value);
    }
    match enabled {
        Some(true) => {
            native.enables = !(if_not_exists && native.is_made_already());
            // Before the statement locks the table: see `capture::command_starts`.
            let user = session::user();
            let may = |id| compat::owns(pg_sys::RelationRelationId, id, user);
            if native.enables && native.relation().is_none_or(may) {
                let watch = watch::current()?;
                if !native.relation().is_some_and(|id| watch.has(id)) {
                    enable::may_publish()?;
                }
                locks::migrations()?;
            }
        }
        Some(false) => {
            if let Some(table) = native.relation() {
                enable::disable_together(&[table])?;
            }
        }
        None => {}
    }
    Ok(native)
}

/// The statement has run.
pub fn ended(native: &Native) -> Result<(), Error> {
    match native.relation().filter(|_| native.enables) {
        Some(table) => enable::enable(&[table]),
        None => Ok(()),
    }
}
