//! What a script has made so far, as far as the next statement must know.

use electric_schema::names::{qualified_quoted, quote_ident};

use super::choices::Choices;
use super::names;
use super::types::Type;

/// An enum.
#[derive(Debug, Clone)]
pub struct Enum {
    /// Its qualified name.
    pub sql: String,
    /// The labels that can be used.
    pub labels: Vec<String>,
    /// Labels that can be used once the transaction has committed.
    pub fresh: Vec<String>,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub data_type: Type,
    /// Whether it must have a value.
    pub not_null: bool,
    /// Serial or identity: the server gives the values.
    pub numbered: bool,
    /// It has an index for itself alone that allows a value once.
    pub unique: bool,
    /// The table and column whose values it takes.
    pub reference: Option<(usize, String)>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// The primary key can be referenced: it is not deferrable.
    pub referable: bool,
    /// Indexes that back no constraint.
    pub indexes: Vec<String>,
    /// Constraints that are NOT VALID.
    pub unvalidated: Vec<String>,
    /// Other constraints whose names are known, the primary key left out.
    pub constraints: Vec<String>,
    /// Columns whose type must stay: views use them, or they have a collation of their own.
    pub fixed: Vec<String>,
    /// Other tables that it references.
    pub references: Vec<usize>,
    /// It is a partitioned table.
    pub partitioned: bool,
    /// The number of the next key.
    pub next_key: usize,
}

impl Table {
    /// Its qualified name.
    pub fn sql(&self) -> String {
        qualified_quoted(&self.schema, &self.name)
    }

    /// The name of an index of it, qualified.
    pub fn index(&self, name: &str) -> String {
        qualified_quoted(&self.schema, name)
    }

    /// Its primary key as a list.
    pub fn key_list(&self) -> String {
        let quoted: Vec<String> = self.key.iter().map(|name| quote_ident(name)).collect();
        quoted.join(", ")
    }

    /// Gives a column that is no key another name.
    pub fn rename_column(&mut self, from: &str, to: &str) {
        let columns = self.columns.iter_mut().map(|column| &mut column.name);
        for name in columns.chain(&mut self.fixed).filter(|name| *name == from) {
            to.clone_into(name);
        }
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// All that was made.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The built-in types of this server.
    pub built_in: Vec<Type>,
    /// Types that were made.
    pub types: Vec<Type>,
    /// Enums that were made.
    pub enums: Vec<Enum>,
    /// Tables, all electrified.
    pub tables: Vec<Table>,
    made: usize,
    words: usize,
}

/// The schemas of a script.
pub const SCHEMAS: &[&str] = &[
    "public",
    "app",
    "Other \"schema\"",
    "schema.dot",
    "order",
    "日本語's\nline",
    "sixty-three bytes, sixty-three bytes, sixty-three bytes, sixty-",
];

impl State {
    /// Nothing but types.
    pub fn new(built_in: Vec<Type>) -> State {
        State {
            built_in,
            ..State::default()
        }
    }

    /// A schema.
    pub fn schema(&self, choices: &mut Choices<'_>) -> String {
        let place = choices
            .below(2 * SCHEMAS.len())
            .saturating_sub(SCHEMAS.len());
        SCHEMAS.get(place).copied().unwrap_or("public").to_owned()
    }

    /// A name that nothing has, nor anything that SQLite would take for the same.
    pub fn name(&mut self, choices: &mut Choices<'_>, stem: &str) -> String {
        if choices.chance(12)
            && let Some(word) = names::WORDS.get(self.words)
        {
            self.words += 1;
            return if choices.chance(30) {
                word.to_uppercase()
            } else {
                (*word).to_owned()
            };
        }
        names::name(choices, stem, self.number())
    }

    /// Names that the other state used will not come again.
    pub fn without_names_of(&mut self, other: &State) {
        self.made = self.made.max(other.made);
        self.words = self.words.max(other.words);
    }

    /// A number that was not used.
    pub fn number(&mut self) -> usize {
        self.made += 1;
        self.made
    }

    /// Tables that another one than itself references.
    pub fn is_referenced(&self, table: usize) -> bool {
        let others = self.tables.iter().enumerate().filter(|(i, _)| *i != table);
        others
            .into_iter()
            .any(|(_, other)| other.references.contains(&table))
    }

    /// What was made in a transaction can be used from its end on.
    pub fn committed(&mut self) {
        for of in &mut self.enums {
            of.labels.append(&mut of.fresh);
        }
    }
}
