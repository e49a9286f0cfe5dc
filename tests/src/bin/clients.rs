//! Runs database drivers through the migrations proxy, and compares what they see with what is expected.
//!
//! `clients --tools DIRECTORY [NAME…]`; `cargo xtask clients` installs the tools there and calls this. Each folder of
//! `tests/clients` with a file `run` is a driver. It prints a line for each thing that it was asked to do, as in the file
//! `expected`; what it cannot do by what it is stands in its `run` behind `# Cannot:`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use electric_tests::cluster::Cluster;
use electric_tests::database::{text, words};
use electric_tests::proxy::{PASSWORD, Proxy};
use electric_tests::recipes::{self, Recipe, Wanted};

fn main() -> ExitCode {
    recipes::main(run)
}

fn run(wanted: &Wanted) -> Result<bool> {
    let tools = &wanted.tools;
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/expected");
    let expected = fs::read_to_string(expected)?;
    let cluster = Cluster::builder().start()?;
    let proxy = Proxy::before(&cluster);
    println!("{:<18} {:<28} {:>6}  result", "driver", "version", "time");
    let mut good = true;
    for recipe in Recipe::all("clients", &wanted.names)? {
        let begin = Instant::now();
        let version = recipe.version(tools).unwrap_or_default();
        let result = check(&recipe, &cluster, &proxy, tools, &expected);
        let shown = match &result {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("FAILED  {error:#}"),
        };
        let time = format!("{:.1} s", begin.elapsed().as_secs_f32());
        println!("{:<18} {version:<28} {time:>6}  {shown}", recipe.name);
        good &= result.is_ok();
    }
    Ok(good)
}

fn check(
    recipe: &Recipe,
    cluster: &Cluster,
    proxy: &Proxy,
    tools: &Path,
    expected: &str,
) -> Result<()> {
    let database = cluster.database();
    let mut command = recipe.command(tools);
    command.arg("run");
    let role = ("postgres", PASSWORD);
    recipes::connect(&mut command, proxy.port(), role, database.name());
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it failed:\n{said}{errors}");
    let cannot = cannot(&recipe.directory.join("run"))?;
    let wanted: Vec<&str> = expected
        .lines()
        .filter(|line| {
            !cannot
                .iter()
                .any(|word| line.starts_with(&format!("{word}: ")))
        })
        .collect();
    let said: Vec<&str> = said.lines().collect();
    if said != wanted {
        bail!(
            "it says\n{}\ninstead of\n{}\n{errors}",
            said.join("\n"),
            wanted.join("\n")
        );
    }
    // And the server has seen what they say.
    let commands = database.commands();
    let done = words(&commands);
    ensure!(
        done == [("create_table", "public.items"), ("grant", "public.items")],
        "the history is {done:?}"
    );
    let drift = text(
        &mut database.client(),
        "SELECT count(*)::text FROM electric.drift()",
    );
    ensure!(drift == "0", "there is drift");
    Ok(())
}

/// What the driver cannot do.
fn cannot(run: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(run)?;
    let line = text.lines().find_map(|line| line.strip_prefix("# Cannot:"));
    let words = line.unwrap_or_default().split_whitespace();
    Ok(words.map(str::to_owned).collect())
}
