//! The trigger functions: capture, and the protection of history.

use std::ffi::CStr;

use electric_schema::names::{qualified_quoted, quote_ident_if_needed};

use crate::error::{Error, SqlState};
use crate::follow::role;
use crate::pg::entry::{self, Call, Datum, Trigger, Write, void};
use crate::pg::event::{self, Caller, Event};
use crate::pg::touched::{self, Command};
use crate::pg::tree::Statement;
use crate::pg::{locks, names, passing, relation, session, spi, subscription};
use crate::settings::Policy;
use crate::{capture, follow, precheck, settings, store, watch};

/// Whether this is a moment at which capture has nothing to do: a standby, pg_upgrade, our own scripts.
pub fn idle() -> bool {
    !session::may_act() || session::in_own_script()
}

/// A command begins that fires no event trigger; the utility hook calls this in its stead.
pub fn utility_starts(command: Command, statement: &Statement) -> Result<Datum, Error> {
    // The hook hears of databases, too, that have nothing to do with us.
    if !idle() && names::own_extension() != pgrx::pg_sys::Oid::INVALID {
        let watch = capture::command_starts(statement)?;
        touched::command_starts(
            command,
            false,
            statement,
            watch.partitioned(),
            watch.other(statement),
        );
    }
    Ok(void())
}

/// A command ended that fires no event trigger.
pub fn utility_ended(command: Command) -> Result<Datum, Error> {
    if !idle() {
        capture::command_ended(command, None)?;
    }
    Ok(void())
}

/// What an event trigger of ours fires for. Any other call is refused: it could pass for the end of a command that still
/// runs, and what that command does after would go unseen.
fn fired(call: &Call, event: &CStr) -> Result<Event, Error> {
    let function = call.called();
    let by_own = "the event triggers of the extension call it";
    let Some(fired) = call.event() else {
        return Err(not_called(function, by_own));
    };
    match event::caller(function) {
        // pg_upgrade makes our event triggers members of the extension only after it has made them.
        _ if idle() => Ok(fired),
        Caller::Own if fired.is(event) => Ok(fired),
        Caller::Own | Caller::Nobody => Err(not_called(function, by_own)),
        Caller::Other(trigger) => {
            let trigger = quote_ident_if_needed(&names::event_trigger_name(trigger));
            let function = names::function_name(function);
            Err(Error::new(
                SqlState::FeatureNotSupported,
                format!("event trigger {trigger} must not call function \"{function}\""),
            )
            .detail("The event triggers of the extension call it already, once for each command.")
            .hint(format!("DROP EVENT TRIGGER {trigger};")))
        }
    }
}

/// The trigger that calls, on a table of the extension.
fn fired_on_own(call: &Call) -> Result<Trigger, Error> {
    call.trigger()
        .filter(|trigger| names::is_own_relation(trigger.table))
        .ok_or_else(|| {
            let by_own = "triggers on the tables of the extension call it";
            not_called(call.called(), by_own)
        })
}

fn not_called(function: pgrx::pg_sys::Oid, by: &str) -> Error {
    let function = names::function_name(function);
    Error::new(
        SqlState::FeatureNotSupported,
        format!("function \"{function}\" cannot be called"),
    )
    .detail(format!("It is the extension's own: {by}, and nobody else."))
    .hint("Nothing needs it to be called.")
}

/// What the command does, once nobody is about to use the type that it changes as it was. While this waits, the name may
/// have become another type's.
fn begun(event: &Event) -> Statement {
    loop {
        let statement = event.statement();
        match &statement {
            Statement::ChangeType(id, _) | Statement::AlterDomain(id, _)
                if !locks::changes_type(*id) && precheck::permission::is_given(&statement) =>
            {
                locks::change_type(*id);
            }
            _ => return statement,
        }
    }
}

/// `ddl_command_start`: from here on what is touched is noted.
pub fn on_command_start(call: &Call) -> Result<Datum, Error> {
    let event = fired(call, c"ddl_command_start")?;
    if idle() {
        return Ok(void());
    }
    let ours = super::at_work();
    let statement = begun(&event);
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
        event.command(),
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
                quote_ident_if_needed(&publication)
            ),
        );
    }
    Ok(void())
}

/// `ddl_command_end`: what was touched is recorded or refused.
pub fn on_command_end(call: &Call) -> Result<Datum, Error> {
    let event = fired(call, c"ddl_command_end")?;
    if !idle() {
        put_triggers_back(&event)?;
        capture::command_ended(event.command(), Some(event))?;
    }
    Ok(void())
}

/// ENABLE TRIGGER ALL makes triggers ordinary that were to fire always, and a restore that says DISABLE TRIGGER ALL first may
/// end before it. So ours are put back at once; only who may do anything may have them disabled.
fn put_triggers_back(event: &Event) -> Result<(), Error> {
    let Some(change) = event.triggers_changed() else {
        return Ok(());
    };
    let disables = change.disables && settings::policy_in_force() == Policy::Unrestricted;
    if super::at_work() || disables || !names::is_own_relation(change.table) {
        return Ok(());
    }
    let triggers = relation::triggers(change.table);
    let always: Vec<String> = triggers
        .iter()
        .map(|name| format!("ENABLE ALWAYS TRIGGER {}", quote_ident_if_needed(name)))
        .collect();
    let (schema, name) = names::shown(change.table);
    let table = qualified_quoted(&schema, &name);
    super::working(|| spi::run(&format!("ALTER TABLE {table} {}", always.join(", "))))
}

/// `table_rewrite`: rows of an electrified table must not get other values unheard.
pub fn on_table_rewrite(call: &Call) -> Result<Datum, Error> {
    fired(call, c"table_rewrite")?;
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
    let trigger = fired_on_own(call)?;
    if trigger.table != store::commands::table()? {
        return Ok(void());
    }
    let (Some(applied), Some(row)) = (subscription::applied(), trigger.inserted_row()) else {
        return Ok(void());
    };
    // Somebody who brings records here by a subscription of their own does the rest too.
    let Some(name) = store::subscriptions::name()? else {
        return Ok(void());
    };
    let Some(subscription) = role::ours()? else {
        return Err(role::not_ours(applied, &name));
    };
    use store::tables::ddl_commands;
    let command = follow::Command {
        id: row.read(ddl_commands::id),
        word: row.read(ddl_commands::command),
        op: row.read(ddl_commands::op),
        hash: row.read(ddl_commands::hash),
    };
    passing::install();
    follow::apply(&command, subscription)?;
    Ok(void())
}

/// Who writes a table of the extension with SQL: superusers, as a restore does, and the worker that applies what the publisher
/// sends. The history stays as it is for them, too. Our own changes fire no triggers.
pub fn protect(call: &Call) -> Result<Datum, Error> {
    let trigger = fired_on_own(call)?;
    let table = names::relation_name(trigger.table).unwrap_or_default();
    let is_history = matches!(table.as_str(), "migrations" | "ddl_commands");
    if role::ours()?.is_some() {
        return follows(&trigger, &table, is_history).map(|()| trigger.row());
    }
    if !session::is_superuser() {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied for table {}", quote_ident_if_needed(&table)),
        )
        .detail("The tables of the extension are written by the extension alone, and by superusers who restore a dump.")
        .hint("electric.enable, electric.grant and the other functions of the extension write what belongs there.")
        .table("electric", table));
    }
    if !is_history
        || trigger.write == Write::Insert
        || settings::policy_in_force() == Policy::Unrestricted
    {
        return Ok(trigger.row());
    }
    Err(Error::new(
        SqlState::FeatureNotSupported,
        format!("cannot change rows of \"electric.{table}\""),
    )
    .detail("The history of migrations is append-only: replicas have followed it, or will.")
    .hint("A later migration can undo an earlier one. In an emergency a superuser may SET electric.policy = unrestricted.")
    .table("electric", table))
}

/// What the publisher sends goes into the tables that it publishes. It only adds to the history, but it names a migration
/// after the first command.
fn follows(trigger: &Trigger, table: &str, is_history: bool) -> Result<(), Error> {
    let comes = match table {
        "grants" | "assignments" => true,
        "migrations" => matches!(trigger.write, Write::Insert | Write::Update),
        "ddl_commands" => trigger.write == Write::Insert,
        _ => false,
    };
    if comes {
        return Ok(());
    }
    let error = Error::new(
        SqlState::FeatureNotSupported,
        format!("cannot follow the publisher: it changes rows of \"electric.{table}\""),
    )
    .hint("End this subscription: CALL electric.unsubscribe();")
    .table("electric", table);
    Err(error.detail(match is_history {
        true => "Its history is another one now, as after electric.unsubscribe() there.",
        false => "This table is the subscriber's own.",
    }))
}

/// The list of what is electrified, or of frameworks, was written with SQL, as a dump does: every session reads it anew.
/// Our own changes, which fire no triggers, say so themselves.
pub fn list_changed(call: &Call) -> Result<Datum, Error> {
    let trigger = fired_on_own(call)?;
    let table = trigger.table;
    touched::invalidate_watch_list(if store::frameworks::table()? == Some(table) {
        table
    } else {
        store::list()?
    });
    Ok(trigger.row())
}
