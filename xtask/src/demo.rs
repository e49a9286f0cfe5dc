//! `cargo xtask demo`: sets a machine up, installs the extension, shows what it does.

use crate::host::Host;
use crate::pgrx;
use crate::postgres::{self, parse_version};
use crate::setup;
use crate::ui::{self, Progress};
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Show the extension at work: tables migrated five ways, followed live by SQLite
///
/// Starts a server of its own in a temporary directory and stops it in the end. The extension is installed into the PostgreSQL it
/// uses; other servers of that installation stay as they are.
#[derive(clap::Args)]
pub struct Options {
    /// The major version of PostgreSQL [default: 15, or 16 where this system has no 15]
    #[arg(long = "pg", value_name = "N", value_parser = parse_version)]
    pg: Option<u16>,
}

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut host = Host::new()?;
    let log = host.log("demo");
    let mut progress = Progress::new(setup::steps(&host, &[0]) + 2, log)?;
    let version = match options.pg {
        Some(version) => version,
        None => default_version(&mut host, &progress)?,
    };
    let servers = setup::prepare(&mut host, &[version], &mut progress)?;
    let server = servers.first().context("no server was set up")?;
    progress.step("the extension");
    progress.run("building and installing", &mut pgrx::install(server, &host))?;
    progress.step("the demo");
    progress.run(
        "building",
        &mut host.cargo(["build", "--package", "electric_tests", "--bin", "demo"]),
    )?;
    println!();
    let mut demo = host.cargo([
        "run",
        "--quiet",
        "--package",
        "electric_tests",
        "--bin",
        "demo",
    ]);
    demo.env("ELECTRIC_PG_CONFIG", &server.pg_config);
    let status = demo
        .status()
        .with_context(|| format!("cannot run {}", ui::shown(&demo)))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The first of the default versions that this machine has or can be given.
fn default_version(host: &mut Host, progress: &Progress) -> Result<u16> {
    let known = pgrx::Config::read(host)?;
    for version in postgres::DEFAULT_VERSIONS {
        if postgres::obtainable(version, host, &known, progress)? {
            return Ok(version);
        }
    }
    Ok(postgres::DEFAULT_VERSIONS[0])
}
