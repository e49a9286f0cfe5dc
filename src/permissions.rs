//! Privileges of clients and assignments of roles: checked, stored and recorded, and kept right when tables change.

use std::rc::Rc;

use electric_schema::change::Change;
use electric_schema::model::{Constraint, Index, Table, TypeKind};
use electric_schema::names::{qualified, quote_ident_if_needed};
use electric_schema::permissions::{
    self as rules, Assignment, Fault, Grant, Grantee, Obstacle, Privilege,
};
use electric_schema::refusal;
use pgrx::pg_sys;

use crate::capture::{self, record};
use crate::error::{Error, SqlState};
use crate::pg::condition::{self, Problem};
use crate::pg::entry::notice;
use crate::pg::heap::Seen;
use crate::pg::{compat, locks, names, relation, session, types};
use crate::store;
use crate::store::permissions as rows;

pub mod keep;

/// Who is granted something, or what is assigned: a role, perhaps about a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Anyone, authenticated, or a role.
    pub grantee: Grantee,
    /// The role's name.
    pub name: Option<String>,
    /// The table that the role is about.
    pub scope: Option<pg_sys::Oid>,
}

/// A condition, and the text in which it stands, for the positions of errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The expression.
    pub text: String,
    /// The whole text, and how many characters of it come before the expression.
    pub source: (String, usize),
}

/// A privilege and the columns it is for; `None` for all.
pub type Wanted = (Privilege, Option<Vec<String>>);

/// An electrified table that the caller owns.
struct Target {
    id: pg_sys::Oid,
    table: Table,
}

/// Finds the table; waits for other migrations once it is clear that the caller may do this.
fn target(id: pg_sys::Oid) -> Result<Target, Error> {
    session::prevent_if_read_only(c"ELECTRIC");
    let (schema, name) = names::shown(id);
    shape_of(id)?;
    if !compat::owns(pg_sys::RelationRelationId, id, session::user()) {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("must be owner of table {}", refusal::shown(&schema, &name)),
        )
        .detail("Only the owner of a table or a superuser decides what clients may do to it.")
        .hint(format!(
            "SET ROLE to the owner of {} first.",
            qualified(&schema, &name)
        ))
        .table(schema, name));
    }
    locks::migrations()?;
    capture::arrival::take_on()?;
    Ok(Target {
        id,
        table: shape_of(id)?,
    })
}

/// The recorded shape of an electrified table.
fn shape_of(id: pg_sys::Oid) -> Result<Table, Error> {
    if let Some(table) = store::shapes::shape(id)? {
        return Ok(Rc::unwrap_or_clone(table));
    }
    if relation::class(id).is_none() {
        return Err(Error::new(
            SqlState::UndefinedTable,
            format!("relation with OID {} does not exist", id.to_u32()),
        ));
    }
    let (schema, name) = names::shown(id);
    Err(Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!(
            "table {} is not electrified",
            refusal::shown(&schema, &name)
        ),
    )
    .hint(format!(
        "Electrify it first: SELECT electric.enable({});",
        electric_schema::names::quote_literal(&qualified(&schema, &name))
    ))
    .table(schema, name))
}

/// The recorded shape of the table of that name, if it is electrified.
fn lookup(schema: &str, name: &str) -> Option<Table> {
    let table = store::shapes::shape(names::relation_of(schema, name)?);
    table.ok().flatten().map(Rc::unwrap_or_clone)
}

/// Grants the privileges on the tables to the roles.
///
/// Errors: 55000 for a table that is not electrified, 42501 for one of another owner, 42703 for a column that is not
/// there, 42830 where no foreign keys lead to the scope, 0A000 for privileges that offline writes cannot have, and
/// whatever the server says of the condition.
pub fn grant(
    wanted: &[Wanted],
    tables: &[pg_sys::Oid],
    roles: &[Role],
    using: Option<&[String]>,
    condition: Option<&Condition>,
) -> Result<(), Error> {
    let targets: Vec<Target> = tables
        .iter()
        .copied()
        .map(target)
        .collect::<Result<_, _>>()?;
    for Target { id, table } in &targets {
        for columns in wanted.iter().filter_map(|(_, columns)| columns.as_ref()) {
            rules::check_columns(table, columns).map_err(|fault| of_fault(fault, table))?;
        }
        check_condition(*id, condition)?;
        let before: Vec<Grant> = rows::of_table(&table.schema, &table.name, Seen::Now)?;
        let mut after = before.clone();
        for role in roles {
            let (scope, using_path) = way(table, role.scope, using)?;
            for (privilege, columns) in wanted {
                rules::grant(
                    &mut after,
                    Grant {
                        table_schema: table.schema.clone(),
                        table_name: table.name.clone(),
                        privilege: *privilege,
                        grantee: role.grantee,
                        role: role.name.clone(),
                        scope_schema: scope.as_ref().map(|(schema, _)| schema.clone()),
                        scope_table: scope.as_ref().map(|(_, name)| name.clone()),
                        columns: columns.clone(),
                        using_path: using_path.clone(),
                        condition: condition.map(|condition| condition.text.clone()),
                    },
                );
            }
        }
        refuse_obstacles(table, wanted)?;
        if after != before {
            store_grants(table, &after, Change::Grant(after.clone()))?;
        }
    }
    Ok(())
}

/// Takes the privileges on the tables from the roles.
pub fn revoke(wanted: &[Wanted], tables: &[pg_sys::Oid], roles: &[Role]) -> Result<(), Error> {
    let targets: Vec<Target> = tables
        .iter()
        .copied()
        .map(target)
        .collect::<Result<_, _>>()?;
    for Target { table, .. } in &targets {
        let before: Vec<Grant> = rows::of_table(&table.schema, &table.name, Seen::Now)?;
        let mut after = before.clone();
        for (role, (privilege, columns)) in roles
            .iter()
            .flat_map(|role| wanted.iter().map(move |w| (role, w)))
        {
            if let Some(columns) = columns {
                rules::check_columns(table, columns).map_err(|fault| of_fault(fault, table))?;
            }
            let scope = role.scope.map(names::shown);
            let revoked = Grant {
                table_schema: table.schema.clone(),
                table_name: table.name.clone(),
                privilege: *privilege,
                grantee: role.grantee,
                role: role.name.clone(),
                scope_schema: scope.as_ref().map(|(schema, _)| schema.clone()),
                scope_table: scope.as_ref().map(|(_, name)| name.clone()),
                columns: columns.clone(),
                using_path: None,
                condition: None,
            };
            rules::revoke(&mut after, &revoked, table);
        }
        if after == before {
            notice(&format!(
                "nothing to revoke on table {}: no such privilege is granted",
                refusal::shown(&table.schema, &table.name)
            ));
        } else {
            store_grants(table, &after, Change::Revoke(after.clone()))?;
        }
    }
    Ok(())
}

fn store_grants(table: &Table, after: &[Grant], change: Change) -> Result<(), Error> {
    record::one(&change, &table.qualified_name(), Some(table))?;
    rows::replace(&table.schema, &table.name, after)
}

fn store_assignments(table: &Table, after: &[Assignment], change: Change) -> Result<(), Error> {
    record::one(&change, &table.qualified_name(), Some(table))?;
    rows::replace(&table.schema, &table.name, after)
}

/// What a row gives, and to whom.
pub struct Assigned<'a> {
    /// The table.
    pub table: pg_sys::Oid,
    /// The column that names the user.
    pub user_column: &'a str,
    /// The role's name; `None` where a column has it.
    pub role: Option<&'a str>,
    /// The column that has the role's name.
    pub role_column: Option<&'a str>,
    /// The table that the role is about.
    pub scope: Option<pg_sys::Oid>,
}

impl Assigned<'_> {
    fn columns(&self) -> Vec<String> {
        [Some(self.user_column), self.role_column]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect()
    }
}

/// Lets rows of a table give a role to the users they name. Errors as those of [`grant`].
pub fn assign(
    assigned: &Assigned<'_>,
    using: Option<&[String]>,
    condition: Option<&Condition>,
) -> Result<(), Error> {
    let Target { id, table } = target(assigned.table)?;
    rules::check_columns(&table, &assigned.columns()).map_err(|fault| of_fault(fault, &table))?;
    let (scope, using_path) = way(&table, assigned.scope, using)?;
    check_condition(id, condition)?;
    let new = Assignment {
        using_path,
        condition: condition.map(|condition| condition.text.clone()),
        ..assignment(&table, assigned, scope)
    };
    let before: Vec<Assignment> = rows::of_table(&table.schema, &table.name, Seen::Now)?;
    let mut after: Vec<Assignment> = before
        .iter()
        .filter(|old| !old.is_for_the_same(&new))
        .cloned()
        .collect();
    after.push(new);
    after.sort();
    if after != before {
        store_assignments(&table, &after, Change::Assign(after.clone()))?;
    }
    Ok(())
}

/// Rows of a table no longer give a role.
pub fn unassign(assigned: &Assigned<'_>) -> Result<(), Error> {
    let Target { table, .. } = target(assigned.table)?;
    rules::check_columns(&table, &assigned.columns()).map_err(|fault| of_fault(fault, &table))?;
    let gone = assignment(&table, assigned, assigned.scope.map(names::shown));
    let mut after: Vec<Assignment> = rows::of_table(&table.schema, &table.name, Seen::Now)?;
    let before = after.len();
    after.retain(|old| !old.is_for_the_same(&gone));
    if after.len() == before {
        notice(&format!(
            "nothing to unassign on table {}: no such role is assigned",
            refusal::shown(&table.schema, &table.name)
        ));
        return Ok(());
    }
    store_assignments(&table, &after, Change::Unassign(after.clone()))
}

fn assignment(
    table: &Table,
    assigned: &Assigned<'_>,
    scope: Option<(String, String)>,
) -> Assignment {
    let (scope_schema, scope_table) = scope.unzip();
    Assignment {
        table_schema: table.schema.clone(),
        table_name: table.name.clone(),
        user_column: assigned.user_column.to_owned(),
        role: assigned.role.map(str::to_owned),
        role_column: assigned.role_column.map(str::to_owned),
        scope_schema,
        scope_table,
        using_path: None,
        condition: None,
    }
}

/// The scope, by name, and the way there.
type Way = (Option<(String, String)>, Option<Vec<String>>);

fn way(table: &Table, scope: Option<pg_sys::Oid>, using: Option<&[String]>) -> Result<Way, Error> {
    let Some(scope) = scope else {
        return match using {
            None => Ok((None, None)),
            Some(_) => Err(Error::new(
                SqlState::InvalidForeignKey,
                "USING leads to a role's scope, and the role has none",
            )
            .hint("Name the scope: TO (table, 'role'). Or leave USING out: the role holds everywhere.")),
        };
    };
    let scope = shape_of(scope)?;
    let name = (scope.schema.as_str(), scope.name.as_str());
    let path =
        rules::resolve_path(table, name, using, &lookup).map_err(|fault| of_fault(fault, table))?;
    Ok((Some((scope.schema, scope.name)), path))
}

fn of_fault(fault: Fault, table: &Table) -> Error {
    match fault {
        Fault::NoColumn { table: of, column } => Error::new(
            SqlState::UndefinedColumn,
            format!(
                "column {} of table {of} does not exist",
                quote_ident_if_needed(&column)
            ),
        )
        .table(&table.schema, &table.name)
        .column(column),
        Fault::NoWay { problem, hint } => Error::new(
            SqlState::InvalidForeignKey,
            format!(
                "rows of table {} do not lead to the scope of the role",
                refusal::shown(&table.schema, &table.name)
            ),
        )
        .detail(problem)
        .hint(hint)
        .table(&table.schema, &table.name),
    }
}

fn check_condition(table: pg_sys::Oid, condition: Option<&Condition>) -> Result<(), Error> {
    let Some(condition) = condition else {
        return Ok(());
    };
    condition::check(table, &condition.text).map_err(|refused| {
        let error = match refused.problem {
            Problem::Server(caught) if caught.is_about_session() => caught.rethrow(),
            Problem::Server(caught) => Error {
                detail: caught.detail(),
                hint: caught.hint(),
                ..Error::new(SqlState::Server(caught.sqlstate()), caught.message())
            },
            Problem::Syntax => Error::new(
                SqlState::SyntaxError,
                "the condition must be one expression",
            ),
            Problem::Subquery => Error::new(
                SqlState::FeatureNotSupported,
                "a condition cannot look into other rows",
            )
            .detail("Whoever asks has one row and what the client says of itself, no query.")
            .hint("Put what it needs into a column of the table, or let a role say it."),
            Problem::Auth(field) => Error::new(
                SqlState::UndefinedColumn,
                format!(
                    "column auth.{} does not exist",
                    quote_ident_if_needed(&field)
                ),
            )
            .hint("AUTH has user_id and claims."),
            Problem::TooDeep => Error::new(
                SqlState::of_code("54001"),
                "the condition is nested too deep",
            )
            .hint(format!(
                "A condition may be nested in {} levels: put part of it into a column of the table.",
                condition::DEPTH
            )),
        };
        let (text, before) = &condition.source;
        match refused.position {
            0 => error,
            position => error.at(text, before + position),
        }
    })
}

/// All that stands in the way of offline writes, in one error.
fn refuse_obstacles(table: &Table, wanted: &[Wanted]) -> Result<(), Error> {
    let found = obstacles(table, wanted);
    if found.is_empty() {
        return Ok(());
    }
    let mut words: Vec<&str> = wanted
        .iter()
        .filter(|wanted| !obstacles(table, std::slice::from_ref(wanted)).is_empty())
        .map(|(privilege, _)| privilege.word())
        .collect();
    words.dedup();
    let lines = |line: fn(&Obstacle) -> &String| {
        let mut lines: Vec<&str> = Vec::new();
        for text in found.iter().map(line) {
            if !lines.contains(&text.as_str()) {
                lines.push(text);
            }
        }
        lines.join("\n")
    };
    Err(Error::new(
        SqlState::FeatureNotSupported,
        format!(
            "cannot grant {} on electrified table {}",
            words.join(", "),
            refusal::shown(&table.schema, &table.name)
        ),
    )
    .detail(lines(|obstacle| &obstacle.problem))
    .hint(lines(|obstacle| &obstacle.way_out))
    .table(&table.schema, &table.name))
}

fn obstacles(table: &Table, wanted: &[Wanted]) -> Vec<Obstacle> {
    let checked = checked_by_domain(table);
    let parts = partitions_alone(table);
    wanted
        .iter()
        .flat_map(|(privilege, columns)| {
            let columns = columns.as_deref();
            let mut found = rules::obstacles(table, *privilege, columns, &checked);
            for part in &parts {
                found.extend(rules::obstacles(part, *privilege, columns, &[]));
            }
            found
        })
        .collect()
}

/// The partitions of a table, as far as they constrain rows more than the table does.
fn partitions_alone(table: &Table) -> Vec<Table> {
    let Some(id) = names::relation_of(&table.schema, &table.name) else {
        return Vec::new();
    };
    if !capture::tables::is_partitioned(id) {
        return Vec::new();
    }
    let own = |list: &mut Vec<Constraint>, root: &[Constraint]| {
        list.retain(|of| !root.iter().any(|other| other.definition == of.definition));
    };
    relation::descendants(id)
        .into_iter()
        .filter_map(crate::catalog::table)
        .map(|actual| {
            let mut part = actual.table;
            own(&mut part.unique, &table.unique);
            own(&mut part.checks, &table.checks);
            own(&mut part.exclusions, &table.exclusions);
            let root = |index: &Index| {
                let same = |of: &&Index| of.keys == index.keys && of.predicate == index.predicate;
                table.indexes.iter().find(same).is_some_and(|of| of.unique)
            };
            part.indexes.retain(|index| !root(index));
            // The key is judged with the table's own.
            part.primary_key.clear();
            part
        })
        .collect()
}

/// The columns whose domain has a CHECK.
fn checked_by_domain(table: &Table) -> Vec<String> {
    let is_checked = |column: &&electric_schema::model::Column| {
        let mut at = Some(&column.data_type);
        while let Some(data_type) = at {
            if data_type.kind == TypeKind::Domain
                && types::domain_has_check(&data_type.schema, &data_type.name)
            {
                return true;
            }
            at = data_type.of.as_deref();
        }
        false
    };
    let checked = table.columns.iter().filter(is_checked);
    checked.map(|column| column.name.clone()).collect()
}

/// The privileges of one statement, each once: columns that are named apart are taken together.
pub fn together(wanted: impl IntoIterator<Item = Wanted>) -> Vec<Wanted> {
    let mut found: Vec<Wanted> = Vec::new();
    for (privilege, columns) in wanted {
        match found.iter_mut().find(|(other, _)| *other == privilege) {
            Some((_, known)) => match (known.as_mut(), columns) {
                (Some(known), Some(columns)) => known.extend(columns),
                _ => *known = None,
            },
            None => found.push((privilege, columns)),
        }
    }
    for columns in found.iter_mut().filter_map(|(_, columns)| columns.as_mut()) {
        let mut seen = std::collections::HashSet::new();
        columns.retain(|column| seen.insert(column.clone()));
    }
    found.sort();
    found
}
