//! The jobs of this repository, as `cargo xtask JOB`.

#![forbid(unsafe_code)]

mod bench;
mod core_regress;
mod demo;
mod frameworks;
mod host;
mod pgrx;
#[path = "../../tests/src/port.rs"]
mod port;
mod postgres;
mod recipes;
mod setup;
mod test;
mod ui;
mod wheel;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Sets a machine up for Electric for Postgres, runs its checks, shows its demo.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

const AFTER_HELP: &str = "\
Every job first installs what it needs and the machine lacks: on Debian and Ubuntu by apt, pip and
cargo, as root or through sudo. What is there already is used as it is.

A server of your own is used when you name its pg_config:
    ELECTRIC_PG15_CONFIG=/path/to/pg_config cargo xtask test --pg 15
or when pgrx knows it already (`cargo pgrx init --pg15 /path/to/pg_config`).";

#[derive(Subcommand)]
enum Job {
    Setup(setup::Options),
    Test(test::Options),
    Demo(demo::Options),
    Bench(bench::Options),
    CoreRegress(core_regress::Options),
    Frameworks(frameworks::Options),
    Clients(frameworks::ClientOptions),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.job {
        Job::Setup(options) => setup::run(&options),
        Job::Test(options) => test::run(&options),
        Job::Demo(options) => demo::run(&options),
        Job::Bench(options) => bench::run(&options),
        Job::CoreRegress(options) => core_regress::run(&options),
        Job::Frameworks(options) => frameworks::run(&options),
        Job::Clients(options) => frameworks::run_clients(&options),
    }
}
