//! `CALL electric.subscribe` and `CALL electric.unsubscribe`.

use std::collections::BTreeSet;

use electric_schema::model::{ColumnType, Table};
use electric_schema::names::{quote_ident, quote_literal};
use electric_schema::order;

use crate::error::{Error, SqlState};
use crate::follow::block::{self, Stop};
use crate::follow::{make, role};
use crate::pg::entry::{Call, Datum, void, warning};
use crate::pg::publisher::{self, Publisher};
use crate::pg::subscription::{self, State};
use crate::pg::{hook, locks, names, session, spi, worker, xact};
use crate::{api, follow, publication, store, watch};

mod source;
mod status;
mod unblock;

use source::Found;
pub use status::status;
use status::{Subscription, state};
pub use unblock::unblock;

/// `CALL electric.subscribe(conninfo text, name text)`: makes this database a replica of another.
pub fn subscribe(call: &Call) -> Result<Datum, Error> {
    session::show_instead(c"CALL electric.subscribe('********');");
    // Code around the call would be told of with its text.
    follow_publisher(call).map_err(Error::without_context)
}

fn follow_publisher(call: &Call) -> Result<Datum, Error> {
    let (conninfo, name) = (argument(call, 0)?, argument(call, 1)?);
    may(call, "electric.subscribe")?;
    if hook::depth() > 1 || !session::client_calls() {
        return Err(not_by_itself("electric.subscribe"));
    }
    is_fresh()?;
    let publisher = Publisher::connect(&conninfo)?;
    let publication = source::published(&publisher)?;
    let slot = subscription::slot_name();
    source::drop_left(&publisher, &slot)?;
    publisher::with_slot(publisher, &conninfo, &slot, |publisher| {
        let found = source::read(publisher)?;
        prepare(&found)?;
        begin(publisher, &found)?;
        // The publisher has said all: from here on nobody is waited for.
        publisher.run("COMMIT")?;
        locks::migrations()?;
        is_fresh()?;
        follow_from_here(&found, &name, &conninfo, &publication, &slot)
    })?;
    if !worker::is_preloaded() {
        warning(
            "the library is not preloaded: should a name that the publisher uses be taken here, rows of that table stop the subscription. \
             In postgresql.conf: shared_preload_libraries = 'electric', and restart the server",
        );
    }
    Ok(void())
}

/// Makes the role and gives it what it needs. That is committed before rows are copied, which takes its time: rows of
/// pg_database and pg_namespace would be locked as long, and whoever grants something, vacuum even, would wait.
fn prepare(found: &Found) -> Result<(), Error> {
    refuse_taken(found)?;
    role::ensure()?;
    role::grant(schemas(found).iter().map(String::as_str))?;
    xact::commit_and_go_on();
    Ok(())
}

/// Makes the types and tables, and copies the rows, as the role that owns them.
fn begin(publisher: &Publisher, found: &Found) -> Result<(), Error> {
    // The triggers of rows have fired on the publisher.
    api::working(|| spi::run("SET LOCAL session_replication_role = replica"))?;
    let role = role::ensure()?;
    let _replica = session::become_role(role);
    for definition in &found.types {
        make::of_type(definition).map_err(in_the_way)?;
    }
    let tables: Vec<&Table> = found.tables.iter().map(|source| &source.table).collect();
    for (at, change) in order::creation(&tables) {
        make::created(&tables, at, change).map_err(in_the_way)?;
    }
    session::replaying(|| {
        let mut sources = found.tables.iter();
        sources.try_for_each(|source| source::copy_rows(publisher, source))
    })?;
    xact::command_counter_increment();
    Ok(())
}

/// Names of tables and types must be free, all of them, before anything is made.
fn refuse_taken(found: &Found) -> Result<(), Error> {
    let tables = found.tables.iter().map(|source| &source.table);
    let mut taken: Vec<String> = tables
        .filter_map(|table| names::relation_of(&table.schema, &table.name))
        .map(block::described)
        .collect();
    let types = found.types.iter();
    taken.extend(
        types
            .filter(|of| names::type_of(&of.schema, &of.name).is_some())
            .map(|of| format!("type {}", of.qualified_name())),
    );
    if taken.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::of_code("42P07"),
        "names that the publisher uses are taken here",
    )
    .detail(format!("There are already: {}.", taken.join(", ")))
    .hint("Rename or drop them; what is there is never overwritten."))
}

fn in_the_way(stop: Stop) -> Error {
    match stop {
        Stop::Failed(error) => *error,
        Stop::InTheWay(reason) => Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("cannot make what the publisher has: {reason}"),
        )
        .detail("What the subscription did not make is neither used nor changed by it."),
    }
}

/// The schemas in which something of the publisher's is, and `public`.
fn schemas(found: &Found) -> BTreeSet<String> {
    let mut schemas = BTreeSet::from(["public".to_owned()]);
    for definition in &found.types {
        schemas.insert(definition.schema.clone());
        schemas.extend(definition.collations.iter().map(|of| of.schema.clone()));
        schemas.extend(definition.extensions.iter().map(|of| of.schema.clone()));
    }
    for source in &found.tables {
        let table = &source.table;
        schemas.insert(table.schema.clone());
        schemas.extend(table.collations.iter().map(|of| of.schema.clone()));
        schemas.extend(table.extensions.iter().map(|of| of.schema.clone()));
        for column in &table.columns {
            schemas.extend(column.sequence.iter().map(|of| of.schema.clone()));
            of_type(&column.data_type, &mut schemas);
        }
    }
    schemas.remove("pg_catalog");
    schemas
}

fn of_type(data_type: &ColumnType, schemas: &mut BTreeSet<String>) {
    schemas.insert(data_type.schema.clone());
    if let Some(of) = &data_type.of {
        of_type(of, schemas);
    }
}

/// Takes over the history, and begins to follow.
fn follow_from_here(
    found: &Found,
    name: &str,
    conninfo: &str,
    publication: &str,
    slot: &str,
) -> Result<(), Error> {
    let mut followed = session::replaying(|| source::write_records(&found.records))?;
    api::working(publication::ensure)?;
    for definition in &found.types {
        follow::know_type(definition)?;
    }
    for source in &found.tables {
        followed.push(follow::know_table(&source.table)?);
    }
    let quoted = quote_ident(name);
    // A worker whose connection broke begins after the last transaction that was applied, on disk or not, and has the
    // publisher forget all before (`run_apply_worker` asks for the progress without `flush`). A crash of this server in
    // the next half second would lose what was not: so what is applied is on disk first.
    let sql = format!(
        "CREATE SUBSCRIPTION {quoted} CONNECTION '' PUBLICATION {} \
         WITH (connect = false, slot_name = {}, synchronous_commit = 'local'{})",
        quote_ident(publication),
        quote_literal(slot),
        subscription::AS_ITS_OWNER,
    );
    // What the server says of a subscription made without a connection is taken care of here.
    session::silently(|| api::working(|| spi::run(&sql)))?;
    let id = state(name)?
        .ok_or_else(|| Error::internal("the subscription vanished"))?
        .id;
    // No statement has the connection string: statements come into logs.
    subscription::set_conninfo(id, conninfo);
    subscription::give_to(id, role::ensure()?);
    for table in followed {
        subscription::add(id, table, State::Ready);
    }
    store::subscriptions::insert(name)?;
    api::working(|| spi::run(&format!("ALTER SUBSCRIPTION {quoted} ENABLE")))?;
    watch::changed();
    Ok(())
}

fn argument(call: &Call, number: usize) -> Result<String, Error> {
    call.text(number)?.ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "the arguments must not be null",
        )
    })
}

/// A slot on another server does not roll back: nothing may come between the call and the commit.
fn may(call: &Call, what: &str) -> Result<(), Error> {
    if !session::is_superuser() {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied for procedure {what}"),
        )
        .detail("What comes from the publisher is written here, so only a superuser may say from where."));
    }
    if call.is_in_transaction() {
        return Err(not_by_itself(what));
    }
    session::prevent_if_read_only(c"electric.subscribe()");
    follow::is_up_to_date()
}

fn not_by_itself(what: &str) -> Error {
    Error::new(
        SqlState::of_code("25001"),
        format!("{what} cannot run inside a transaction block, or as part of other code"),
    )
    .hint("Send CALL by itself.")
}

fn is_fresh() -> Result<(), Error> {
    if let Some(name) = store::subscriptions::name()? {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("this database follows another already, by subscription \"{name}\""),
        )
        .hint(format!(
            "End it first: CALL electric.unsubscribe({});",
            quote_literal(&name)
        )));
    }
    if store::commands::last()?.id == 0 && store::shapes::ids()?.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "this database has migrations of its own",
    )
    .detail("A subscriber has the history of its publisher, and no other.")
    .hint("Subscribe in a database in which nothing was electrified yet."))
}

/// `CALL electric.unsubscribe(name text)`: ends what [`subscribe`] began.
pub fn unsubscribe(call: &Call) -> Result<Datum, Error> {
    let name = argument(call, 0)?;
    may(call, "electric.unsubscribe")?;
    locks::migrations()?;
    if store::subscriptions::name()?.as_deref() != Some(&name) {
        return Err(Error::new(
            SqlState::UndefinedObject,
            format!("this database follows no other by subscription \"{name}\""),
        ));
    }
    let mut remote = None;
    if let Some(Subscription { id, .. }) = state(&name)? {
        let of = |column: &str| {
            spi::value::<String>(
                &format!(
                    "SELECT {column}::text FROM pg_catalog.pg_subscription WHERE oid = $1::oid"
                ),
                &[&id.to_u32().to_string()],
            )
        };
        remote = of("subconninfo")?.zip(of("subslotname")?);
        let quoted = quote_ident(&name);
        api::working(|| {
            spi::run(&format!("ALTER SUBSCRIPTION {quoted} DISABLE"))?;
            spi::run(&format!(
                "ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE)"
            ))?;
            spi::run(&format!("DROP SUBSCRIPTION {quoted}"))
        })?;
    }
    for id in store::shapes::ids()? {
        follow::forget_table(id)?;
    }
    store::subscriptions::forget()?;
    watch::changed();
    role::give_back()?;
    let Some((conninfo, slot)) = remote else {
        return Ok(void());
    };
    // The publisher may take its time, and has nothing to do with what others wait for here.
    xact::commit_and_go_on();
    let is_ours = slot == subscription::slot_name();
    let dropped = if is_ours {
        publisher::or_cancelled(|| {
            Publisher::connect(&conninfo).and_then(|publisher| publisher.drop_slot(&slot))
        })
    } else {
        Err(Error::internal(
            "this database is a copy, and the original may use it",
        ))
    };
    if let Err(error) = dropped {
        warning(&publisher::left(&slot, &error));
    }
    Ok(void())
}
