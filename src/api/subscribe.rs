//! `CALL electric.subscribe` and `CALL electric.unsubscribe`.

use electric_schema::model::{Table, TypeDefinition};
use electric_schema::names::{qualified_quoted, quote_ident, quote_literal};
use electric_schema::op::FORMAT;
use serde_json::{Value, json};

use crate::error::{Error, SqlState};
use crate::pg::entry::{Call, Datum, void, warning};
use crate::pg::publisher::Publisher;
use crate::pg::subscription::{self, State};
use crate::pg::{locks, names, session, spi, xact};
use crate::{api, follow, publication, store, watch};

/// Our own tables that follow, with their columns.
const RECORDS: [(&str, &[&str]); 4] = [
    (
        "migrations",
        &[
            "id",
            "version",
            "source",
            "framework",
            "framework_version",
            "xid",
            "created_at",
        ],
    ),
    (
        "ddl_commands",
        &[
            "id",
            "migration_id",
            "command",
            "relation",
            "query",
            "postgres",
            "sqlite",
            "op",
            "hash",
        ],
    ),
    (
        "grants",
        &[
            "table_schema",
            "table_name",
            "privilege",
            "grantee",
            "role",
            "scope_schema",
            "scope_table",
            "columns",
            "using_path",
            "condition",
        ],
    ),
    (
        "assignments",
        &[
            "table_schema",
            "table_name",
            "user_column",
            "role",
            "role_column",
            "scope_schema",
            "scope_table",
            "using_path",
            "condition",
        ],
    ),
];

/// An electrified table on the publisher.
struct Source {
    table: Table,
    partitioned: bool,
}

/// `CALL electric.subscribe(conninfo text, name text)`: makes this database a replica of another.
pub fn subscribe(call: &Call) -> Result<Datum, Error> {
    let (conninfo, name) = (argument(call, 0)?, argument(call, 1)?);
    may(call, "electric.subscribe")?;
    locks::migrations()?;
    is_fresh()?;
    let mut publisher = Publisher::connect(&conninfo)?;
    let publication = published(&publisher)?;
    let slot = subscription::slot_name();
    // No other database makes a slot of that name: one that is there is left from a publisher that could not be
    // reached, or a server that stopped.
    publisher.texts(&format!(
        "SELECT pg_catalog.pg_drop_replication_slot(slot_name)::text FROM pg_catalog.pg_replication_slots \
         WHERE slot_name = {} AND NOT active",
        quote_literal(&slot)
    ))?;
    publisher.begin_with_slot(&slot)?;
    understand(&publisher)?;
    let (tables, types) = read(&publisher)?;
    api::working(|| {
        // The triggers of rows have fired on the publisher.
        spi::run("SET LOCAL session_replication_role = replica")?;
        // What the server says of a subscription made without a connection is taken care of here.
        spi::run("SET LOCAL client_min_messages = error")
    })?;
    follow::run(&publisher.texts("SELECT electric.schema_sql('postgres')")?)?;
    session::replaying(|| copy(&publisher, &tables))?;
    api::working(publication::ensure)?;
    for definition in &types {
        follow::know_type(definition)?;
    }
    let mut followed = Vec::new();
    for (record, _) in RECORDS {
        followed.extend(names::relation_of("electric", record));
    }
    for source in &tables {
        followed.push(follow::know_table(&source.table)?);
    }
    // A worker whose connection broke begins after the last transaction that was applied, on disk or not, and has the
    // publisher forget all before (`run_apply_worker` asks for the progress without `flush`). A crash of this server in
    // the next half second would lose what was not: so what is applied is on disk first.
    api::working(|| {
        spi::run(&format!(
            "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} \
             WITH (connect = false, slot_name = {}, synchronous_commit = 'local')",
            quote_ident(&name),
            quote_literal(&conninfo),
            quote_ident(&publication),
            quote_literal(&slot)
        ))
    })?;
    let id = state(&name)?
        .ok_or_else(|| Error::internal("the subscription vanished"))?
        .id;
    for table in followed {
        subscription::add(id, table, State::Ready);
    }
    store::subscriptions::insert(&name)?;
    api::working(|| spi::run(&format!("ALTER SUBSCRIPTION {} ENABLE", quote_ident(&name))))?;
    watch::changed();
    publisher.keep()?;
    Ok(void())
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
        .detail("What comes from the publisher is run as superuser, so only a superuser may say from where."));
    }
    if call.is_in_transaction() {
        return Err(Error::new(
            SqlState::of_code("25001"),
            format!("{what} cannot run inside a transaction block"),
        )
        .hint("Send CALL by itself."));
    }
    session::prevent_if_read_only(c"electric.subscribe()");
    Ok(())
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

/// The publication of the publisher.
fn published(publisher: &Publisher) -> Result<String, Error> {
    // Row security would leave rows out in silence.
    publisher.run("SET row_security = off")?;
    publisher.run("SET lc_monetary = 'C'")?;
    let extension = publisher
        .texts("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'electric'")?;
    if extension.is_empty() {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "the publisher does not have the extension \"electric\"",
        )
        .hint("On the publisher: CREATE EXTENSION electric; SELECT electric.enable('…');"));
    }
    let found = publisher.texts(
        "SELECT pubname::text FROM pg_catalog.pg_publication \
         WHERE pubname::text = electric.status() ->> 'publication'",
    )?;
    found.into_iter().next().ok_or_else(|| {
        Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "nothing is electrified on the publisher",
        )
        .hint("On the publisher: SELECT electric.enable('…');")
    })
}

fn understand(publisher: &Publisher) -> Result<(), Error> {
    let newer = publisher.texts(&format!(
        "SELECT id::text FROM electric.ddl_commands WHERE (op ->> 'format')::int > {FORMAT} ORDER BY id LIMIT 1"
    ))?;
    match newer.first() {
        Some(id) => Err(follow::too_new(&format!("command {id}"))),
        None => Ok(()),
    }
}

fn read(publisher: &Publisher) -> Result<(Vec<Source>, Vec<TypeDefinition>), Error> {
    let tables = publisher.texts(
        "SELECT pg_catalog.json_build_object('table', e.shape, 'partitioned', c.relkind = 'p')::text \
         FROM electric.electrified AS e JOIN pg_catalog.pg_class AS c ON c.oid = e.relation ORDER BY c.oid",
    )?;
    let tables = tables.iter().map(|text| {
        let mut value: Value = serde_json::from_str(text)?;
        Ok(Source {
            partitioned: value["partitioned"] == true,
            table: serde_json::from_value(value["table"].take())?,
        })
    });
    let types = publisher.texts("SELECT definition::text FROM electric.electrified_types")?;
    let types = types.iter().map(|text| Ok(serde_json::from_str(text)?));
    Ok((
        tables.collect::<Result<_, Error>>()?,
        types.collect::<Result<_, Error>>()?,
    ))
}

/// Copies the history, and the rows of the tables.
fn copy(publisher: &Publisher, tables: &[Source]) -> Result<(), Error> {
    let missing = |name: &str| Error::internal(format!("table {name} is missing"));
    for (name, columns) in RECORDS {
        let id = names::relation_of("electric", name).ok_or_else(|| missing(name))?;
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let list = listed(&columns);
        publisher.copy(
            &format!("COPY electric.{name} ({list}) TO STDOUT"),
            id,
            &columns,
        )?;
    }
    for Source { table, partitioned } in tables {
        let id = names::relation_of(&table.schema, &table.name)
            .ok_or_else(|| missing(&table.qualified_name()))?;
        let columns: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
        // Tables that inherit are tables of their own.
        let only = if *partitioned { "" } else { "ONLY " };
        let name = qualified_quoted(&table.schema, &table.name);
        let list = listed(&columns);
        publisher.copy(
            &format!("COPY (SELECT {list} FROM {only}{name}) TO STDOUT"),
            id,
            &columns,
        )?;
    }
    xact::command_counter_increment();
    Ok(())
}

fn listed(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
    quoted.join(", ")
}

/// A subscription of this database.
struct Subscription {
    id: pgrx::pg_sys::Oid,
    enabled: bool,
}

fn state(name: &str) -> Result<Option<Subscription>, Error> {
    const ROW: &str = "FROM pg_catalog.pg_subscription AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() AND s.subname::text = $1";
    let Some(id) = spi::value(&format!("SELECT s.oid {ROW}"), &[name])? else {
        return Ok(None);
    };
    let enabled = spi::value(&format!("SELECT s.subenabled {ROW}"), &[name])?.unwrap_or(false);
    Ok(Some(Subscription { id, enabled }))
}

/// What `electric.status()` tells of the subscription; null where there is none.
pub fn status() -> Result<Value, Error> {
    let Some(name) = store::subscriptions::name()? else {
        return Ok(Value::Null);
    };
    let last_command = store::commands::last()?.id;
    let mut status = json!({
        "name": name, "enabled": false, "running": false, "errors": 0, "last_command": last_command, "tables": {},
    });
    session::canonical(|| {
        let Some(Subscription { id, enabled }) = state(&name)? else {
            return Ok(());
        };
        status["enabled"] = enabled.into();
        if let Some(text) = spi::value::<String>(PROGRESS, &[&id.to_u32().to_string()])?
            && let Value::Object(progress) = serde_json::from_str(&text)?
            && let Some(status) = status.as_object_mut()
        {
            status.extend(progress);
        }
        Ok::<_, Error>(())
    })?;
    Ok(status)
}

/// How far the subscription with that id is, as the server's own views have it.
const PROGRESS: &str = "SELECT pg_catalog.json_build_object( \
    'running', EXISTS (SELECT FROM pg_catalog.pg_stat_subscription AS w WHERE w.subid = $1::oid AND w.relid IS NULL AND w.pid IS NOT NULL), \
    'errors', (SELECT s.apply_error_count + s.sync_error_count FROM pg_catalog.pg_stat_subscription_stats AS s WHERE s.subid = $1::oid), \
    'tables', (SELECT coalesce(pg_catalog.json_object_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), \
            CASE r.srsubstate WHEN 'i' THEN 'waiting' WHEN 'r' THEN 'ready' WHEN 'd' THEN 'copying' ELSE 'catching up' END \
            ORDER BY n.nspname, c.relname), '{}') \
        FROM pg_catalog.pg_subscription_rel AS r JOIN electric.electrified AS e ON e.relation::oid = r.srrelid \
        JOIN pg_catalog.pg_class AS c ON c.oid = r.srrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE r.srsubid = $1::oid))::text";

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
    if let Some((conninfo, slot)) = remote {
        let dropped = if slot == subscription::slot_name() {
            Publisher::connect(&conninfo).and_then(|publisher| publisher.drop_slot(&slot))
        } else {
            Err(Error::internal(
                "this database is a copy, and the original may use it",
            ))
        };
        if let Err(error) = dropped {
            warning(&format!(
                "replication slot \"{slot}\" is left on the publisher, and keeps its log: {}. When nobody uses it, there: SELECT pg_drop_replication_slot({});",
                error.message,
                quote_literal(&slot)
            ));
        }
    }
    Ok(void())
}
