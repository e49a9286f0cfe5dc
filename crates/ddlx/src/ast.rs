//! The syntax tree of DDLX. Names in it are as Postgres keeps them: folded, unquoted, cut to 63 bytes.

use crate::error::SyntaxError;
use std::hash::{Hash, Hasher};
use std::ops::Range;

/// A DDLX statement. It prints itself as a text that [`parse`](crate::parse()) reads back as the same statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Statement {
    /// `ALTER TABLE … ENABLE ELECTRIC` or `ELECTRIC ENABLE …`
    Enable(Tables),
    /// `ALTER TABLE … DISABLE ELECTRIC` or `ELECTRIC DISABLE …`
    Disable(Tables),
    /// `ELECTRIC GRANT privileges ON tables TO roles [USING path] [WHERE (condition)]`
    Grant {
        /// What may be done; never empty.
        privileges: Vec<Privilege>,
        /// To which tables; never empty.
        tables: Vec<Name>,
        /// By whom; never empty.
        roles: Vec<Role>,
        /// How rows of the tables lead to the scope.
        using: Option<Path>,
        /// Which rows. `CHECK` and `WHERE` are the same.
        condition: Option<Expression>,
    },
    /// `ELECTRIC REVOKE privileges ON tables FROM roles`
    Revoke {
        /// What may no longer be done; never empty.
        privileges: Vec<Privilege>,
        /// To which tables; never empty.
        tables: Vec<Name>,
        /// By whom; never empty.
        roles: Vec<Role>,
    },
    /// `ELECTRIC ASSIGN assigned TO table.user_column [USING path] [IF (condition)]`
    Assign {
        /// The role that a row gives.
        assigned: Assigned,
        /// The column that names the user it is given to.
        user: Column,
        /// How rows of the table lead to the scope.
        using: Option<Path>,
        /// Which rows give the role.
        condition: Option<Expression>,
    },
    /// `ELECTRIC UNASSIGN assigned FROM table.user_column`
    Unassign {
        /// The role that rows no longer give.
        assigned: Assigned,
        /// The column that names the user.
        user: Column,
    },
    /// `ELECTRIC SQLITE 'statement'`
    Sqlite(String),
}

impl Statement {
    /// The command tag that the statement completes with.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Enable(_) => "ELECTRIC ENABLE",
            Self::Disable(_) => "ELECTRIC DISABLE",
            Self::Grant { .. } => "ELECTRIC GRANT",
            Self::Revoke { .. } => "ELECTRIC REVOKE",
            Self::Assign { .. } => "ELECTRIC ASSIGN",
            Self::Unassign { .. } => "ELECTRIC UNASSIGN",
            Self::Sqlite(_) => "ELECTRIC SQLITE",
        }
    }
}

/// The tables that are switched on or off, by either syntax.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Tables {
    /// By `ALTER TABLE`.
    Altered {
        /// `IF EXISTS`: no error if there is no such table.
        if_exists: bool,
        /// `ONLY`, which changes nothing: tables that inherit are never switched along.
        only: bool,
        /// The table.
        table: Name,
    },
    /// By `ELECTRIC ENABLE` or `ELECTRIC DISABLE`; never empty.
    Listed(Vec<Name>),
}

impl Tables {
    /// The tables, in order.
    pub fn names(&self) -> &[Name] {
        match self {
            Self::Altered { table, .. } => std::slice::from_ref(table),
            Self::Listed(tables) => tables,
        }
    }

    /// Is it no error if there is no such table?
    pub fn if_exists(&self) -> bool {
        matches!(
            self,
            Self::Altered {
                if_exists: true,
                ..
            }
        )
    }
}

/// The name of a table, perhaps with its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The schema; without it the search path decides.
    pub schema: Option<String>,
    /// The name in it.
    pub name: String,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// The table.
    pub table: Name,
    /// The column.
    pub name: String,
}

/// The way from a row to its scope: columns that are foreign keys, one after the other. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<String>);

/// A privilege as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Privilege {
    /// Which one.
    pub word: PrivilegeWord,
    /// For these columns, never none; for all if absent.
    pub columns: Option<Vec<String>>,
}

impl Privilege {
    /// The actions it stands for, in the order SELECT, INSERT, UPDATE, DELETE.
    pub fn actions(&self) -> &'static [Action] {
        self.word.actions()
    }
}

/// The word for a privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivilegeWord {
    /// `SELECT`
    Select,
    /// `INSERT`
    Insert,
    /// `UPDATE`
    Update,
    /// `DELETE`
    Delete,
    /// `READ`: SELECT.
    Read,
    /// `WRITE`: INSERT, UPDATE and DELETE.
    Write,
    /// `ALL` or `ALL PRIVILEGES`: all four.
    All,
}

impl PrivilegeWord {
    pub(crate) const EACH: [Self; 7] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Read,
        Self::Write,
        Self::All,
    ];

    /// The actions it stands for, in the order SELECT, INSERT, UPDATE, DELETE.
    pub fn actions(self) -> &'static [Action] {
        use Action::{Delete, Insert, Select, Update};
        match self {
            Self::Select | Self::Read => &[Select],
            Self::Insert => &[Insert],
            Self::Update => &[Update],
            Self::Delete => &[Delete],
            Self::Write => &[Insert, Update, Delete],
            Self::All => &[Select, Insert, Update, Delete],
        }
    }

    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::All => "ALL",
        }
    }
}

/// What can be done to rows: that which is granted in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Read them.
    Select,
    /// Add some.
    Insert,
    /// Change some.
    Update,
    /// Remove some.
    Delete,
}

impl Action {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// Whom a privilege is granted to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everybody: `ANYONE`.
    Anyone,
    /// Everybody who is known by name: `AUTHENTICATED`.
    Authenticated,
    /// Who has that role.
    Named {
        /// The table whose rows the role is about; a role without one holds everywhere.
        scope: Option<Name>,
        /// The name of the role; never empty.
        role: String,
    },
}

/// What is assigned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Assigned {
    /// The role of that name.
    Named {
        /// The table whose rows the role is about; a role without one holds everywhere.
        scope: Option<Name>,
        /// The name of the role; never empty.
        role: String,
    },
    /// The role that a column of the row names.
    Column {
        /// The table whose rows the role is about; a role without one holds everywhere.
        scope: Option<Name>,
        /// The column.
        column: Column,
    },
}

/// An SQL expression, as it was written between its parentheses; comments and blanks around it are left out. What it means
/// is for Postgres to say. Expressions are equal if their texts are, wherever they stood.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(crate) text: String,
    pub(crate) range: Range<usize>,
}

impl Expression {
    /// The expression of this text alone. It must hold at least one token, parentheses in pairs, and no `;`.
    pub fn new(text: &str) -> Result<Expression, SyntaxError> {
        crate::parser::expression(text)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it stood in the text that was parsed, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
