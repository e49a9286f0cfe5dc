//! Commands said anew from what they mean. The texts of a record are never run, and a fragment of SQL in an op stays a
//! fragment: each statement must do the one thing that it was made for.

use electric_schema::change::Change;
use electric_schema::model::{Table, TypeDefinition};

use super::block::Stop;
use super::{checks, needs};
use crate::error::{Error, SqlState};
use crate::pg::said::{Action, Name, Said, said};
use crate::pg::{names, session, spi, subtransaction, xact};
use crate::{api, store};

/// What the statements of a change may be about.
#[derive(Default)]
pub struct About<'a> {
    /// The table that results.
    pub table: Option<&'a Table>,
    /// The type.
    pub definition: Option<&'a TypeDefinition>,
    /// Foreign keys of other tables.
    pub keys: Vec<(Name, String)>,
}

/// Does a change of a table, or of what `about` says besides.
pub fn change(change: &Change, about: &About<'_>) -> Result<(), Stop> {
    run(&checks::statements(change, about.table)?, about)
}

/// Runs statements about those things.
pub fn run(statements: &[String], about: &About<'_>) -> Result<(), Stop> {
    session::replaying(|| {
        for statement in statements {
            match said(statement) {
                Some(said) if about.allows(&said) => {
                    if needs::is_there(&said)? {
                        continue;
                    }
                    let before = needs::used_of_others(&said)?;
                    run_one(statement, &said)?;
                    xact::command_counter_increment();
                    needs::no_more_of_others(&said, &before)?;
                    made(&said)?;
                }
                _ => return Err(no_statement(statement).into()),
            }
        }
        xact::command_counter_increment();
        Ok(())
    })
}

fn run_one(statement: &str, said: &Said) -> Result<(), Stop> {
    let run = || api::working(|| spi::run(statement));
    if !matches!(said, Said::Extension(..)) {
        return Ok(run()?);
    }
    // Whatever keeps an extension from being made keeps it from the tables that need it, and from no others.
    match subtransaction::run(std::panic::AssertUnwindSafe(run)) {
        Ok(done) => Ok(done?),
        Err(error) if error.is_about_session() && !error.is("58P01") => error.rethrow(),
        Err(error) => Err(Stop::InTheWay(error.message())),
    }
}

/// Remembers what was made.
fn made(said: &Said) -> Result<(), Error> {
    match said {
        Said::Table(name, ..) | Said::Sequence(name) => {
            match names::relation_of(&name.schema, &name.name) {
                Some(id) => store::stream::add_relation(id),
                None => Ok(()),
            }
        }
        Said::Type(name) => match names::type_of(&name.schema, &name.name) {
            Some(id) => store::stream::add_type(id),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn no_statement(statement: &str) -> Error {
    let shown: String = statement.chars().take(200).collect();
    Error::new(
        SqlState::of_code("XX001"),
        "cannot follow the publisher: what a command says is no change of its table",
    )
    .detail(format!("It would be said as: {shown}"))
    .hint("The record was not made by electric. Begin anew: CALL electric.unsubscribe(); drop the tables; CALL electric.subscribe(…);")
}

impl About<'_> {
    fn allows(&self, said: &Said) -> bool {
        match said {
            Said::Schema(_) | Said::Extension(..) => true,
            Said::Collation(name) => self.collations().any(|of| of == *name),
            Said::Sequence(name) | Said::OwnSequence(name) => {
                self.sequences().any(|of| of == *name)
            }
            Said::Type(name) | Said::Label(name) | Said::DomainConstraint(name) => self
                .definition
                .is_some_and(|of| Name::new(&of.schema, &of.name) == *name),
            Said::Table(name, columns, constraints) => {
                self.is_table(name)
                    && self
                        .table
                        .is_some_and(|table| table.columns.iter().map(|c| &c.name).eq(columns))
                    && constraints.iter().all(|name| self.has_constraint(name))
            }
            Said::Alter(name, action) => {
                self.is_table(name) && self.has(action) || self.is_key(name, action)
            }
            Said::Index(table, index) => {
                self.is_table(table)
                    && self
                        .table
                        .is_some_and(|table| table.indexes.iter().any(|of| of.name == *index))
            }
            Said::RenameIndex(name) | Said::DropIndex(name) => {
                self.table.is_some_and(|table| table.schema == name.schema)
            }
        }
    }

    fn is_table(&self, name: &Name) -> bool {
        self.table
            .is_some_and(|table| Name::new(&table.schema, &table.name) == *name)
    }

    fn is_key(&self, table: &Name, action: &Action) -> bool {
        let Action::AddConstraint(key) = action else {
            return false;
        };
        self.keys
            .iter()
            .any(|(of, name)| of == table && name == key)
    }

    fn has(&self, action: &Action) -> bool {
        match action {
            Action::AddColumn(name)
            | Action::Default(name)
            | Action::DropNotNull(name)
            | Action::Type(name) => self.table.is_some_and(|table| table.column(name).is_some()),
            Action::AddConstraint(name) | Action::Validate(name) => self.has_constraint(name),
            Action::DropConstraint(_) => true,
        }
    }

    fn has_constraint(&self, name: &str) -> bool {
        self.table.is_some_and(|table| {
            let keys = table.foreign_keys.iter().map(|key| &key.name);
            let mut names = table
                .primary_key_constraint
                .iter()
                .chain(&table.unique)
                .chain(&table.exclusions)
                .chain(&table.checks)
                .map(|constraint| &constraint.name)
                .chain(keys);
            // The key of a partitioned table may have no name.
            names.any(|of| of == name) || name.is_empty() && table.primary_key_constraint.is_none()
        })
    }

    fn collations(&self) -> impl Iterator<Item = Name> {
        let of_table = self.table.iter().flat_map(|table| &table.collations);
        let of_type = self.definition.iter().flat_map(|of| &of.collations);
        of_table
            .chain(of_type)
            .map(|collation| Name::new(&collation.schema, &collation.name))
    }

    fn sequences(&self) -> impl Iterator<Item = Name> {
        let columns = self.table.iter().flat_map(|table| &table.columns);
        columns
            .filter_map(|column| column.sequence.as_ref())
            .map(|sequence| Name::new(&sequence.schema, &sequence.name))
    }
}
