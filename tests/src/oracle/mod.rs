//! Two oracles for the additive rule, and scripts to try them on.
//!
//! A plan is a list of lists of numbers, from which a script is made while it runs: any numbers give a script, and
//! fewer and smaller ones a simpler script, so that plans can be generated and shrunk without knowing SQL. The script
//! makes tables of all types, changes them, additively and as the other policies let it, and writes rows in between; then its records are run in an
//! empty Postgres and in SQLite, and must give what the server has.

mod built_in;
mod change;
mod choices;
mod create;
mod index;
mod introspection;
mod names;
mod policy;
pub mod postgres;
mod rows;
mod session;
mod sqlite;
mod state;
mod types;

use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::database::Database;
use crate::replica::Replica;
use session::Session;
use state::State;

/// The numbers that decide about one step of a script.
pub type Item = Vec<u16>;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oracle {
    /// A Postgres that runs the records has the schema of the server.
    Postgres,
    /// A SQLite that runs the records has the schema of a new replica at every version, and all rows.
    Sqlite,
}

/// Runs the script of a plan and asks the oracle; an error says what differs, and has the script.
pub fn check(plan: &[Item], oracle: Oracle) -> Result<(), String> {
    with_session(|session, database| {
        let mut replica = None;
        for (number, item) in plan.iter().enumerate() {
            if number == 0 {
                session.first(item)?;
            } else {
                session.step(item)?;
            }
            follow(session, database, oracle, &mut replica)?;
        }
        session.end()?;
        session.remembers()?;
        follow(session, database, oracle, &mut replica)?;
        ask(database, oracle, replica)
    })
}

/// Runs a script as it stands and asks both oracles.
pub fn check_script(statements: &[&str]) -> Result<(), String> {
    with_session(|session, database| {
        let mut replica = None;
        for statement in statements {
            session.try_to(statement)?;
            // The slot of a replica waits for open transactions: the first statement must leave none.
            if replica.is_none() {
                replica = Some(Replica::follow(database, None)?.0);
            }
        }
        session.remembers()?;
        postgres::check(database)?;
        ask(database, Oracle::Sqlite, replica)
    })
}

fn follow<'a>(
    session: &Session,
    database: &'a Database<'a>,
    oracle: Oracle,
    replica: &mut Option<Replica<'a>>,
) -> Result<()> {
    if oracle == Oracle::Sqlite && replica.is_none() && session.can_be_followed() {
        *replica = Some(
            Replica::follow(database, None)
                .context("no replica can begin")?
                .0,
        );
    }
    Ok(())
}

fn ask(database: &Database<'_>, oracle: Oracle, replica: Option<Replica<'_>>) -> Result<()> {
    match (oracle, replica) {
        (Oracle::Postgres, _) => postgres::check(database),
        (Oracle::Sqlite, Some(mut replica)) => {
            sqlite::check_versions(database)?;
            sqlite::check_replica(database, &mut replica)
        }
        (Oracle::Sqlite, None) => Ok(()),
    }
}

fn with_session(
    run: impl for<'a> FnOnce(&mut Session, &'a Database<'a>) -> Result<()>,
) -> Result<(), String> {
    let template = template();
    let database = Cluster::shared().database_like(&template.name);
    let outcome = Session::new(&database, template.state.clone()).map_err(|e| (e, String::new()));
    let outcome = outcome.and_then(|mut session| {
        let outcome = run(&mut session, &database);
        if std::env::var_os("ELECTRIC_ORACLE_SHOW").is_some() {
            println!("{}", session.script());
        }
        outcome.map_err(|error| (error, session.script().to_owned()))
    });
    database.remove();
    outcome.map_err(|(error, script)| {
        format!(
            "{error:#}\n\nThe script, for psql:\n\n{};\n\n{script}",
            template.statements.join(";\n")
        )
    })
}

/// The database that those of the cases are copies of.
struct Template {
    name: String,
    statements: Vec<String>,
    state: State,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let database = Cluster::shared().database();
        let mut client = database.client();
        let mut lacks = Vec::new();
        let mut statements = vec![
            "CREATE EXTENSION electric".to_owned(),
            "CREATE SCHEMA ext".to_owned(),
        ];
        for extension in ["citext", "ltree", "hstore"] {
            if database.offers(extension) {
                statements.push(format!("CREATE EXTENSION {extension} SCHEMA ext"));
            } else {
                lacks.push(format!("ext.{extension}"));
            }
        }
        if client.batch_execute("SELECT '<a/>'::xml").is_err() {
            lacks.push("xml".to_owned());
        }
        statements.extend(create::prelude());
        for statement in statements.iter().skip(1) {
            crate::database::run(&mut client, statement);
        }
        Template {
            name: database.name().to_owned(),
            statements,
            state: State::new(built_in::types(&lacks)),
        }
    })
}
