//! Runs a plan against a server, step by step, and keeps the script that it amounts to.

use std::fmt::Write;

use anyhow::{Result, bail};
use postgres::Client;

use super::Item;
use super::change::{self, Step};
use super::choices::Choices;
use super::create;
use super::introspection::Remembered;
use super::state::State;
use crate::database::Database;
use crate::errors::describe;

/// What may happen to a step that has rows in it: they break a constraint, do not fit on an index page, or are still
/// being checked when the table is altered.
const EXPECTED: &[&str] = &["23", "54000", "55006"];

/// How a step is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// In a transaction of its own, or in the one that is open.
    Plain,
    /// As that, and the transaction stays open.
    Open,
    /// In a savepoint that is rolled back.
    Undone,
    /// Each statement for itself, where no transaction is open.
    Bare,
    /// In a transaction that is rolled back whole.
    RolledBack,
}

const FRAMES: &[Frame] = &[
    Frame::Plain,
    Frame::Open,
    Frame::Bare,
    Frame::Open,
    Frame::Plain,
    Frame::Open,
    Frame::Undone,
    Frame::RolledBack,
    Frame::Plain,
    Frame::Open,
];

/// A connection that runs a script.
pub struct Session {
    client: Client,
    state: State,
    /// What was there when the open transaction began.
    began: Option<State>,
    script: String,
    remembered: Remembered,
}

impl Session {
    /// Begins a script in a database.
    pub fn new(database: &Database<'_>, state: State) -> Result<Session> {
        let client = database.cluster().connect(database.name(), "postgres")?;
        Ok(Session {
            client,
            state,
            began: None,
            script: String::new(),
            remembered: Remembered::default(),
        })
    }

    /// The statements so far, for psql.
    pub fn script(&self) -> &str {
        &self.script
    }

    /// Whether no transaction is open, and there is something to replicate.
    pub fn can_be_followed(&self) -> bool {
        self.began.is_none() && !self.state.tables.is_empty()
    }

    /// Makes the first table of a script.
    pub fn first(&mut self, item: &Item) -> Result<()> {
        let before = self.state.clone();
        let statements = create::tables(&mut Choices::new(item), &mut self.state);
        let step = Step {
            statements,
            alone: false,
        };
        self.run(&step, Frame::Plain, false, before)
    }

    /// Runs a step of the plan.
    pub fn step(&mut self, item: &Item) -> Result<()> {
        let mut choices = Choices::new(item);
        let frame = choices.pick(FRAMES).copied().unwrap_or(Frame::Plain);
        let in_block = choices.chance(15);
        let mut next = self.state.clone();
        let step = change::step(&mut choices, &mut next);
        if step.statements.is_empty() {
            return Ok(());
        }
        if step.alone && self.began.is_some() {
            // What is there may be another thing once the transaction has ended.
            self.commit()?;
            return self.step(item);
        }
        let before = std::mem::replace(&mut self.state, next);
        self.run(&step, frame, in_block, before)?;
        if self.began.is_none() {
            self.remembered.note(&mut self.client)?;
        }
        Ok(())
    }

    /// Compares what was introspected on the way with what the past is told to have been.
    pub fn remembers(&mut self) -> Result<()> {
        self.remembered.check(&mut self.client)
    }

    fn run(&mut self, step: &Step, frame: Frame, in_block: bool, before: State) -> Result<()> {
        let frame = if step.alone { Frame::Bare } else { frame };
        if frame == Frame::Bare && self.began.is_none() {
            // A first one that fails leaves nothing; of later ones nobody would know what is there.
            if !step.alone && step.statements.len() > 1 {
                return self.run(step, Frame::Plain, in_block, before);
            }
            if !self.all(&step.statements, false)? {
                // An index that could not be built keeps its name.
                let used = std::mem::replace(&mut self.state, before);
                self.state.without_names_of(&used);
            }
            self.state.committed();
            return Ok(());
        }
        let inside = self.began.is_some();
        if !inside {
            self.must("BEGIN")?;
            self.began = Some(before.clone());
        }
        let savepoint = inside || frame == Frame::Undone;
        if savepoint {
            self.must("SAVEPOINT step")?;
        }
        let done = self.all(&step.statements, in_block)?;
        match (done, savepoint) {
            (false, true) => {
                self.must("ROLLBACK TO step")?;
                self.state = before;
            }
            (false, false) => return self.roll_back(),
            (true, true) if frame == Frame::Undone => {
                self.must("ROLLBACK TO step; RELEASE step")?;
                self.state = before;
            }
            (true, true) => self.must("RELEASE step")?,
            (true, false) => {}
        }
        match frame {
            Frame::RolledBack => self.roll_back(),
            Frame::Open => Ok(()),
            Frame::Plain | Frame::Undone | Frame::Bare => self.commit(),
        }
    }

    /// Ends the script.
    pub fn end(&mut self) -> Result<()> {
        self.commit()
    }

    /// Commits what is open, or finds that it cannot be.
    fn commit(&mut self) -> Result<()> {
        let Some(began) = self.began.take() else {
            return Ok(());
        };
        if self.try_to("COMMIT")? {
            self.state.committed();
        } else {
            self.state = began;
        }
        Ok(())
    }

    fn roll_back(&mut self) -> Result<()> {
        self.must("ROLLBACK")?;
        if let Some(began) = self.began.take() {
            self.state = began;
        }
        Ok(())
    }

    /// Runs statements until one fails as it may.
    fn all(&mut self, statements: &[String], in_block: bool) -> Result<bool> {
        if in_block {
            let calls: Vec<String> = statements
                .iter()
                .map(|statement| format!("EXECUTE $statement${statement}$statement$;"))
                .collect();
            return self.try_to(&format!(
                "DO $block$ BEGIN {} END $block$",
                calls.join("\n")
            ));
        }
        for statement in statements {
            if !self.try_to(statement)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn must(&mut self, sql: &str) -> Result<()> {
        if self.try_to(sql)? {
            return Ok(());
        }
        bail!("{sql} failed")
    }

    /// Runs a statement; false if it fails as statements may, an error if not.
    pub fn try_to(&mut self, sql: &str) -> Result<bool> {
        writeln!(self.script, "{sql};")?;
        let Err(error) = self.client.batch_execute(sql) else {
            return Ok(true);
        };
        let message = describe(&error);
        let code = error.code().map_or("", |code| code.code());
        let expected = EXPECTED.iter().any(|expected| code.starts_with(expected));
        if expected {
            let first = error
                .as_db_error()
                .map(|error| error.message().replace('\n', " "));
            writeln!(self.script, "-- fails: {}", first.unwrap_or_default())?;
            return Ok(false);
        }
        bail!("{sql}\n{message}")
    }
}
