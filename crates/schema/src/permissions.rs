//! What clients may do, and which rows give them roles: what `ELECTRIC GRANT` and `ELECTRIC ASSIGN` store.
//!
//! The names of the fields are the columns of `electric.grants` and `electric.assignments`, and the keys of their JSON.

use serde::{Deserialize, Serialize};

use crate::model::{Column, Constraint, ForeignKey, Table};
use crate::names::{qualified, quote_ident_if_needed, quote_literal};
use crate::refusal::Refusal;

/// What can be done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Privilege {
    /// Remove some.
    Delete,
    /// Add some.
    Insert,
    /// Read them.
    Select,
    /// Change some.
    Update,
}

impl Privilege {
    /// The word in SQL, and in `electric.grants.privilege`.
    pub fn word(self) -> &'static str {
        match self {
            Privilege::Delete => "DELETE",
            Privilege::Insert => "INSERT",
            Privilege::Select => "SELECT",
            Privilege::Update => "UPDATE",
        }
    }

    /// The privilege of that word.
    pub fn of_word(word: &str) -> Option<Privilege> {
        [
            Privilege::Delete,
            Privilege::Insert,
            Privilege::Select,
            Privilege::Update,
        ]
        .into_iter()
        .find(|privilege| privilege.word() == word)
    }
}

/// Whom a privilege is granted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grantee {
    /// Everybody.
    Anyone,
    /// Everybody who is known by name.
    Authenticated,
    /// Who has the role.
    Role,
}

impl Grantee {
    /// The word in `electric.grants.grantee`.
    pub fn word(self) -> &'static str {
        match self {
            Grantee::Anyone => "anyone",
            Grantee::Authenticated => "authenticated",
            Grantee::Role => "role",
        }
    }

    /// The grantee of that word.
    pub fn of_word(word: &str) -> Option<Grantee> {
        [Grantee::Anyone, Grantee::Authenticated, Grantee::Role]
            .into_iter()
            .find(|grantee| grantee.word() == word)
    }
}

/// A privilege of clients on a table: a row of `electric.grants`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// Schema of the table.
    pub table_schema: String,
    /// Name of the table.
    pub table_name: String,
    /// What may be done.
    pub privilege: Privilege,
    /// By whom.
    pub grantee: Grantee,
    /// Name of the role; `None` for anyone and authenticated.
    pub role: Option<String>,
    /// Schema of the table that the role is about; a role without one holds everywhere.
    pub scope_schema: Option<String>,
    /// Name of that table.
    pub scope_table: Option<String>,
    /// The columns; `None` for all.
    pub columns: Option<Vec<String>>,
    /// Foreign key columns that lead from a row to its scope.
    pub using_path: Option<Vec<String>>,
    /// Which rows, as an SQL expression.
    pub condition: Option<String>,
}

impl Grant {
    /// Whether both say who may do what to which table, whatever the columns and the condition.
    pub fn is_for_the_same(&self, other: &Grant) -> bool {
        let key = |grant: &Grant| {
            (
                grant.table_schema.clone(),
                grant.table_name.clone(),
                grant.privilege,
                grant.grantee,
                grant.role.clone(),
                grant.scope_schema.clone(),
                grant.scope_table.clone(),
            )
        };
        key(self) == key(other)
    }

    /// The table that the role is about.
    pub fn scope(&self) -> Option<(&str, &str)> {
        Some((self.scope_schema.as_deref()?, self.scope_table.as_deref()?))
    }
}

/// How rows of a table give a role to users: a row of `electric.assignments`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    /// Schema of the table.
    pub table_schema: String,
    /// Name of the table.
    pub table_name: String,
    /// The column that names the user.
    pub user_column: String,
    /// Name of the role; `None` where a column has it.
    pub role: Option<String>,
    /// The column that has the role's name.
    pub role_column: Option<String>,
    /// Schema of the table that the role is about; a role without one holds everywhere.
    pub scope_schema: Option<String>,
    /// Name of that table.
    pub scope_table: Option<String>,
    /// Foreign key columns that lead from a row to its scope.
    pub using_path: Option<Vec<String>>,
    /// Which rows, as an SQL expression.
    pub condition: Option<String>,
}

impl Assignment {
    /// Whether both assign the same role by the same column, whatever the way and the condition.
    pub fn is_for_the_same(&self, other: &Assignment) -> bool {
        let key = |of: &Assignment| {
            (
                of.table_schema.clone(),
                of.table_name.clone(),
                of.user_column.clone(),
                of.role.clone(),
                of.role_column.clone(),
                of.scope_schema.clone(),
                of.scope_table.clone(),
            )
        };
        key(self) == key(other)
    }

    /// The table that the role is about.
    pub fn scope(&self) -> Option<(&str, &str)> {
        Some((self.scope_schema.as_deref()?, self.scope_table.as_deref()?))
    }
}

/// Adds a grant to those of a table; one for the same is replaced whole.
pub fn grant(grants: &mut Vec<Grant>, new: Grant) {
    grants.retain(|old| !old.is_for_the_same(&new));
    grants.push(new);
    grants.sort();
}

/// Takes a grant away, or the given columns of it. With the last column the grant goes.
pub fn revoke(grants: &mut Vec<Grant>, revoked: &Grant, table: &Table) {
    let Some(columns) = &revoked.columns else {
        grants.retain(|old| !old.is_for_the_same(revoked));
        return;
    };
    for old in grants.iter_mut().filter(|old| old.is_for_the_same(revoked)) {
        let all = || table.columns.iter().map(|column| column.name.clone());
        let mut left = old.columns.take().unwrap_or_else(|| all().collect());
        left.retain(|column| !columns.contains(column));
        old.columns = Some(left);
    }
    grants.retain(|old| {
        old.columns
            .as_ref()
            .is_none_or(|columns| !columns.is_empty())
    });
}

/// What is wrong with a grant or an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no such column (42703).
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The way to the scope is none (42830).
    NoWay {
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// A table by schema and name.
pub type Lookup<'a> = &'a dyn Fn(&str, &str) -> Option<Table>;

/// Whether the columns are there.
pub fn check_columns(table: &Table, columns: &[String]) -> Result<(), Fault> {
    match columns.iter().find(|name| table.column(name).is_none()) {
        Some(column) => Err(Fault::NoColumn {
            table: table.qualified_name(),
            column: column.clone(),
        }),
        None => Ok(()),
    }
}

/// The way from rows of a table to the scope: the given one, checked, or the one foreign key that leads there. None is
/// needed where the table is the scope itself.
pub fn resolve_path(
    table: &Table,
    scope: (&str, &str),
    using: Option<&[String]>,
    lookup: Lookup<'_>,
) -> Result<Option<Vec<String>>, Fault> {
    let Some(using) = using else {
        return direct_way(table, scope);
    };
    let scope_name = qualified(scope.0, scope.1);
    let mut at = vec![table.clone()];
    for step in using {
        if !at.iter().any(|table| table.column(step).is_some()) {
            let table = at.first().map(Table::qualified_name).unwrap_or_default();
            return Err(Fault::NoColumn {
                table,
                column: step.clone(),
            });
        }
        let next: Vec<Table> = at
            .iter()
            .flat_map(|table| &table.foreign_keys)
            .filter(|key| key.columns.contains(step))
            .filter_map(|key| lookup(&key.references.schema, &key.references.table))
            .collect();
        if next.is_empty() {
            let table = at.first().map(Table::qualified_name).unwrap_or_default();
            return Err(Fault::NoWay {
                problem: format!(
                    "Column {} of table {table} is no foreign key.",
                    quote_ident_if_needed(step)
                ),
                hint: format!(
                    "USING names foreign key columns, one after the other, up to table {scope_name}."
                ),
            });
        }
        at = next;
    }
    if at.iter().any(|table| is(table, scope)) {
        return Ok(Some(using.to_vec()));
    }
    let end = at.first().map(Table::qualified_name).unwrap_or_default();
    Err(Fault::NoWay {
        problem: format!("The way ends at table {end}, not at {scope_name}."),
        hint: "Go on with a foreign key column of that table, or name another scope.".to_owned(),
    })
}

fn is(table: &Table, name: (&str, &str)) -> bool {
    (table.schema.as_str(), table.name.as_str()) == name
}

fn direct_way(table: &Table, scope: (&str, &str)) -> Result<Option<Vec<String>>, Fault> {
    if is(table, scope) {
        return Ok(None);
    }
    let leads_there = |key: &&ForeignKey| {
        (
            key.references.schema.as_str(),
            key.references.table.as_str(),
        ) == scope
    };
    let keys: Vec<&ForeignKey> = table.foreign_keys.iter().filter(leads_there).collect();
    let scope_name = qualified(scope.0, scope.1);
    match keys[..] {
        [key] => Ok(Some(key.columns.iter().take(1).cloned().collect())),
        [] => Err(Fault::NoWay {
            problem: format!(
                "No foreign key of table {} references {scope_name}.",
                table.qualified_name()
            ),
            hint: "Say by which foreign key columns to get there: USING column/column.".to_owned(),
        }),
        _ => {
            let columns: Vec<String> = keys
                .iter()
                .filter_map(|key| key.columns.first())
                .map(|column| quote_ident_if_needed(column))
                .collect();
            Err(Fault::NoWay {
                problem: format!(
                    "Several foreign keys of table {} reference {scope_name}: {}.",
                    table.qualified_name(),
                    columns.join(", ")
                ),
                hint: format!(
                    "Say which one: USING {}.",
                    columns.first().map_or("column", String::as_str)
                ),
            })
        }
    }
}

/// Something that offline writes could violate without knowing, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub problem: String,
    /// What to do about it.
    pub way_out: String,
}

/// What stands in the way of letting clients write to a table while they are offline. `columns` are those that may be
/// updated, `None` for all; `checked` are the columns whose domain has a CHECK.
pub fn obstacles(
    table: &Table,
    privilege: Privilege,
    columns: Option<&[String]>,
    checked: &[String],
) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let columns = match privilege {
        Privilege::Select | Privilege::Delete => return found,
        Privilege::Insert => {
            found.extend(key_columns(table).filter_map(unmintable));
            None
        }
        Privilege::Update => columns,
    };
    let written = |names: &[String]| {
        names.is_empty()
            || columns.is_none_or(|columns| names.iter().any(|name| columns.contains(name)))
    };
    let constraints = [
        ("UNIQUE", &table.unique),
        ("EXCLUDE", &table.exclusions),
        ("CHECK", &table.checks),
    ];
    for (kind, list) in constraints {
        let in_the_way = list
            .iter()
            .filter(|constraint| written(&constraint.columns));
        found.extend(in_the_way.map(|constraint| obstacle(table, kind, constraint)));
    }
    for index in table.indexes.iter().filter(|index| index.unique) {
        // Which columns an expression uses is in its text only; a name in it that is none of them costs nothing but
        // a refusal.
        let texts = || index.keys.iter().chain(&index.predicate);
        let mentions = |column: &String| {
            let name = quote_ident_if_needed(column);
            texts().any(|text| text.contains(&name))
        };
        if columns.is_none_or(|columns| columns.iter().any(mentions)) {
            found.push(Obstacle {
                problem: format!(
                    "Index {} is UNIQUE: what two clients write while they are offline can violate it.",
                    quote_ident_if_needed(&index.name)
                ),
                way_out: format!("DROP INDEX {};", qualified(&table.schema, &index.name)),
            });
        }
    }
    for name in checked
        .iter()
        .filter(|name| written(std::slice::from_ref(name)))
    {
        found.push(Obstacle {
            problem: format!(
                "The domain of column {} has a CHECK, which no client knows.",
                quote_ident_if_needed(name)
            ),
            way_out: format!(
                "Let clients write other columns than {}.",
                quote_ident_if_needed(name)
            ),
        });
    }
    found
}

fn key_columns(table: &Table) -> impl Iterator<Item = &Column> {
    table
        .primary_key
        .iter()
        .filter_map(|name| table.column(name))
}

/// Types of which clients can make values that no other client makes.
fn unmintable(column: &Column) -> Option<Obstacle> {
    let base = column.data_type.base();
    let mintable = base.array_dims == 0
        && matches!(
            base.name.as_str(),
            "uuid" | "text" | "varchar" | "bpchar" | "name" | "citext" | "bytea"
        );
    let name = quote_ident_if_needed(&column.name);
    (!mintable).then(|| Obstacle {
        problem: format!(
            "Column {name} of the primary key has type {}: two clients that are offline would make the same key.",
            column.data_type.sql
        ),
        way_out: "Give the table a primary key of type uuid, text or bytea.".to_owned(),
    })
}

fn obstacle(table: &Table, kind: &str, constraint: &Constraint) -> Obstacle {
    let name = quote_ident_if_needed(&constraint.name);
    let reason = match kind {
        "CHECK" => "no replica knows it, so that clients can write what violates it",
        _ => "what two clients write while they are offline can violate it",
    };
    Obstacle {
        problem: format!("Constraint {name} {}: {reason}.", constraint.definition),
        way_out: format!(
            "BEGIN; SET LOCAL electric.policy = compatible; ALTER TABLE {} DROP CONSTRAINT {name}; COMMIT;",
            table.qualified_name()
        ),
    }
}

/// What would constrain rows that clients may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraining<'a> {
    /// ADD COLUMN with a CHECK or UNIQUE.
    Column(&'a str),
    /// CREATE UNIQUE INDEX; the name, where it is known.
    Index(Option<&'a str>),
}

/// Rows that clients may write would be constrained.
pub fn refuse_constraint(table: &Table, what: Constraining<'_>, problem: &str) -> Refusal {
    let action = match what {
        Constraining::Column(name) => format!("add constrained column \"{name}\" to"),
        Constraining::Index(_) => "create a unique index on".to_owned(),
    };
    let name = table.qualified_name();
    let refusal = Refusal::of_table(
        table,
        &action,
        format!("Clients may write to the table while they are offline. {problem}"),
        format!(
            "Leave the constraint out, or take the privileges away first: SELECT electric.ddlx({}); \
             Who has them: SELECT * FROM electric.grants;",
            quote_literal(&format!("ELECTRIC REVOKE INSERT, UPDATE ON {name} FROM …"))
        ),
    );
    match what {
        Constraining::Column(name) => refusal.column(name),
        Constraining::Index(Some(name)) => refusal.constraint(name),
        Constraining::Index(None) => refusal,
    }
}

/// A foreign key would go by which rows of `of` reach the scope of a role.
pub fn refuse_drop_way(table: &Table, constraint: &str, of: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("drop constraint \"{constraint}\" of"),
        format!("By it, privileges or assignments of table {of} reach the scope of their role."),
        format!(
            "Take them away first: SELECT electric.ddlx({}); or SELECT electric.ddlx({}); \
             What there is: SELECT * FROM electric.grants; SELECT * FROM electric.assignments;",
            quote_literal(&format!("ELECTRIC REVOKE … ON {of} FROM …")),
            quote_literal(&format!("ELECTRIC UNASSIGN … FROM {of}.…"))
        ),
    )
    .constraint(constraint)
}
