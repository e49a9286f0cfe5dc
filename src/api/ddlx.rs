//! `electric.ddlx(statements text)`: runs DDLX.

use electric_ddlx::{
    Assigned, Expression, Located, Name, Path, Privilege, Role, Statement, Tables,
};
use electric_schema::change::Change;
use electric_schema::dialect::script::is_one_statement;
use electric_schema::names::{qualified_quoted, quote_ident};
use electric_schema::permissions as rules;
use pgrx::pg_sys;

use super::enable;
use crate::capture::record;
use crate::error::{Error, SqlState};
use crate::permissions::{self, Condition, Wanted};
use crate::pg::entry::{Call, Datum, notice, void};
use crate::pg::value::Value;
use crate::pg::{names, reserve, session};

/// `electric.ddlx(statements text)`: the completion tags.
///
/// Nothing is run if one of the statements cannot be parsed. Errors: 42601 with the text as internal query and the
/// place in it, and those of what the statements do.
pub fn ddlx(call: &Call) -> Result<Datum, Error> {
    let tags = tags(call)?;
    let rows = call.rows(false)?;
    for tag in tags {
        rows.add(&[Value::Text(tag)])?;
    }
    Ok(void())
}

/// Runs the statements, and gives their completion tags.
pub fn tags(call: &Call) -> Result<Vec<&'static str>, Error> {
    let text = call.text(0)?.ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "the DDLX statements must not be null",
        )
    })?;
    let statements = electric_ddlx::parse(&text).map_err(|error| of_syntax(&text, error))?;
    let mut tags = Vec::with_capacity(statements.len());
    for statement in &statements {
        reserve::check();
        for said in &statement.notices {
            notice(&said.message);
        }
        let own = &text[statement.range.clone()];
        record::issued(own, || one(&text, statement))?;
        tags.push(statement.value.tag());
    }
    Ok(tags)
}

/// The error as the server raises it, with the text as internal query.
pub fn of_syntax(text: &str, error: electric_ddlx::SyntaxError) -> Error {
    let state = SqlState::of_code(error.sqlstate);
    Error {
        hint: error.hint.map(str::to_owned),
        ..Error::new(state, error.message).at(text, error.char_position)
    }
}

fn one(text: &str, statement: &Located<Statement>) -> Result<(), Error> {
    match &statement.value {
        Statement::Enable(tables) => enable::enable(&switched(tables)?),
        Statement::Disable(tables) => enable::disable_together(&switched(tables)?),
        Statement::Grant {
            privileges,
            tables,
            roles,
            using,
            condition,
        } => permissions::grant(
            &wanted(privileges),
            &relations(tables)?,
            &roles.iter().map(role).collect::<Result<Vec<_>, _>>()?,
            path(using),
            self::condition(text, condition).as_ref(),
        ),
        Statement::Revoke {
            privileges,
            tables,
            roles,
        } => permissions::revoke(
            &wanted(privileges),
            &relations(tables)?,
            &roles.iter().map(role).collect::<Result<Vec<_>, _>>()?,
        ),
        Statement::Assign {
            assigned,
            user,
            using,
            condition,
        } => {
            let condition = self::condition(text, condition);
            with_assigned(assigned, user, |assigned| {
                permissions::assign(assigned, path(using), condition.as_ref())
            })
        }
        Statement::Unassign { assigned, user } => {
            with_assigned(assigned, user, permissions::unassign)
        }
        Statement::Sqlite(sql) => send_to_sqlite(sql),
    }
}

fn resolve(name: &Name) -> Result<pg_sys::Oid, Error> {
    names::resolve(&sql(name)).map_err(|error| Error {
        message: format!("relation \"{}\" does not exist", shown(name)),
        ..error
    })
}

fn sql(name: &Name) -> String {
    match &name.schema {
        Some(schema) => qualified_quoted(schema, &name.name),
        None => quote_ident(&name.name),
    }
}

/// As the server's own messages show a name.
fn shown(name: &Name) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

fn relations(tables: &[Name]) -> Result<Vec<pg_sys::Oid>, Error> {
    let mut found = Vec::new();
    for name in tables {
        let id = resolve(name)?;
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

fn switched(tables: &Tables) -> Result<Vec<pg_sys::Oid>, Error> {
    if !tables.if_exists() {
        return relations(tables.names());
    }
    let mut found = Vec::new();
    for name in tables.names() {
        match names::resolve_if_there(&sql(name)) {
            Some(id) => found.push(id),
            None => notice(&format!(
                "relation \"{}\" does not exist, skipping",
                shown(name)
            )),
        }
    }
    Ok(found)
}

fn wanted(privileges: &[Privilege]) -> Vec<Wanted> {
    let words = privileges.iter().flat_map(|privilege| {
        let actions = privilege.actions().iter();
        actions.map(|action| (action.as_str(), privilege.columns.clone()))
    });
    permissions::together(
        words.filter_map(|(word, columns)| Some((rules::Privilege::of_word(word)?, columns))),
    )
}

fn role(role: &Role) -> Result<permissions::Role, Error> {
    let (grantee, name, scope) = match role {
        Role::Anyone => (rules::Grantee::Anyone, None, None),
        Role::Authenticated => (rules::Grantee::Authenticated, None, None),
        Role::Named { scope, role } => (
            rules::Grantee::Role,
            Some(role.clone()),
            scope.as_ref().map(resolve).transpose()?,
        ),
    };
    Ok(permissions::Role {
        grantee,
        name,
        scope,
    })
}

fn path(using: &Option<Path>) -> Option<&[String]> {
    using.as_ref().map(|path| path.0.as_slice())
}

fn condition(text: &str, condition: &Option<Expression>) -> Option<Condition> {
    condition.as_ref().map(|expression| Condition {
        text: expression.text().to_owned(),
        source: (
            text.to_owned(),
            text[..expression.range().start].chars().count(),
        ),
    })
}

fn with_assigned(
    assigned: &Assigned,
    user: &electric_ddlx::Column,
    run: impl FnOnce(&permissions::Assigned<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = resolve(&user.table)?;
    let (scope, role, role_column) = match assigned {
        Assigned::Named { scope, role } => (scope, Some(role.as_str()), None),
        Assigned::Column { scope, column } => {
            if resolve(&column.table)? != table {
                return Err(Error::new(
                    SqlState::InvalidColumnReference,
                    format!(
                        "role column \"{}\" must be in the table of the user column, \"{}\"",
                        column.name,
                        shown(&user.table)
                    ),
                )
                .detail("Each row gives the role that it names to the user that it names.")
                .hint("Name a column of the same table, or a role: 'name'."));
            }
            (scope, None, Some(column.name.as_str()))
        }
    };
    run(&permissions::Assigned {
        table,
        user_column: &user.name,
        role,
        role_column,
        scope: scope.as_ref().map(resolve).transpose()?,
    })
}

/// Sends a statement to all SQLite replicas. Whoever may do that can do anything there, so it takes the owner of the
/// database.
fn send_to_sqlite(sql: &str) -> Result<(), Error> {
    session::prevent_if_read_only(c"ELECTRIC SQLITE");
    if !session::owns_database() {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            "permission denied to send statements to SQLite replicas",
        )
        .detail("The statement runs on every replica, with all rights there: it takes the owner of the database or a superuser.")
        .hint("SET ROLE to the owner of the database first."));
    }
    let word = sql
        .trim_start()
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    match word.as_str() {
        "" => Err(Error::new(
            SqlState::InvalidParameterValue,
            "a statement for SQLite replicas must begin with a word",
        )),
        "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "VACUUM" | "ATTACH"
        | "DETACH" => Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("{word} cannot be sent to SQLite replicas"),
        )
        .detail("A replica runs the statements of a migration in one transaction.")),
        _ if !is_one_statement(sql) => Err(Error::new(
            SqlState::InvalidParameterValue,
            "only one statement at a time can be sent to SQLite replicas",
        )
        .detail("Many a replica would run the first one only.")
        .hint("Send each by an ELECTRIC SQLITE of its own.")),
        _ => record::one(&Change::Sqlite(sql.to_owned()), "", None).map(drop),
    }
}
