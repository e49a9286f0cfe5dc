//! The syntax tree as text.

use crate::ast::{
    Action, Assigned, Column, Expression, Name, Path, Privilege, PrivilegeWord, Role, Statement,
    Tables,
};
use crate::names::{literal, quoted};
use std::fmt::{Display, Formatter, Result};

/// Things with something between them.
struct Joined<'a, T>(&'a [T], &'static str);

impl<T: Display> Display for Joined<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, it) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { self.1 };
            write!(f, "{between}{it}")?;
        }
        Ok(())
    }
}

/// A name, in quotes if it needs them.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&quoted(self.0))
    }
}

fn quoted_all(names: &[String]) -> Vec<Quoted<'_>> {
    names.iter().map(|name| Quoted(name)).collect()
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", Quoted(schema))?;
        }
        Quoted(&self.name).fmt(f)
    }
}

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}.{}", self.table, Quoted(&self.name))
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Joined(&quoted_all(&self.0), "/").fmt(f)
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.as_str())
    }
}

impl Display for PrivilegeWord {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.as_str())
    }
}

impl Display for Privilege {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.word.fmt(f)?;
        match &self.columns {
            Some(columns) => write!(f, " ({})", Joined(&quoted_all(columns), ", ")),
            None => Ok(()),
        }
    }
}

/// A role that is named, in the form that takes any scope and any name.
fn named(scope: Option<&Name>, role: &str, f: &mut Formatter<'_>) -> Result {
    match scope {
        Some(scope) => write!(f, "({scope}, {})", literal(role)),
        None if role.contains(':') => write!(f, "(NULL, {})", literal(role)),
        None => f.write_str(&literal(role)),
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Anyone => f.write_str("ANYONE"),
            Self::Authenticated => f.write_str("AUTHENTICATED"),
            Self::Named { scope, role } => named(scope.as_ref(), role, f),
        }
    }
}

impl Display for Assigned {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Named { scope, role } => named(scope.as_ref(), role, f),
            Self::Column {
                scope: Some(scope),
                column,
            } => write!(f, "({scope}, {column})"),
            Self::Column {
                scope: None,
                column,
            } => column.fmt(f),
        }
    }
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(self.text())
    }
}

/// `ALTER TABLE … ENABLE ELECTRIC` or `ELECTRIC ENABLE …`
fn switched(tables: &Tables, word: &str, f: &mut Formatter<'_>) -> Result {
    match tables {
        Tables::Altered {
            if_exists,
            only,
            table,
        } => {
            let if_exists = if *if_exists { "IF EXISTS " } else { "" };
            let only = if *only { "ONLY " } else { "" };
            write!(f, "ALTER TABLE {if_exists}{only}{table} {word} ELECTRIC")
        }
        Tables::Listed(tables) => write!(f, "ELECTRIC {word} {}", Joined(tables, ", ")),
    }
}

/// The clauses at the end, where they are.
fn clauses(
    using: Option<&Path>,
    condition: Option<(&str, &Expression)>,
    f: &mut Formatter<'_>,
) -> Result {
    if let Some(path) = using {
        write!(f, " USING {path}")?;
    }
    if let Some((word, expression)) = condition {
        write!(f, " {word} ({expression})")?;
    }
    Ok(())
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Enable(tables) => switched(tables, "ENABLE", f),
            Self::Disable(tables) => switched(tables, "DISABLE", f),
            Self::Grant {
                privileges,
                tables,
                roles,
                using,
                condition,
            } => {
                let privileges = Joined(privileges, ", ");
                let tables = Joined(tables, ", ");
                let roles = Joined(roles, ", ");
                write!(f, "ELECTRIC GRANT {privileges} ON {tables} TO {roles}")?;
                clauses(
                    using.as_ref(),
                    condition.as_ref().map(|it| ("WHERE", it)),
                    f,
                )
            }
            Self::Revoke {
                privileges,
                tables,
                roles,
            } => {
                let privileges = Joined(privileges, ", ");
                let tables = Joined(tables, ", ");
                let roles = Joined(roles, ", ");
                write!(f, "ELECTRIC REVOKE {privileges} ON {tables} FROM {roles}")
            }
            Self::Assign {
                assigned,
                user,
                using,
                condition,
            } => {
                write!(f, "ELECTRIC ASSIGN {assigned} TO {user}")?;
                clauses(using.as_ref(), condition.as_ref().map(|it| ("IF", it)), f)
            }
            Self::Unassign { assigned, user } => {
                write!(f, "ELECTRIC UNASSIGN {assigned} FROM {user}")
            }
            Self::Sqlite(statement) => write!(f, "ELECTRIC SQLITE {}", literal(statement)),
        }
    }
}
