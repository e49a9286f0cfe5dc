//! `CALL electric.unblock`: makes what was passed over.

use std::collections::BTreeMap;

use electric_schema::model::{ColumnType, Table, TypeDefinition};
use electric_schema::names::qualified;
use electric_schema::order;

use super::status::state;
use super::{Datum, argument, may};
use crate::error::{Error, SqlState};
use crate::follow::block::{self, Stop};
use crate::follow::{self, make, role};
use crate::pg::entry::{Call, void};
use crate::pg::subscription;
use crate::pg::{locks, session};
use crate::store;
use crate::store::stream::Blocked;

/// What is passed over, as the newest record has it.
enum Newest {
    Table(Table),
    Type(TypeDefinition),
}

/// `CALL electric.unblock(name text)`: makes a table or type that was passed over, and what references it.
pub fn unblock(call: &Call) -> Result<Datum, Error> {
    let name = argument(call, 0)?;
    may(call, "electric.unblock")?;
    locks::migrations()?;
    let Some(by) = store::subscriptions::name()? else {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "this database follows no other",
        ));
    };
    let role = role::ensure()?;
    let all: BTreeMap<String, Newest> = store::stream::blocked()?
        .into_iter()
        .filter_map(|of| newest(of).transpose())
        .collect::<Result<_, _>>()?;
    let wanted = [name.clone(), qualified("public", &name)];
    let wanted = wanted.into_iter().find(|name| all.contains_key(name));
    let Some(wanted) = wanted else {
        return Err(Error::new(
            SqlState::UndefinedObject,
            format!("\"{name}\" is not blocked"),
        )
        .hint("What is: SELECT electric.status() -> 'subscriber' -> 'blocked';"));
    };
    let chosen = together(wanted.clone(), &all);
    if let Some(missing) = missing(&chosen, &all) {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("cannot unblock {wanted}: {missing} is blocked, which it needs"),
        )
        .hint(format!(
            "Begin with that: CALL electric.unblock({});",
            electric_schema::names::quote_literal(&missing)
        )));
    }
    let subscription = state(&by)?
        .ok_or_else(|| {
            Error::new(
                SqlState::UndefinedObject,
                format!("subscription \"{by}\" is gone"),
            )
        })?
        .id;
    let types = chosen.iter().filter_map(|name| match &all[name] {
        Newest::Type(definition) => Some(definition),
        Newest::Table(_) => None,
    });
    let tables: Vec<&Table> = chosen
        .iter()
        .filter_map(|name| match &all[name] {
            Newest::Table(table) => Some(table),
            Newest::Type(_) => None,
        })
        .collect();
    {
        let _replica = session::become_role(role);
        for definition in types {
            done(&wanted, || make::of_type(definition))?;
            store::stream::unblock(&definition.qualified_name())?;
            follow::know_type(definition)?;
        }
        for (at, change) in order::creation(&tables) {
            done(&wanted, || make::again(&tables, at, change))?;
            store::stream::unblock(&tables[at].qualified_name())?;
            follow::join(tables[at], true, subscription)?;
        }
    }
    // The worker has learned to pass the tables over, and forgets it when it begins anew.
    subscription::have_worker_begin_anew(subscription);
    Ok(void())
}

fn done(wanted: &str, body: impl FnOnce() -> Result<(), Stop>) -> Result<(), Error> {
    match block::attempt(body)? {
        None => Ok(()),
        Some(reason) => Err(Error::new(
            SqlState::of_code("55006"),
            format!("cannot unblock {wanted}: {reason}"),
        )
        .detail("What the subscription did not make is neither used nor changed by it.")
        .hint("Rename or drop what is in the way, or grant what is missing.")),
    }
}

/// What the newest record says of a table or type.
fn newest(of: Blocked) -> Result<Option<(String, Newest)>, Error> {
    let last = store::commands::last()?.id;
    let ops = |word: &str| {
        store::commands::seen_last_of_kind(word, &of.relation, last, |row| (row.id(), row.op()))
    };
    let types = [ops("create_type")?, ops("add_enum_value")?];
    let type_op = types.into_iter().flatten().max_by_key(|(id, _)| *id);
    let op = store::commands::seen_last_of(&of.relation, last, |row| row.op())?;
    let table = op.map(|mut op| op["table"].take());
    Ok(match (table, type_op) {
        (Some(table), _) if table.is_object() => {
            Some((of.relation, Newest::Table(serde_json::from_value(table)?)))
        }
        (_, Some((_, mut op))) => Some((
            of.relation,
            Newest::Type(serde_json::from_value(op["type"].take())?),
        )),
        _ => None,
    })
}

/// What a table or type needs of what is passed over.
fn needs(of: &Newest) -> Vec<String> {
    let mut needs = Vec::new();
    if let Newest::Table(table) = of {
        for key in &table.foreign_keys {
            needs.push(qualified(&key.references.schema, &key.references.table));
        }
        for column in &table.columns {
            of_type(&column.data_type, &mut needs);
        }
        needs.retain(|need| *need != table.qualified_name());
    }
    needs
}

fn of_type(data_type: &ColumnType, needs: &mut Vec<String>) {
    needs.push(qualified(&data_type.schema, &data_type.name));
    if let Some(of) = &data_type.of {
        of_type(of, needs);
    }
}

/// The one that is wanted, and those that wait for it and for nothing else.
fn together(wanted: String, all: &BTreeMap<String, Newest>) -> Vec<String> {
    // What is in a circle of references comes together.
    let mut chosen = vec![wanted];
    loop {
        let more = all.iter().find(|(name, newest)| {
            let waits = needs(newest);
            !chosen.contains(name)
                && waits.iter().any(|need| chosen.contains(need))
                && waits
                    .iter()
                    .all(|need| chosen.contains(need) || !all.contains_key(need))
        });
        match more {
            Some((name, _)) => chosen.push(name.clone()),
            None => return chosen,
        }
    }
}

/// Something that is needed, blocked, and not chosen.
fn missing(chosen: &[String], all: &BTreeMap<String, Newest>) -> Option<String> {
    chosen
        .iter()
        .flat_map(|name| needs(&all[name]))
        .find(|need| all.contains_key(need) && !chosen.contains(need))
}
