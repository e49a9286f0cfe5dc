//! `electric.grant`, `electric.revoke`, `electric.assign` and `electric.unassign`: DDLX for tools that only call
//! functions.

use electric_ddlx::Expression;
use electric_schema::permissions::{Grantee, Privilege};
use pgrx::pg_sys;

use super::calling::Calling;
use crate::error::{Error, SqlState};
use crate::permissions::{self, Assigned, Condition, Role, Wanted};
use crate::pg::entry::{Call, Datum, void};
use crate::pg::names;

/// `electric.grant(privileges, relation, role, scope, columns, using_path, condition)`
pub fn grant(call: &Call) -> Result<Datum, Error> {
    let table = relation(call, 1)?;
    let scope = call.relation(3)?;
    let columns = listed(call, 4, "columns")?;
    let using = listed(call, 5, "using_path")?;
    let condition = condition(call, 6)?;
    let grantee = needed(call, 2, "role")?;
    let said = Calling::function("grant", PRIVILEGE)
        .with(needed(call, 0, "privileges").ok())
        .with(Some(table))
        .with(Some(grantee.clone()))
        .with_named("scope", scope)
        .with_named("columns", columns.clone())
        .with_named("using_path", using.clone())
        .with_named("condition", source(condition.as_ref()));
    let (wanted, role) = (wanted(call, columns)?, role(grantee, scope)?);
    said.issues(|| {
        permissions::grant(
            &wanted,
            &[table],
            &[role],
            using.as_deref(),
            condition.as_ref(),
        )
    })?;
    Ok(void())
}

/// `electric.revoke(privileges, relation, role, scope, columns)`
pub fn revoke(call: &Call) -> Result<Datum, Error> {
    let table = relation(call, 1)?;
    let scope = call.relation(3)?;
    let columns = listed(call, 4, "columns")?;
    let grantee = needed(call, 2, "role")?;
    let said = Calling::function("revoke", PRIVILEGE)
        .with(needed(call, 0, "privileges").ok())
        .with(Some(table))
        .with(Some(grantee.clone()))
        .with_named("scope", scope)
        .with_named("columns", columns.clone());
    let (wanted, role) = (wanted(call, columns)?, role(grantee, scope)?);
    said.issues(|| permissions::revoke(&wanted, &[table], &[role]))?;
    Ok(void())
}

/// `electric.assign(relation, user_column, role, role_column, scope, using_path, condition)`
pub fn assign(call: &Call) -> Result<Datum, Error> {
    let using = listed(call, 5, "using_path")?;
    let condition = condition(call, 6)?;
    let said = assigned("assign", call)?
        .with_named("using_path", using.clone())
        .with_named("condition", source(condition.as_ref()));
    said.issues(|| {
        with_assigned(call, |assigned| {
            permissions::assign(assigned, using.as_deref(), condition.as_ref())
        })
    })?;
    Ok(void())
}

/// `electric.unassign(relation, user_column, role, role_column, scope)`
pub fn unassign(call: &Call) -> Result<Datum, Error> {
    assigned("unassign", call)?.issues(|| with_assigned(call, permissions::unassign))?;
    Ok(void())
}

/// The arguments of `electric.grant` and `electric.revoke`.
const PRIVILEGE: &[&str] = &[
    "privileges",
    "relation",
    "role",
    "scope",
    "columns",
    "using_path",
    "condition",
];

/// What `electric.assign` and `electric.unassign` have in common, as it would be written.
fn assigned(function: &'static str, call: &Call) -> Result<Calling, Error> {
    const NAMES: &[&str] = &[
        "relation",
        "user_column",
        "role",
        "role_column",
        "scope",
        "using_path",
        "condition",
    ];
    Ok(Calling::function(function, NAMES)
        .with(Some(relation(call, 0)?))
        .with(Some(needed(call, 1, "user_column")?))
        .with_named("role", call.text(2)?)
        .with_named("role_column", call.text(3)?)
        .with_named("scope", call.relation(4)?))
}

/// A condition as it was given.
fn source(condition: Option<&Condition>) -> Option<String> {
    condition.map(|condition| condition.source.0.clone())
}

fn needed(call: &Call, at: usize, name: &str) -> Result<String, Error> {
    call.text(at)?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::new(
        SqlState::NullValueNotAllowed,
        format!("{name} must not be null"),
    )
}

/// An array of names; `None` if it is NULL.
fn listed(call: &Call, at: usize, name: &str) -> Result<Option<Vec<String>>, Error> {
    let Some(names) = call.texts(at)? else {
        return Ok(None);
    };
    let names: Option<Vec<String>> = names.into_iter().collect();
    let names = names.ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            format!("{name} must not contain nulls"),
        )
    })?;
    if names.is_empty() {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("{name} must name at least one column, or be null"),
        ));
    }
    Ok(Some(names))
}

fn relation(call: &Call, at: usize) -> Result<pg_sys::Oid, Error> {
    call.relation(at)?.ok_or_else(|| missing("relation"))
}

/// `SELECT`, or several, as DDLX has them between GRANT and ON; the columns are for each.
fn wanted(call: &Call, columns: Option<Vec<String>>) -> Result<Vec<Wanted>, Error> {
    let text = needed(call, 0, "privileges")?;
    let mut wanted = Vec::new();
    for word in text.split(',').map(str::trim) {
        use Privilege::{Delete, Insert, Select, Update};
        let meant: &[Privilege] = match word.to_ascii_uppercase().as_str() {
            "SELECT" | "READ" => &[Select],
            "INSERT" => &[Insert],
            "UPDATE" => &[Update],
            "DELETE" => &[Delete],
            "WRITE" => &[Insert, Update, Delete],
            "ALL" | "ALL PRIVILEGES" => &[Select, Insert, Update, Delete],
            _ => {
                return Err(Error::new(
                    SqlState::InvalidParameterValue,
                    format!("unrecognized privilege type: \"{word}\""),
                )
                .hint("There are SELECT, INSERT, UPDATE, DELETE, READ, WRITE and ALL; several with commas between them."));
            }
        };
        wanted.extend(meant.iter().map(|privilege| (*privilege, columns.clone())));
    }
    Ok(permissions::together(wanted))
}

/// `anyone`, `authenticated`, `name` or `scope:name`.
fn role(text: String, scope: Option<pg_sys::Oid>) -> Result<Role, Error> {
    let grantee = match text.to_ascii_lowercase().as_str() {
        "anyone" => Grantee::Anyone,
        "authenticated" => Grantee::Authenticated,
        _ => Grantee::Role,
    };
    if grantee != Grantee::Role {
        if scope.is_some() {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("{} has no scope", grantee.word()),
            ));
        }
        return Ok(Role {
            grantee,
            name: None,
            scope,
        });
    }
    let (name, scope) = named(text, scope)?;
    Ok(Role {
        grantee,
        name: Some(name),
        scope,
    })
}

fn named(text: String, scope: Option<pg_sys::Oid>) -> Result<(String, Option<pg_sys::Oid>), Error> {
    let (name, scope) = match (text.split_once(':'), scope) {
        (Some((scope, name)), None) => (name.to_owned(), Some(names::resolve(scope)?)),
        (_, scope) => (text, scope),
    };
    if name.is_empty() {
        return Err(Error::new(
            SqlState::InvalidParameterValue,
            "the name of a role must not be empty",
        ));
    }
    Ok((name, scope))
}

/// A condition by itself: one expression, as it would stand between parentheses.
fn condition(call: &Call, at: usize) -> Result<Option<Condition>, Error> {
    let Some(text) = call.text(at)? else {
        return Ok(None);
    };
    let expression =
        Expression::new(&text).map_err(|error| super::ddlx::of_syntax(&text, error))?;
    let before = text[..expression.range().start].chars().count();
    Ok(Some(Condition {
        text: expression.text().to_owned(),
        source: (text, before),
    }))
}

fn with_assigned(
    call: &Call,
    run: impl FnOnce(&Assigned<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = relation(call, 0)?;
    let user_column = needed(call, 1, "user_column")?;
    let role_column = call.text(3)?;
    let (role, scope) = match (call.text(2)?, &role_column) {
        (Some(role), None) => {
            let (name, scope) = named(role, call.relation(4)?)?;
            (Some(name), scope)
        }
        (None, Some(_)) => (None, call.relation(4)?),
        _ => {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                "either role or role_column must be given, and not both",
            ));
        }
    };
    run(&Assigned {
        table,
        user_column: &user_column,
        role: role.as_deref(),
        role_column: role_column.as_deref(),
        scope,
    })
}
