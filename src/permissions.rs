//! Privileges of clients and assignments of roles: checked, stored and recorded, and kept right when tables change.

use electric_schema::change::Change;
use electric_schema::model::{Table, TypeKind};
use electric_schema::names::{qualified, quote_ident_if_needed};
use electric_schema::permissions::{
    self as rules, Assignment, Constraining, Fault, Grant, Grantee, Obstacle, Privilege,
};
use electric_schema::refusal;
use pgrx::pg_sys;

use crate::capture::record;
use crate::error::{Error, SqlState};
use crate::pg::condition::{self, Problem};
use crate::pg::entry::{notice, warning};
use crate::pg::heap::Seen;
use crate::pg::{compat, locks, names, relation, session, types};
use crate::store;
use crate::store::permissions as rows;

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

/// Finds the table, and waits for other migrations.
fn target(id: pg_sys::Oid) -> Result<Target, Error> {
    session::prevent_if_read_only(c"ELECTRIC");
    locks::migrations();
    crate::capture::arrival::take_on()?;
    let (schema, name) = names::shown(id);
    if relation::class(id).is_none() {
        return Err(Error::new(
            SqlState::UndefinedTable,
            format!("relation with OID {} does not exist", id.to_u32()),
        ));
    }
    let table = shape_of(id)?;
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
    Ok(Target { id, table })
}

/// The recorded shape of an electrified table.
fn shape_of(id: pg_sys::Oid) -> Result<Table, Error> {
    if let Some(table) = store::shapes::shape(id)? {
        return Ok(table);
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
    store::shapes::shape(names::relation_of(schema, name)?)
        .ok()
        .flatten()
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
    wanted
        .iter()
        .flat_map(|(privilege, columns)| {
            rules::obstacles(table, *privilege, columns.as_deref(), &checked)
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

/// A change is about to be recorded: refuses one that would take away what privileges rely on, or constrain rows that
/// clients may write. `after` is the table that results.
pub fn refuse_if_needed(change: &Change, after: &Table) -> Result<(), Error> {
    let constraining = match change {
        Change::AddColumn {
            column,
            constraints,
            ..
        } => (!constraints.is_empty()).then_some(Constraining::Column(&column.name)),
        Change::CreateIndex(index) => index
            .unique
            .then_some(Constraining::Index(Some(&index.name))),
        _ => None,
    };
    if let Some(what) = constraining {
        let granted: Vec<Grant> = rows::of_table(&after.schema, &after.name, Seen::Now)?;
        let wanted: Vec<Wanted> = granted
            .into_iter()
            .map(|grant| (grant.privilege, grant.columns))
            .collect();
        let found = obstacles(after, &wanted);
        if let Some(first) = found.first() {
            return Err(rules::refuse_constraint(after, what, &first.problem).into());
        }
    }
    if let Change::DropConstraint { name, .. } = change {
        let lost = |schema: &str, table: &str| {
            if (schema, table) == (after.schema.as_str(), after.name.as_str()) {
                Some(after.clone())
            } else {
                lookup(schema, table)
            }
        };
        let (grants, assignments) = broken(&lost)?;
        let of: Option<String> = grants
            .first()
            .map(|grant| qualified(&grant.table_schema, &grant.table_name))
            .or_else(|| {
                let of = assignments.first()?;
                Some(qualified(&of.table_schema, &of.table_name))
            });
        if let Some(of) = of {
            return Err(rules::refuse_drop_way(after, name, &of).into());
        }
    }
    Ok(())
}

/// CREATE UNIQUE INDEX is about to run: refuses what would stand in the way of what clients may write. Built
/// CONCURRENTLY it would be there, and enforced, before its effect could be refused.
pub fn refuse_unique_index(table: &Table) -> Result<(), Error> {
    let granted: Vec<Grant> = rows::of_table(&table.schema, &table.name, Seen::Now)?;
    let anywhere = granted.iter().any(|grant| {
        grant.privilege == Privilege::Insert
            || grant.privilege == Privilege::Update && grant.columns.is_none()
    });
    if !anywhere {
        return Ok(());
    }
    let problem = "What two clients write can violate a unique index.";
    Err(rules::refuse_constraint(table, Constraining::Index(None), problem).into())
}

/// The grants and assignments that name what is not there any more.
fn broken(lookup: rules::Lookup<'_>) -> Result<(Vec<Grant>, Vec<Assignment>), Error> {
    let stands = |schema: &str,
                  name: &str,
                  columns: &[String],
                  scope: Option<(&str, &str)>,
                  path: Option<&[String]>| {
        let Some(table) = lookup(schema, name) else {
            return false;
        };
        let reaches = match scope {
            None => true,
            Some(scope) if path.is_none() => scope == (schema, name),
            Some(scope) => rules::resolve_path(&table, scope, path, lookup).is_ok(),
        };
        rules::check_columns(&table, columns).is_ok() && reaches
    };
    let mut grants: Vec<Grant> = rows::all(Seen::Now)?;
    grants.retain(|of| {
        let columns = of.columns.as_deref().unwrap_or_default();
        let path = of.using_path.as_deref();
        !stands(&of.table_schema, &of.table_name, columns, of.scope(), path)
            || !condition_stands(&of.table_schema, &of.table_name, of.condition.as_deref())
    });
    let mut assignments: Vec<Assignment> = rows::all(Seen::Now)?;
    assignments.retain(|of| {
        let columns: Vec<String> = [Some(&of.user_column), of.role_column.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let path = of.using_path.as_deref();
        !stands(&of.table_schema, &of.table_name, &columns, of.scope(), path)
            || !condition_stands(&of.table_schema, &of.table_name, of.condition.as_deref())
    });
    Ok((grants, assignments))
}

fn condition_stands(schema: &str, name: &str, condition: Option<&str>) -> bool {
    let Some(condition) = condition else {
        return true;
    };
    names::relation_of(schema, name).is_some_and(|id| condition::check(id, condition).is_ok())
}

/// A table was replaced under the policy that refuses nothing: what named something that went is taken back, with a
/// warning.
pub fn repair() -> Result<(), Error> {
    let (grants, assignments) = broken(&lookup)?;
    let mut tables: Vec<(String, String)> = grants
        .iter()
        .map(|of| (of.table_schema.clone(), of.table_name.clone()))
        .chain(
            assignments
                .iter()
                .map(|of| (of.table_schema.clone(), of.table_name.clone())),
        )
        .collect();
    tables.sort();
    tables.dedup();
    for (schema, name) in tables {
        let Some(table) = lookup(&schema, &name) else {
            forget(&schema, &name)?;
            continue;
        };
        let mut kept: Vec<Grant> = rows::of_table(&schema, &name, Seen::Now)?;
        let before = kept.len();
        kept.retain(|grant| !grants.contains(grant));
        let revoked = before - kept.len();
        if revoked > 0 {
            store_grants(&table, &kept, Change::Revoke(kept.clone()))?;
        }
        let mut kept: Vec<Assignment> = rows::of_table(&schema, &name, Seen::Now)?;
        let before = kept.len();
        kept.retain(|of| !assignments.contains(of));
        let unassigned = before - kept.len();
        if unassigned > 0 {
            store_assignments(&table, &kept, Change::Unassign(kept.clone()))?;
        }
        say_gone(&schema, &name, revoked, unassigned);
    }
    Ok(())
}

/// A table is no longer electrified: nothing is granted on it, and its rows give no roles.
pub fn forget(schema: &str, name: &str) -> Result<(), Error> {
    let grants = rows::of_table::<Grant>(schema, name, Seen::Now)?.len();
    let assignments = rows::of_table::<Assignment>(schema, name, Seen::Now)?.len();
    if grants + assignments > 0 {
        rows::replace::<Grant>(schema, name, &[])?;
        rows::replace::<Assignment>(schema, name, &[])?;
        say_gone(schema, name, grants, assignments);
    }
    Ok(())
}

fn say_gone(schema: &str, name: &str, grants: usize, assignments: usize) {
    warning(&format!(
        "table {} lost what was granted on it ({grants}) and what its rows assign ({assignments})",
        refusal::shown(schema, name)
    ));
}

/// The privileges of one statement, each once: columns that are named apart are taken together.
pub fn together(wanted: impl IntoIterator<Item = Wanted>) -> Vec<Wanted> {
    let mut found: Vec<Wanted> = Vec::new();
    for (privilege, columns) in wanted {
        match found.iter_mut().find(|(other, _)| *other == privilege) {
            Some((_, known)) => match (known.as_mut(), columns) {
                (Some(known), Some(columns)) => {
                    for column in columns {
                        if !known.contains(&column) {
                            known.push(column);
                        }
                    }
                }
                _ => *known = None,
            },
            None => found.push((privilege, columns)),
        }
    }
    found.sort();
    found
}
