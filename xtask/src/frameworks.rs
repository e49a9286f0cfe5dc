//! `cargo xtask frameworks`, `cargo xtask clients`: migration frameworks and database drivers, run for real against real servers.

use crate::host::Host;
use crate::pgrx;
use crate::postgres::parse_version;
use crate::recipes::{self, Recipe, Suite};
use crate::setup;
use crate::ui::Progress;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// The folder.
pub const FRAMEWORKS: Suite = Suite("frameworks");
/// That of drivers.
pub const CLIENTS: Suite = Suite("clients");

/// Run migration frameworks against a server, and compare what they leave in the history with what is expected
///
/// Each makes a table and switches it on, adds a column, an index, an index CONCURRENTLY where it can, and is refused a drop; psql
/// migrates in between. All of it once with the library preloaded and once without. What a framework needs is installed by apt, and
/// by pip and npm into target/frameworks.
#[derive(clap::Args)]
pub struct Options {
    /// The major version of PostgreSQL
    #[arg(long = "pg", value_name = "N", value_parser = parse_version, default_value_t = 15)]
    pg: u16,

    /// Those that `cargo xtask test` runs
    #[arg(long, conflicts_with = "names")]
    fast: bool,

    /// Only list them, with what each needs
    #[arg(long)]
    list: bool,

    /// Through the migrations proxy, with DDLX in the migrations
    #[arg(long)]
    proxy: bool,

    /// Use the extension that is installed, without building it
    #[arg(long)]
    installed: bool,

    /// Frameworks, by their folders in tests/frameworks [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Run database drivers through the migrations proxy, and compare what they see with what is expected
///
/// Each sends DDLX as plain SQL, alone and among other statements, prepared, in transactions that are rolled back and committed; copies
/// rows both ways; and reads notices, errors and their positions. What a driver needs is installed as for `cargo xtask frameworks`.
#[derive(clap::Args)]
pub struct ClientOptions {
    /// The major version of PostgreSQL
    #[arg(long = "pg", value_name = "N", value_parser = parse_version, default_value_t = 15)]
    pg: u16,

    /// Only list them, with what each needs
    #[arg(long)]
    list: bool,

    /// Use the extension that is installed, without building it
    #[arg(long)]
    installed: bool,

    /// Drivers, by their folders in tests/clients [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let host = Host::new()?;
    let chosen = if options.fast {
        FRAMEWORKS.fast(&host)?
    } else {
        FRAMEWORKS.chosen(&host, &options.names)?
    };
    if options.list {
        recipes::list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    let through_proxy: &[&str] = if options.proxy { &["--proxy"] } else { &[] };
    job(
        host,
        FRAMEWORKS,
        &chosen,
        options.pg,
        options.installed,
        through_proxy,
    )
}

/// Runs the job with drivers.
pub fn run_clients(options: &ClientOptions) -> Result<ExitCode> {
    let host = Host::new()?;
    let chosen = CLIENTS.chosen(&host, &options.names)?;
    if options.list {
        recipes::list(&chosen);
        return Ok(ExitCode::SUCCESS);
    }
    job(host, CLIENTS, &chosen, options.pg, options.installed, &[])
}

fn job(
    mut host: Host,
    suite: Suite,
    chosen: &[Recipe],
    version: u16,
    installed: bool,
    options: &[&str],
) -> Result<ExitCode> {
    let total = setup::steps(&host, &[version]) + 2;
    let mut progress = Progress::new(total, host.log(suite.0))?;
    let servers = setup::prepare(&mut host, &[version], &mut progress)?;
    let server = servers.first().context("no server was set up")?;
    progress.step("the extension");
    if installed {
        progress.say("as it is installed");
    } else {
        progress.run("building and installing", &mut pgrx::install(server, &host))?;
    }
    recipes::prepare(&mut host, chosen, &mut progress)?;
    println!();
    Ok(if suite.run(&host, server, chosen, options)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
