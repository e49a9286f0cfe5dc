//! `cargo xtask frameworks`: migration frameworks, run for real against real servers.
//!
//! What a framework needs stands in its `run`, under `tests/frameworks`: directories of `tests/frameworks/tools`, which pip and
//! npm fill, and packages of apt's. Those in Rust are projects of their own, which `run` builds.

use crate::host::{Host, has};
use crate::pgrx;
use crate::postgres::{Server, parse_version};
use crate::setup;
use crate::ui::{self, Progress};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where the frameworks' migrations are.
const FRAMEWORKS: &str = "tests/frameworks";
/// In front of what a `run` needs.
const NEEDS: &str = "# Needs:";
/// What `cargo xtask test` runs: frameworks that need nothing else.
const FAST: &str = "python";

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

/// A framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framework {
    name: String,
    needs: Vec<String>,
}

impl Framework {
    fn is_fast(&self) -> bool {
        self.needs == [FAST]
    }
}

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut host = Host::new()?;
    let all = all(&host)?;
    let chosen = choose(&all, options)?;
    if options.list {
        for framework in &chosen {
            println!("{:<18} {}", framework.name, framework.needs.join(" "));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let total = setup::steps(&host, &[options.pg]) + 2;
    let mut progress = Progress::new(total, host.log("frameworks"))?;
    let servers = setup::prepare(&mut host, &[options.pg], &mut progress)?;
    let server = servers.first().context("no server was set up")?;
    progress.step("the extension");
    if options.installed {
        progress.say("as it is installed");
    } else {
        progress.run("building and installing", &mut pgrx::install(server, &host))?;
    }
    prepare(&mut host, &chosen, &mut progress)?;
    println!();
    Ok(if runs(&host, server, &chosen, options.proxy)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Those that are a step of `cargo xtask test`.
pub fn fast(host: &Host) -> Result<Vec<Framework>> {
    let all = all(host)?;
    Ok(all.into_iter().filter(Framework::is_fast).collect())
}

/// Runs them against a server with the extension that is installed; whether all went well.
pub fn runs(
    host: &Host,
    server: &Server,
    frameworks: &[Framework],
    through_proxy: bool,
) -> Result<bool> {
    let names = frameworks.iter().map(|framework| framework.name.as_str());
    let mut command = host.cargo([
        "run",
        "--quiet",
        "--package",
        "electric_tests",
        "--bin",
        "frameworks",
        "--",
        "--tools",
    ]);
    command
        .arg(tools(host))
        .args(through_proxy.then_some("--proxy"))
        .args(names)
        .env("ELECTRIC_PG_CONFIG", &server.pg_config);
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", ui::shown(&command)))?;
    Ok(status.success())
}

fn tools(host: &Host) -> PathBuf {
    host.target.join("frameworks")
}

fn all(host: &Host) -> Result<Vec<Framework>> {
    let root = host.workspace.join(FRAMEWORKS);
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).with_context(|| format!("{}", root.display()))? {
        let directory = entry?.path();
        let Ok(text) = fs::read_to_string(directory.join("run")) else {
            continue;
        };
        let name = directory.file_name().unwrap_or_default();
        found.push(Framework {
            name: name.to_string_lossy().into_owned(),
            needs: needs(&text),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn needs(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(NEEDS));
    let words = line.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

fn choose(all: &[Framework], options: &Options) -> Result<Vec<Framework>> {
    if let Some(unknown) = options
        .names
        .iter()
        .find(|name| all.iter().all(|framework| framework.name != **name))
    {
        let names: Vec<&str> = all.iter().map(|f| f.name.as_str()).collect();
        bail!(
            "there is no framework \"{unknown}\"; there are {}",
            names.join(", ")
        );
    }
    let is_chosen = |framework: &&Framework| {
        if options.fast {
            framework.is_fast()
        } else {
            options.names.is_empty() || options.names.contains(&framework.name)
        }
    };
    Ok(all.iter().filter(is_chosen).cloned().collect())
}

/// Installs what the frameworks need.
pub fn prepare(host: &mut Host, frameworks: &[Framework], progress: &mut Progress) -> Result<()> {
    progress.step("what the frameworks need");
    fs::create_dir_all(tools(host))?;
    let mut needs: Vec<&str> = frameworks
        .iter()
        .flat_map(|framework| framework.needs.iter().map(String::as_str))
        .collect();
    needs.sort_unstable();
    needs.dedup();
    let source = |need: &str| host.workspace.join(FRAMEWORKS).join("tools").join(need);
    let (sets, packages): (Vec<&str>, Vec<&str>) =
        needs.into_iter().partition(|need| source(need).is_dir());
    let sets: Vec<(PathBuf, PathBuf)> = sets
        .into_iter()
        .map(|set| (source(set), tools(host).join(set)))
        .collect();
    ensure_packages(host, &packages, progress)?;
    for (from, to) in sets {
        if is_filled(&from, &to) {
            continue;
        }
        if from.join("package.json").is_file() {
            by_npm(host, &from, &to, progress)?;
        } else {
            by_pip(host, &from, &to, progress)?;
        }
        // Last, so that half of it is never taken for the whole.
        copy(&from, &to)?;
    }
    progress.say("found");
    Ok(())
}

fn ensure_packages(host: &mut Host, packages: &[&str], progress: &Progress) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !host.is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if host.has_apt() {
        return host.apt_install(&missing, progress);
    }
    // Elsewhere their names are others, and a run without them says what it lacks.
    progress.say(format_args!(
        "{} has no apt; hopefully there is what these stand for: {}",
        host.system.name,
        missing.join(", ")
    ));
    Ok(())
}

fn by_npm(host: &mut Host, from: &Path, to: &Path, progress: &Progress) -> Result<()> {
    if !has("npm") {
        host.apt_install(&["nodejs", "npm"], progress)?;
    }
    renew(to)?;
    fs::copy(from.join("package.json"), to.join("package.json"))?;
    let mut npm = host.command("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(to);
    progress.run("installing Node.js frameworks by npm", npm.current_dir(to))
}

fn by_pip(host: &mut Host, from: &Path, to: &Path, progress: &Progress) -> Result<()> {
    let venv = |host: &Host| {
        let mut python = host.command("python3");
        python.args(["-m", "venv", "--clear"]).arg(to);
        python
    };
    renew(to)?;
    if host.has_apt() && !host.is_installed("python3-venv") {
        host.apt_install(&["python3-venv"], progress)?;
    }
    progress.run("making an environment for Python", &mut venv(host))?;
    let mut pip: Command = host.command(to.join("bin/pip"));
    pip.args(["install", "--disable-pip-version-check", "--requirement"])
        .arg(from.join("requirements.txt"));
    progress.run("installing Python frameworks by pip", &mut pip)
}

/// Whether everything in a directory is in the other, as it is.
fn is_filled(from: &Path, to: &Path) -> bool {
    let Ok(files) = fs::read_dir(from) else {
        return false;
    };
    files.flatten().all(|file| {
        let there = fs::read(to.join(".made-from").join(file.file_name()));
        fs::read(file.path()).is_ok_and(|here| there.is_ok_and(|there| here == there))
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let kept = to.join(".made-from");
    fs::create_dir_all(&kept)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        for target in [to, &kept] {
            fs::copy(file.path(), target.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn renew(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_needs_is_read() {
        assert_eq!(needs("# Knex.\n# Needs: node\nexec knex"), ["node"]);
        assert_eq!(
            needs("# Needs:  node  default-jre-headless"),
            ["node", "default-jre-headless"]
        );
        assert_eq!(needs("exec x"), Vec::<String>::new());
    }

    #[test]
    fn every_framework_says_what_it_needs() {
        let host = Host::new().unwrap();
        for framework in all(&host).unwrap() {
            assert!(!framework.needs.is_empty(), "{}", framework.name);
        }
        assert!(!fast(&host).unwrap().is_empty());
    }
}
