//! Partitions of electrified tables that a command touched: rows that came or went with them, whether their rows are
//! logged, and their replica identity.

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::touched::{How, Move, Touched};
use crate::pg::tree::{Action, Statement};
use crate::pg::{names, relation, session, spi};
use crate::precheck::partitions;
use crate::settings;
use crate::watch::Watch;

/// The electrified roots whose rows replicas must fetch anew, because of what happened to their partitions; an error if
/// the policy refuses that.
pub fn replaced(
    touched: &Touched,
    statement: Option<&Statement>,
    watch: &Watch,
) -> Result<Vec<pg_sys::Oid>, Error> {
    let mut roots = Vec::new();
    for made in &touched.moves {
        // A root that is gone is an affair of its own; one that is truncated is so on replicas, with all its rows.
        let with_root = made.how == How::Truncated
            && touched
                .moves
                .iter()
                .any(|other| other.how == How::Truncated && other.partition == made.root);
        if with_root || !watch.has(made.root) || relation::class(made.root).is_none() {
            continue;
        }
        match refused(made) {
            Ok(()) => {}
            Err(_) if settings::effective_policy().1 || is_committed(statement) => {
                roots.push(made.root);
            }
            Err(refused) => return Err(refused),
        }
    }
    Ok(roots)
}

/// What the rule says to what happened to a partition. Its rows are looked at now, as nobody else can add any.
fn refused(made: &Move) -> Result<(), Error> {
    let Move {
        root,
        partition,
        shown,
        how,
    } = made;
    let holds_rows = |action| match relation::has_rows(*partition) {
        true => Err(partitions::holds_rows(*root, shown, action)?),
        false => Ok(()),
    };
    match how {
        How::Dropped => Err(partitions::holds_rows(*root, shown, "drop")?),
        How::Truncated => Err(partitions::holds_rows(*root, shown, "truncate")?),
        How::Joined if relation::root_of_partition(*partition) == Some(*root) => {
            partitions::attach(*root, *partition)
        }
        How::Joined => holds_rows("detach"),
        How::Logged
            if relation::class(*partition).is_some_and(|class| class.persistence == b'u') =>
        {
            Err(partitions::unlogged(*root, shown, false)?)
        }
        How::Logged => holds_rows("set LOGGED on"),
    }
}

/// DETACH CONCURRENTLY has committed that the partition leaves before the last row of it is there: what came in between
/// cannot be refused any more.
fn is_committed(statement: Option<&Statement>) -> bool {
    matches!(statement, Some(Statement::AlterTable { actions, .. })
    if actions.iter().any(|action| matches!(
        action,
        Action::FinishDetach | Action::Detach { concurrently: true, .. }
    )))
}

/// The rows of a partition travel with its own replica identity: it gets that of the electrified root, where its own
/// would say less.
pub fn identify(id: pg_sys::Oid) -> Result<(), Error> {
    let identity = |id| relation::class(id).map(|class| class.replica_identity);
    let words = match (
        relation::root_of_partition(id).and_then(identity),
        identity(id),
    ) {
        (Some(b'f'), Some(own)) if own != b'f' => "FULL",
        (Some(b'd'), Some(b'n' | b'i')) => "DEFAULT",
        _ => return Ok(()),
    };
    let (schema, name) = names::shown(id);
    let table = electric_schema::names::qualified_quoted(&schema, &name);
    let _elevated = session::elevate()?;
    crate::api::working(|| {
        spi::run(&format!(
            "ALTER TABLE ONLY {table} REPLICA IDENTITY {words}"
        ))
    })
}
