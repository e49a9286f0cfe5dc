//! The trigger functions: capture, and the protection of history.

use crate::error::{Error, SqlState};
use crate::follow::role;
use crate::pg::entry::{self, Call, Datum, void};
use crate::pg::tree::Statement;
use crate::pg::{event, locks, names, session, subscription, touched};
use crate::settings::{POLICY, Policy};
use crate::{capture, follow, precheck, settings, store, watch};

/// Whether this is a moment at which capture has nothing to do: a standby, pg_upgrade, our own scripts.
pub fn idle() -> bool {
    !session::may_act() || session::in_own_script()
}

/// A command begins that fires no event trigger; the utility hook calls this in its stead.
pub fn utility_starts(statement: &Statement) -> Result<Datum, Error> {
    if !idle() {
        let watch = capture::command_starts(statement)?;
        touched::command_starts(
            false,
            statement,
            watch.partitioned(),
            watch.other(statement),
        );
    }
    Ok(void())
}

/// A command ended that fires no event trigger.
pub fn utility_ended() -> Result<Datum, Error> {
    if !idle() {
        capture::command_ended(None)?;
    }
    Ok(void())
}

/// `ddl_command_start`: from here on what is touched is noted.
pub fn on_command_start(call: &Call) -> Result<Datum, Error> {
    if idle() {
        return Ok(void());
    }
    let ours = super::at_work();
    let Some(event) = call.event() else {
        return Ok(void());
    };
    let statement = event.statement();
    match &statement {
        Statement::DropExtensions(names) if names.iter().any(|name| name == "electric") => {
            return goes(&statement);
        }
        Statement::ChangeMembers(name) if name == "electric" => watch::members_change(),
        // The extension goes with all else that its owner has.
        Statement::DropOwned(roles)
            if roles.contains(&names::extension_owner(names::own_extension()))
                && precheck::permission::is_given(&statement) =>
        {
            locks::migrations()?;
        }
        _ => {}
    }
    let watch = if ours {
        watch::current()?
    } else {
        capture::command_starts(&statement)?
    };
    touched::command_starts(
        ours,
        &statement,
        watch.partitioned(),
        watch.other(&statement),
    );
    Ok(void())
}

/// DROP EXTENSION of our own begins. The trigger for the end of the command goes with it; and a damaged extension must not
/// stand in the way of its end, so nothing of ours is read.
fn goes(statement: &Statement) -> Result<Datum, Error> {
    if precheck::permission::is_given(statement) {
        locks::migrations()?;
    }
    let publication = settings::publication();
    if names::publication_id(&publication) != pgrx::pg_sys::Oid::INVALID {
        entry::notice_with_hint(
            &format!("publication \"{publication}\" is not dropped with the extension"),
            &format!(
                "To remove it too: DROP PUBLICATION {};",
                electric_schema::names::quote_ident_if_needed(&publication)
            ),
        );
    }
    Ok(void())
}

/// `ddl_command_end`: what was touched is recorded or refused.
pub fn on_command_end(call: &Call) -> Result<Datum, Error> {
    if !idle() {
        capture::command_ended(call.event())?;
    }
    Ok(void())
}

/// `table_rewrite`: rows of an electrified table must not get other values unheard.
pub fn on_table_rewrite(_call: &Call) -> Result<Datum, Error> {
    if !idle()
        && !super::at_work()
        && let Some((table, reason)) = event::rewritten()
    {
        precheck::rewrite(table, reason, &*watch::current()?)?;
    }
    Ok(void())
}

/// A row came into `electric.ddl_commands`. From a publisher, it is done here; our own rows fire no triggers, and those
/// that a restore or `electric.subscribe` copies are done already.
pub fn on_replicated_command(call: &Call) -> Result<Datum, Error> {
    // Anybody may have the function called for a table of theirs, whose rows are none of a publisher's.
    if call.trigger_table() != Some(store::commands::table()?) {
        return Err(Error::new(
            SqlState::of_code("39P01"),
            "electric.on_replicated_command() is the trigger of \"electric.ddl_commands\" alone",
        ));
    }
    let Some(applied) = subscription::applied() else {
        return Ok(void());
    };
    // Somebody who brings records here by a subscription of their own does the rest too.
    let Some(name) = store::subscriptions::name()? else {
        return Ok(void());
    };
    let (Some(subscription), Some(row)) = (role::ours()?, call.inserted_row()) else {
        return Err(role::not_ours(applied, &name));
    };
    let command = follow::Command {
        id: row.get(1).unwrap_or(0),
        word: row.get(3).unwrap_or_default(),
        op: row
            .get::<pgrx::JsonB>(8)
            .map_or(serde_json::Value::Null, |json| json.0),
        hash: row.get(9).unwrap_or_default(),
    };
    follow::apply(&command, subscription)?;
    Ok(void())
}

/// Refuses UPDATE, DELETE and TRUNCATE of the history. Our own changes do not fire triggers.
pub fn protect_history(call: &Call) -> Result<Datum, Error> {
    if POLICY.get() == Policy::Unrestricted && session::is_superuser() {
        return Ok(call.trigger_row());
    }
    let table = call
        .trigger_table()
        .and_then(names::relation_name)
        .unwrap_or_default();
    // The publisher named its migration after the first command.
    if table == "migrations" && call.is_update() && role::ours()?.is_some() {
        return Ok(call.trigger_row());
    }
    if subscription::applied().is_some() {
        return Err(Error::new(
            SqlState::FeatureNotSupported,
            format!("cannot follow the publisher: it changes rows of \"electric.{table}\""),
        )
        .detail("Its history is another one now, as after electric.unsubscribe() there.")
        .hint("End this subscription: CALL electric.unsubscribe();")
        .table("electric", table));
    }
    Err(Error::new(
        SqlState::FeatureNotSupported,
        format!("cannot change rows of \"electric.{table}\""),
    )
    .detail("The history of migrations is append-only: replicas have followed it, or will.")
    .hint("A later migration can undo an earlier one. In an emergency a superuser may SET electric.policy = unrestricted.")
    .table("electric", table))
}

/// The list of what is electrified, or of frameworks, was written with SQL, as a dump does: every session reads it anew.
/// Our own changes, which fire no triggers, say so themselves.
pub fn list_changed(call: &Call) -> Result<Datum, Error> {
    // Anybody may have it called for a table of theirs.
    let Some(table) = call
        .trigger_table()
        .filter(|table| names::is_own_relation(*table))
    else {
        return Ok(call.trigger_row());
    };
    touched::invalidate_watch_list(if store::frameworks::table()? == Some(table) {
        table
    } else {
        store::list()?
    });
    Ok(call.trigger_row())
}
