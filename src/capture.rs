//! Capture by effect: what a command touched is compared with what is recorded; the difference is recorded or refused.

use std::collections::BTreeSet;
use std::rc::Rc;

use pgrx::pg_sys;

use crate::error::{Error, SqlState};
use crate::pg::event::{self, Event};
use crate::pg::touched::{Command, Touched};
use crate::pg::tree::{Action, Statement};
use crate::pg::{locks, session, touched, xact};
use crate::precheck;
use crate::watch::{self, Watch};

pub mod arrival;
mod partitions;
pub mod record;
mod replace;
pub mod tables;
pub mod types;

/// A command begins. What its parse tree shows to be refused is refused now. One that will migrate a table waits for
/// other migrations now, before it locks the table: else rows of the table would have to wait with it, and two that
/// lock tables first could wait for each other.
///
/// Gives what is watched.
pub fn command_starts(statement: &Statement) -> Result<Rc<Watch>, Error> {
    // The server renames a schema under the feet of `electric.enable`, whose locks are on the tables in it.
    if matches!(statement, Statement::RenameSchema(_)) && precheck::permission::is_given(statement)
    {
        locks::migrations()?;
    }
    arrival::take_on()?;
    let watch = watch::current()?;
    precheck::refuse(statement, &watch)?;
    if watch.is_empty() {
        return Ok(watch);
    }
    if migrates(statement, &watch) || precheck::partitions::migrates(statement, &watch) {
        locks::migrations()?;
    }
    precheck::partitions::lock(statement, &watch);
    Ok(watch)
}

/// Whether the statement will change the shape of an electrified table or the labels of an enum in use. Commands that
/// commit in between (CONCURRENTLY) could not keep the lock.
fn migrates(statement: &Statement, watch: &Watch) -> bool {
    match statement {
        Statement::AlterTable { relation, actions } => {
            watch.watches(*relation)
                && actions.iter().any(|action| {
                    !matches!(
                        action,
                        Action::Harmless
                            | Action::AllTriggers
                            | Action::Attach(_)
                            | Action::Detach { .. }
                            | Action::FinishDetach
                    )
                })
        }
        Statement::CreateIndex {
            relation,
            concurrently,
            ..
        } => !concurrently && watch.watches(*relation),
        Statement::RenameRelation { relation, .. } | Statement::RenameColumn { relation, .. } => {
            watch.watches(*relation)
        }
        Statement::DropRelations {
            relations,
            concurrently,
        } => !concurrently && relations.iter().any(|id| watch.watches(*id)),
        Statement::AddLabel(id) => watch.uses(*id),
        _ => false,
    }
}

/// A command ended; `event` tells which, where an event trigger does.
pub fn command_ended(command: Command, event: Option<Event>) -> Result<(), Error> {
    let Some((touched, ours)) = touched::command_ends(command) else {
        return unseen();
    };
    if !ours {
        judge(touched, event)?;
    }
    touched::command_ended(command);
    Ok(())
}

/// A command ended that nobody saw begin, as when this transaction has just made the event triggers. What it touched is
/// not known; so where something is electrified, and our triggers were there, it fails.
fn unseen() -> Result<(), Error> {
    if watch::current()?.is_empty() || event::are_new() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "cannot tell what the command changed",
    )
    .detail("What a command touches is noted from its beginning on, and this one began unseen.")
    .hint("Run it again. If that does not help: ALTER EVENT TRIGGER electric_command_start ENABLE ALWAYS;"))
}

/// Records or refuses what a command did.
fn judge(touched: Touched, event: Option<Event>) -> Result<(), Error> {
    let watch = watch::current()?;
    if watch.is_empty() {
        return Ok(());
    }
    let mut types = watch.touched_types(&touched);
    // A constraint of a domain that is dropped or renamed invalidates nothing.
    if event.as_ref().is_some_and(Event::cascades) {
        types = watch.with_all_domains(types);
    }
    let merely_touches = event.as_ref().is_some_and(Event::merely_touches);
    // Most commands are not looked at once more: only these want to know what they were.
    let statement = event
        .filter(|_| watch.uses_types() || !touched.moves.is_empty())
        .map(|event| event.statement());
    match &statement {
        Some(Statement::ChangeType(id, _) | Statement::AlterDomain(id, _)) if watch.uses(*id) => {
            types.push(*id)
        }
        _ => {}
    }
    let mut tables = watch.touched_tables(&touched);
    let partitions = watch.touched_partitions(&touched);
    // Most commands are of no concern to us, which is found out without a look at what is recorded.
    if types.is_empty()
        && tables.is_empty()
        && partitions.is_empty()
        && touched.moves.is_empty()
        && touched.rewritten.is_empty()
    {
        return Ok(());
    }
    let _snapshot = xact::active_snapshot();
    let roots = partitions::replaced(&touched, statement.as_ref(), &watch)?;
    let mut replaced: BTreeSet<u32> = roots.into_iter().map(|id| id.to_u32()).collect();
    for id in types {
        replaced.extend(self::types::touched(id, statement.as_ref(), &watch)?);
    }
    replaced.extend(touched.rewritten.iter().map(|id| id.to_u32()));
    tables.retain(|id| !replaced.contains(&id.to_u32()));
    // What somebody else's command merely touches is left as it is, whatever happened to it before.
    if merely_touches {
        tables.retain(|id| session::acts_as_owner(*id));
    }
    for id in tables {
        tables::touched(id, &touched.reach, &watch)?;
    }
    for id in replaced {
        tables::replaced(pg_sys::Oid::from(id), &watch)?;
    }
    for id in partitions {
        partitions::identify(id)?;
    }
    Ok(())
}
