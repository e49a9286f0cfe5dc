//! `cargo xtask test`: every check, in order, with a table at the end.

use crate::core_regress::{self, Verdict};
use crate::frameworks::{CLIENTS, FRAMEWORKS};
use crate::host::{Host, SERVER_USER};
use crate::pgrx;
use crate::postgres::{self, Server, parse_version};
use crate::recipes::{self, Recipe};
use crate::setup;
use crate::ui::{self, Line, Outcome, Progress};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Run every check: formatting, lints, unit tests, tests inside servers, tests against servers
///
/// A failing step does not keep the others from running, except those that need it. The exit status is 0 if all passed.
#[derive(clap::Args)]
pub struct Options {
    /// A major version of PostgreSQL; may be repeated [default: 15 and 16]
    #[arg(long = "pg", value_name = "N", value_parser = parse_version)]
    pg: Vec<u16>,

    /// Run this kind of check alone; may be repeated
    #[arg(long, value_name = "KIND")]
    only: Vec<Kind>,

    /// Stop at the first step that fails
    #[arg(long)]
    fail_fast: bool,

    /// Run only the tests whose name contains this
    filter: Option<String>,
}

/// The kinds of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Kind {
    /// The formatting of the code
    Fmt,
    /// Lints, for each version
    Clippy,
    /// Tests of the crates, without a server
    Unit,
    /// Tests inside a server, for each version: `cargo pgrx test`
    Pgrx,
    /// Tests against real servers, for each version; installs the extension first
    E2e,
    /// Migration frameworks and database drivers, those in Python, and psql; installs the extension first
    Frameworks,
    /// PostgreSQL's own regression suite with and without the extension: `cargo xtask core-regress`
    Core,
}

/// A step: one line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Fmt,
    Clippy(u16),
    ClippyOthers,
    Unit,
    Pgrx(u16),
    Install(u16),
    E2e(u16),
    Frameworks(u16),
    Core(u16),
}

impl Step {
    fn title(self) -> String {
        match self {
            Self::Fmt => "formatting".into(),
            Self::Clippy(version) => format!("lints, extension for PostgreSQL {version}"),
            Self::ClippyOthers => "lints, other packages".into(),
            Self::Unit => "unit tests".into(),
            Self::Pgrx(version) => format!("tests inside PostgreSQL {version}"),
            Self::Install(version) => format!("installation into PostgreSQL {version}"),
            Self::E2e(version) => format!("end-to-end tests, PostgreSQL {version}"),
            Self::Frameworks(version) => format!("frameworks and drivers, PostgreSQL {version}"),
            Self::Core(version) => format!("PostgreSQL {version}'s own regression suite"),
        }
    }

    /// Without this step, does that one make no sense?
    fn is_needed_by(self, other: Self) -> bool {
        match (self, other) {
            // With two servers the tests replicate from one to the other.
            (Self::Install(_), Self::E2e(_)) => true,
            (Self::Install(installed), Self::Core(tested) | Self::Frameworks(tested)) => {
                installed == tested
            }
            _ => false,
        }
    }
}

/// The steps for these versions, in order; no kind means all.
fn plan(versions: &[u16], only: &[Kind]) -> Vec<Step> {
    let kinds: BTreeSet<Kind> = if only.is_empty() {
        Kind::value_variants().iter().copied().collect()
    } else {
        only.iter().copied().collect()
    };
    let each = |step: fn(u16) -> Step| versions.iter().copied().map(step);
    let mut steps = Vec::new();
    let install = |steps: &mut Vec<Step>, version| {
        if !steps.contains(&Step::Install(version)) {
            steps.push(Step::Install(version));
        }
    };
    for kind in kinds {
        match kind {
            Kind::Fmt => steps.push(Step::Fmt),
            Kind::Clippy => steps.extend(each(Step::Clippy).chain([Step::ClippyOthers])),
            Kind::Unit => steps.push(Step::Unit),
            Kind::Pgrx => steps.extend(each(Step::Pgrx)),
            Kind::E2e => steps.extend(each(Step::Install).chain(each(Step::E2e))),
            Kind::Frameworks => {
                if let Some(&version) = versions.first() {
                    install(&mut steps, version);
                    steps.push(Step::Frameworks(version));
                }
            }
            Kind::Core => {
                for version in versions
                    .iter()
                    .copied()
                    .filter(|it| *it == core_regress::VERSION)
                {
                    install(&mut steps, version);
                    steps.push(Step::Core(version));
                }
            }
        }
    }
    steps
}

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut host = Host::new()?;
    let versions = postgres::chosen(&options.pg);
    let steps = plan(&versions, &options.only);
    if steps.is_empty() {
        bail!(
            "there is nothing to run: PostgreSQL's own suite is run for version {}",
            core_regress::VERSION
        );
    }
    let begin = Instant::now();
    let (frameworks, clients) = if steps.iter().any(|step| matches!(step, Step::Frameworks(_))) {
        (FRAMEWORKS.fast(&host)?, CLIENTS.fast(&host)?)
    } else {
        Default::default()
    };
    let servers = if steps
        .iter()
        .all(|step| matches!(step, Step::Fmt | Step::Unit))
    {
        Vec::new()
    } else {
        let total = setup::steps(&host, &versions) + usize::from(!frameworks.is_empty());
        let mut progress = Progress::new(total, host.log("setup"))?;
        let servers = setup::prepare(&mut host, &versions, &mut progress)?;
        if !frameworks.is_empty() {
            let both: Vec<Recipe> = frameworks.iter().chain(&clients).cloned().collect();
            recipes::prepare(&mut host, &both, &mut progress)?;
        }
        servers
    };
    let bench = Bench {
        host: &host,
        servers: &servers,
        frameworks: &frameworks,
        clients: &clients,
        options,
    };
    let mut lines = vec![];
    let mut failed: Vec<Step> = vec![];
    for (index, &step) in steps.iter().enumerate() {
        let title = step.title();
        let blocked = failed.iter().find(|failed| failed.is_needed_by(step));
        if let Some(blocked) = blocked {
            let why = format!("needs: {}", blocked.title());
            lines.push(Line {
                title,
                outcome: Outcome::Skipped(why),
                time: Duration::ZERO,
            });
            continue;
        }
        if options.fail_fast && !failed.is_empty() {
            lines.push(Line {
                title,
                outcome: Outcome::Skipped("--fail-fast".into()),
                time: Duration::ZERO,
            });
            continue;
        }
        ui::heading(index + 1, steps.len(), &title);
        let start = Instant::now();
        let outcome = match bench.run(step) {
            Ok(outcome) => {
                if let Outcome::Skipped(why) = &outcome {
                    println!("SKIPPED: {why}");
                }
                outcome
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(step);
                Outcome::Failed
            }
        };
        lines.push(Line {
            title,
            outcome,
            time: start.elapsed(),
        });
    }
    ui::heading(
        steps.len(),
        steps.len(),
        &format!("summary, after {}", ui::seconds(begin.elapsed())),
    );
    println!("{}", ui::table(&lines));
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What steps are run with.
struct Bench<'a> {
    host: &'a Host,
    servers: &'a [Server],
    frameworks: &'a [Recipe],
    clients: &'a [Recipe],
    options: &'a Options,
}

impl Bench<'_> {
    fn run(&self, step: Step) -> Result<Outcome> {
        let done = match step {
            Step::Fmt => self.cargo(&["fmt", "--all", "--check"]),
            Step::Clippy(version) => {
                let features = format!("pg{version},pg_test");
                let package = [
                    "--package",
                    "electric",
                    "--no-default-features",
                    "--features",
                    &features,
                ];
                self.cargo(
                    &[
                        &["clippy", "--all-targets"],
                        &package[..],
                        &["--", "-D", "warnings"],
                    ]
                    .concat(),
                )
            }
            Step::ClippyOthers => self.cargo(&[
                "clippy",
                "--workspace",
                "--exclude",
                "electric",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ]),
            Step::Unit => {
                let mut command = self.cargo_test(&[
                    "--workspace",
                    "--exclude",
                    "electric",
                    "--exclude",
                    "electric_tests",
                ]);
                finish(command.args(&self.options.filter))
            }
            Step::Pgrx(version) => self.inside(self.server(version)?),
            Step::Install(version) => finish(&mut pgrx::install(self.server(version)?, self.host)),
            Step::E2e(version) => self.against(self.server(version)?),
            Step::Frameworks(version) => return self.frameworks(self.server(version)?),
            Step::Core(version) => return self.core(self.server(version)?),
        };
        done.map(|()| Outcome::Passed)
    }

    fn server(&self, version: u16) -> Result<&Server> {
        self.servers
            .iter()
            .find(|server| server.version == version)
            .context("this version was not set up")
    }

    fn cargo(&self, arguments: &[&str]) -> Result<()> {
        finish(&mut self.host.cargo(arguments))
    }

    fn cargo_test(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.cargo(["test"]);
        if !self.options.fail_fast {
            command.arg("--no-fail-fast");
        }
        command.args(arguments);
        command
    }

    /// Tests inside a server. One in a directory of the system's, or any of root's, is run by the user for servers.
    fn inside(&self, server: &Server) -> Result<()> {
        let filter = self.options.filter.as_deref();
        if !self.host.root && server.is_writable() {
            return finish(&mut pgrx::test(server, None, filter, self.host));
        }
        let data = DataDirectory::new(self.host, server)?;
        finish(&mut pgrx::test(server, Some(&data.path), filter, self.host))
    }

    /// Tests against servers that they start themselves: of this version, and of another one to replicate to.
    fn against(&self, server: &Server) -> Result<()> {
        for server in self.servers {
            finish(&mut pgrx::install_released(server, self.host))?;
        }
        let mut command = self.cargo_test(&["--package", "electric_tests"]);
        command
            .env("ELECTRIC_PG_CONFIG", &server.pg_config)
            .env_remove("ELECTRIC_OTHER_PG_CONFIG");
        if let Some(other) = self
            .servers
            .iter()
            .find(|other| other.version != server.version)
        {
            command.env("ELECTRIC_OTHER_PG_CONFIG", &other.pg_config);
        }
        finish(command.args(&self.options.filter))
    }

    /// Migration frameworks, each as its users run it, and drivers through the proxy.
    fn frameworks(&self, server: &Server) -> Result<Outcome> {
        if self.options.filter.is_some() {
            return Ok(Outcome::Skipped(
                "they run as a whole; only some tests were asked for".into(),
            ));
        }
        if !FRAMEWORKS.run(self.host, server, self.frameworks, &[])? {
            bail!("a framework gave another result; see above");
        }
        println!();
        if !CLIENTS.run(self.host, server, self.clients, &[])? {
            bail!("a driver gave another result; see above");
        }
        Ok(Outcome::Passed)
    }

    /// PostgreSQL's own suite, where its source can be had.
    fn core(&self, server: &Server) -> Result<Outcome> {
        if self.options.filter.is_some() {
            return Ok(Outcome::Skipped(
                "it runs as a whole; only some tests were asked for".into(),
            ));
        }
        match core_regress::check(self.host, server)? {
            Verdict::Same => Ok(Outcome::Passed),
            Verdict::Different => bail!("results differ with the extension; see above"),
            Verdict::Missing(what) => Ok(Outcome::Skipped(format!("missing is {what}"))),
        }
    }
}

/// Runs a command in the open, and fails if it does.
fn finish(command: &mut Command) -> Result<()> {
    println!("$ {}", ui::shown(command));
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", ui::shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", ui::shown(command));
    }
    Ok(())
}

/// A fresh directory of the user for servers, removed in the end, and with it a server that was left running there.
struct DataDirectory<'a> {
    path: PathBuf,
    host: &'a Host,
    server: &'a Server,
}

impl<'a> DataDirectory<'a> {
    fn new(host: &'a Host, server: &'a Server) -> Result<Self> {
        // Short, since the server's socket lives there too, and not in $TMPDIR, which may be private to us. Open to us, since pgrx
        // starts its programs from there; the data itself lies in a private directory inside.
        let script = "directory=$(mktemp -d /tmp/electric-XXXXXX) && chmod 755 \"$directory\" && echo \"$directory\"";
        let output = host
            .as_server_user("sh")
            .args(["-c", script])
            .output()
            .context("cannot run sudo")?;
        if !output.status.success() {
            bail!(
                "cannot make a directory as {SERVER_USER}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(Self { path, host, server })
    }
}

impl Drop for DataDirectory<'_> {
    fn drop(&mut self) {
        let script = "for data in \"$1\"/*/; do \"$2\" stop -s -D \"$data\" -m immediate; done 2>/dev/null; rm -rf \"$1\"";
        let mut command = self.host.as_server_user("sh");
        command
            .args(["-c", script, "sh"])
            .arg(&self.path)
            .arg(self.server.bindir.join("pg_ctl"));
        if !command.status().is_ok_and(|status| status.success()) {
            eprintln!("{} could not be removed", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_run_in_order() {
        use Step::*;
        let all = plan(&[15, 16], &[]);
        assert_eq!(
            all,
            [
                Fmt,
                Clippy(15),
                Clippy(16),
                ClippyOthers,
                Unit,
                Pgrx(15),
                Pgrx(16),
                Install(15),
                Install(16),
                E2e(15),
                E2e(16),
                Frameworks(15),
                Core(15)
            ]
        );
    }

    #[test]
    fn only_what_is_asked_for_is_run() {
        assert_eq!(
            plan(&[18], &[Kind::E2e, Kind::Fmt, Kind::E2e]),
            [Step::Fmt, Step::Install(18), Step::E2e(18)]
        );
        assert_eq!(plan(&[15], &[Kind::Unit]), [Step::Unit]);
        assert_eq!(
            plan(&[15, 16], &[Kind::Core]),
            [Step::Install(15), Step::Core(15)]
        );
        assert_eq!(plan(&[16], &[Kind::Core]), []);
    }

    #[test]
    fn end_to_end_tests_need_the_installations() {
        assert!(Step::Install(16).is_needed_by(Step::E2e(15)));
        assert!(!Step::Pgrx(15).is_needed_by(Step::E2e(15)));
        assert!(Step::Install(15).is_needed_by(Step::Core(15)));
    }
}
