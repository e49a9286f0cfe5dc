//! `cargo xtask bench`: what Electric costs, beside a stock server and others of its kind.
#![forbid(unsafe_code)]

mod clock;
mod gateways;
mod plot;
mod report;
mod statements;
mod statistics;
mod subject;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use electric_tests::cluster;
use statements::{Rounds, WORKLOADS, Workload};
use subject::{Server, Sizes, Subject, thousands};
use tasks::{Servers, TASKS, Task};

/// Measures what Electric costs; `cargo xtask bench` builds and installs what this needs, and runs it.
#[derive(Parser)]
struct Options {
    /// Run this workload alone; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,

    /// How often everything is measured
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,

    /// Fewer rounds, smaller servers: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,

    /// Say which workloads there are
    #[arg(long)]
    list: bool,

    /// Where the plots and the table in Markdown go
    #[arg(long, value_name = "DIRECTORY", default_value = "target/bench")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if options.list {
        for Workload { name, title, .. } in &WORKLOADS {
            println!("{name:<14} {title}");
        }
        for Task { name, title, .. } in &TASKS {
            println!("{name:<14} {}", title(Sizes::WHOLE));
        }
        return Ok(());
    }
    let (workloads, tasks) = chosen(&options.only)?;
    let rounds = options.rounds.unwrap_or(if options.quick { 5 } else { 15 });
    let sizes = if options.quick {
        Sizes::QUICK
    } else {
        Sizes::WHOLE
    };
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make {}", options.out.display()))?;
    let mut report = report::Report::new(&options.out, sizes, rounds)?;
    measure_statements(&workloads, rounds, sizes, &mut report)?;
    measure_tasks(&tasks, rounds, sizes, &mut report)?;
    report.finish()
}

fn chosen(only: &[String]) -> Result<(Vec<&'static Workload>, Vec<&'static Task>)> {
    let names = || {
        let workloads = WORKLOADS.iter().map(|workload| workload.name);
        workloads.chain(TASKS.iter().map(|task| task.name))
    };
    for name in only {
        if !names().any(|known| known == name) {
            let names: Vec<&str> = names().collect();
            bail!(
                "there is no workload {name:?}; there are: {}",
                names.join(", ")
            );
        }
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|n| n == name);
    let workloads = WORKLOADS.iter().filter(|workload| wanted(workload.name));
    let tasks = TASKS.iter().filter(|task| wanted(task.name));
    Ok((workloads.collect(), tasks.collect()))
}

/// Things that are done as a whole take long: a third of the rounds is for them.
fn measure_tasks(
    tasks: &[&'static Task],
    rounds: usize,
    sizes: Sizes,
    report: &mut report::Report,
) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let servers = Servers::make(sizes)?;
    for task in tasks {
        let begin = Instant::now();
        if task.name.starts_with("proxy") && gateways::pgbouncer().is_none() {
            report.missing("pgbouncer");
            println!("pgbouncer is not installed, and {} is left out", task.name);
            continue;
        }
        let mut sides = vec![Vec::new(); task.sides.len()];
        for _ in 0..rounds.div_ceil(3) {
            let measured = (task.round)(&servers).with_context(|| task.name)?;
            sides
                .iter_mut()
                .zip(measured)
                .for_each(|(side, measured)| side.push(measured));
        }
        report.task(task, &sides)?;
        println!("{} ({:.1} s)", task.name, begin.elapsed().as_secs_f64());
    }
    Ok(())
}

fn measure_statements(
    workloads: &[&'static Workload],
    rounds: usize,
    sizes: Sizes,
    report: &mut report::Report,
) -> Result<()> {
    if workloads.is_empty() {
        return Ok(());
    }
    let libraries = libraries()?;
    let wanted: BTreeSet<Subject> = workloads
        .iter()
        .flat_map(|workload| workload.subjects())
        .collect();
    let mut servers = Vec::new();
    for subject in wanted {
        let name = subject.name(sizes);
        if !Server::is_possible(subject.kind, &libraries) {
            report.missing(&name);
            println!("{name} is not installed and is left out");
            continue;
        }
        let begin = Instant::now();
        servers.push(Server::make(subject, sizes)?);
        println!("server: {name} ({:.1} s)", begin.elapsed().as_secs_f64());
    }
    if let Some(first) = servers.first() {
        report.server(first)?;
    }
    let mut results: BTreeMap<&str, Rounds> = BTreeMap::new();
    for round in 0..rounds {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let restarts: Vec<_> = servers
                .iter()
                .map(|server| scope.spawn(|| server.restart()))
                .collect();
            restarts.into_iter().try_for_each(|restart| {
                restart
                    .join()
                    .unwrap_or_else(|_| bail!("a restart panicked"))
            })
        })?;
        for workload in workloads {
            let subjects = workload.subjects();
            let taking_part: Vec<&Server> = servers
                .iter()
                .filter(|server| subjects.contains(&server.subject))
                .collect();
            let results = results.entry(workload.name).or_default();
            workload.round(round, &taking_part, results)?;
        }
        println!(
            "round {}/{} ({:.1} s)",
            round + 1,
            thousands(rounds),
            begin.elapsed().as_secs_f64()
        );
    }
    for workload in workloads {
        if let Some(rounds) = results.get(workload.name) {
            report.statements(workload, rounds)?;
        }
    }
    Ok(())
}

/// Where the server looks for libraries.
fn libraries() -> Result<PathBuf> {
    let output = std::process::Command::new(cluster::pg_config()?)
        .arg("--pkglibdir")
        .output()?;
    Ok(Path::new(String::from_utf8(output.stdout)?.trim()).to_owned())
}
