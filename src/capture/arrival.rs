//! What was recorded in another database, and came here by a dump, an upgrade or a copy: it is taken on before the
//! first command that could change it.
//!
//! Ids of parts hold in one database only, so they are read anew. And a dump leaves the extension's own tables out of
//! the publication: it names the members of an extension nowhere but in its data.

use std::cell::Cell;

use electric_schema::names::qualified_quoted;

use super::{tables, types};
use crate::error::Error;
use crate::pg::{entry, locks, names, session, xact};
use crate::{api, publication, store, watch};

thread_local! {
    /// The generation of the list at which some tables were found not to be as recorded.
    static TRIED: Cell<u64> = const { Cell::new(0) };
}

/// Takes on what has come. A table that is not as recorded is left alone: its next change is compared with the record
/// by text, and `electric.drift` shows it.
pub fn take_on() -> Result<(), Error> {
    let generation = || Ok::<u64, Error>(store::list_and_generation()?.1);
    if !watch::current()?.has_come() || !session::may_write() || TRIED.get() == generation()? {
        return Ok(());
    }
    locks::migrations()?;
    let mut any = false;
    let mut taken = Vec::new();
    for (id, is_here) in store::shapes::here_or_elsewhere()? {
        if is_here {
            continue;
        }
        if tables::take_on(id)? {
            any = true;
            let (schema, name) = names::shown(id);
            taken.push((id, qualified_quoted(&schema, &name)));
        }
    }
    for id in store::types::ids()? {
        types::take_on(id)?;
    }
    xact::command_counter_increment();
    // Whose publication it is, and what is in it, is not for the command to answer for that happens to come first.
    let repaired = api::working(|| publication::ensure().and_then(|()| publication::add(&taken)));
    if let Err(error) = repaired {
        entry::warning(&error.message);
    }
    if any {
        watch::changed();
    }
    watch::current()?;
    TRIED.set(generation()?);
    Ok(())
}
