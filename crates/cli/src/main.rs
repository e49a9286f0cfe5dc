//! The program `electric`.
#![forbid(unsafe_code)]

mod proxy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Electric for Postgres: schema migrations that travel with the rows
#[derive(Parser)]
#[command(name = "electric", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Proxy(proxy::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Proxy(options) => proxy::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
