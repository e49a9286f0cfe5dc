//! `cargo xtask bench`: sets a machine up, installs a release build, measures it.

use crate::host::Host;
use crate::pgrx;
use crate::postgres::{self, Server, parse_version};
use crate::setup;
use crate::ui::{self, Progress};
use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

/// Measure what the extension costs, beside a stock server and others of its kind
///
/// Servers are made in memory for it, with their backends and the client on one core, and go with it. What is compared runs in
/// turns, within milliseconds of each other, so that a machine that is busy with other things too disturbs all alike;
/// what counts is the time of the backend on its core, and the ratio to a stock server in the same round. The table is
/// printed and written to target/bench/performance.md, with a plot per workload beside it. It takes about half an hour.
///
/// The release build of the extension replaces what is installed.
#[derive(clap::Args)]
pub struct Options {
    /// The major version of PostgreSQL
    #[arg(long = "pg", value_name = "N", value_parser = parse_version, default_value_t = postgres::DEFAULT_VERSIONS[0])]
    pg: u16,

    /// Run this workload alone; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,

    /// How often everything is measured
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// Fewer rounds, smaller servers: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,

    /// Say which workloads there are, and measure nothing
    #[arg(long)]
    list: bool,

    /// Measure the extension that is installed, without building it
    #[arg(long)]
    installed: bool,
}

/// Peers, where apt has them: the packages of Debian's servers.
const PEERS: [&str; 3] = ["pgaudit", "pglogical", "pgl-ddl-deploy"];

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut host = Host::new()?;
    if options.list {
        return exit_code(host.cargo(BENCH).args(["--", "--list"]));
    }
    let log = host.log("bench");
    let mut progress = Progress::new(setup::steps(&host, &[0]) + 3, log)?;
    let servers = setup::prepare(&mut host, &[options.pg], &mut progress)?;
    let server = servers.first().context("no server was set up")?;
    progress.step("the extension");
    if !options.installed {
        let mut install = pgrx::install(server, &host);
        progress.run("building and installing", install.arg("--release"))?;
    } else if server.extensions.join("electric.control").is_file() {
        progress.say("as it is installed");
    } else {
        bail!(
            "it is not installed: no {}/electric.control",
            server.extensions.display()
        );
    }
    progress.step("others of its kind");
    install_peers(server, &mut host, &progress)?;
    progress.step("what measures");
    progress.run("building", host.cargo(["build"]).args(&BENCH[1..]))?;
    // What it measures is built beside it.
    let mut proxy = host.cargo(["build", "--release", "--package", "electric_cli"]);
    progress.run("building the proxy", &mut proxy)?;
    println!();
    let mut bench = host.cargo(BENCH);
    bench.env("ELECTRIC_PG_CONFIG", &server.pg_config);
    bench.arg("--").arg("--out").arg(host.target.join("bench"));
    for workload in &options.only {
        bench.args(["--only", workload]);
    }
    if let Some(rounds) = options.rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    bench.args(options.quick.then_some("--quick"));
    let measured = exit_code(&mut bench)?;
    if measured != ExitCode::SUCCESS || !options.only.is_empty() {
        return Ok(measured);
    }
    println!("\nThe pure crates, by criterion:\n");
    let mut crates = host.cargo(["bench", "--quiet", "--package", "electric_bench"]);
    crates.args(["--bench", "crates", "--", "--warm-up-time", "0.5"]);
    crates.args(["--measurement-time", "1"]);
    exit_code(&mut crates)
}

/// What runs the measurements.
const BENCH: [&str; 5] = ["run", "--quiet", "--release", "--package", "electric_bench"];

/// Installs those peers that apt has for this server; what is missing is left out of the table, which says so.
fn install_peers(server: &Server, host: &mut Host, progress: &Progress) -> Result<()> {
    let mut packages = Vec::new();
    for peer in PEERS {
        let package = format!("postgresql-{}-{peer}", server.version);
        let library = server.libdir.join(format!("{}.so", peer.replace('-', "_")));
        if !library.is_file() && host.apt_offers(&package, progress)? {
            packages.push(package);
        }
    }
    if host.has_apt() && !host.is_installed("pgbouncer") {
        packages.push("pgbouncer".to_owned());
    }
    if packages.is_empty() {
        progress.say("nothing to install");
        return Ok(());
    }
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    host.apt_install(&packages, progress)
}

fn exit_code(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", ui::shown(command)))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
