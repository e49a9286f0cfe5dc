//! `cargo xtask core-regress`: PostgreSQL's own regression suite gives the same results with the extension as without.
//!
//! Compared are two runs against the same server, not a run with what the suite's authors expect: that also depends on the
//! system. Which differences there may be, and why, is in `tests/core_regress/differences.md`.

mod apt;
mod compare;
mod explained;
mod server;
mod sources;
mod variants;

use crate::host::Host;
use crate::pgrx;
use crate::postgres::{Server, parse_version};
use crate::setup;
use crate::ui::Progress;
use anyhow::{Context, Result, bail};
use compare::Difference;
use explained::Entry;
use server::Workshop;
use sources::{Found, Sources};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use variants::{Access, Library, Order, Variant, variants};

/// The version whose suite is run by default.
pub const VERSION: u16 = 15;
/// Where the differences are explained.
const EXPLANATIONS: &str = "tests/core_regress/differences.md";

/// Run PostgreSQL's own regression suite with and without the extension, and compare the results
///
/// Each run has a fresh server in a temporary directory, which goes with it. With the extension means: preloaded, and created in the
/// database of the tests; once with nothing electrified, and once with the tables of tests/core_regress/electrified.sql. With --proxy
/// the suite is also run through the migrations proxy.
/// Results, logs and differences are kept in target/xtask/core-regress.
#[derive(clap::Args)]
pub struct Options {
    /// The major version of PostgreSQL
    #[arg(long = "pg", value_name = "N", value_parser = parse_version, default_value_t = VERSION)]
    pg: u16,

    /// Preload these libraries too, with and without the extension, and create their extensions
    #[arg(long, value_name = "LIBRARIES", value_delimiter = ',')]
    with: Vec<Library>,

    /// Preload them before or after the extension [default: both, one after the other]
    #[arg(long, requires = "with")]
    order: Option<Order>,

    /// Only with tables electrified, which other libraries are always tried with
    #[arg(long)]
    electrified: bool,

    /// Compare the migrations proxy with a direct connection, both with the extension and with tables electrified
    #[arg(long, conflicts_with_all = ["with", "electrified"])]
    proxy: bool,

    /// A source tree of PostgreSQL, instead of the source package that apt has
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,

    /// Use the extension that is installed, without building it
    #[arg(long)]
    installed: bool,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No difference that is not explained.
    Same,
    /// Some; they are in the output.
    Different,
    /// It could not be run, for this reason.
    Missing(String),
}

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut host = Host::new()?;
    let (baseline, others) = if options.proxy {
        variants::proxied()
    } else {
        variants(&options.with, options.order, options.electrified)
    };
    let total = setup::steps(&host, &[options.pg]) + 2 + steps(&others);
    let mut progress = Progress::new(total, host.log("core-regress"))?;
    let servers = setup::prepare(&mut host, &[options.pg], &mut progress)?;
    let server = servers.first().context("no server was set up")?;
    progress.step("the extension");
    if options.installed {
        if !server.extensions.join("electric.control").is_file() {
            bail!(
                "it is not installed: no {}/electric.control",
                server.extensions.display()
            );
        }
        progress.say("as it is installed");
    } else {
        progress.run("building and installing", &mut pgrx::install(server, &host))?;
    }
    progress.step("other libraries");
    for &library in &options.with {
        ensure(library, server, &mut host, &progress)?;
    }
    let verdict = compare_runs(
        &host,
        server,
        &baseline,
        &others,
        options.source.as_deref(),
        &mut progress,
    )?;
    match verdict {
        Verdict::Same => Ok(ExitCode::SUCCESS),
        Verdict::Different => Ok(ExitCode::FAILURE),
        Verdict::Missing(what) => bail!(
            "the suite cannot be run. Missing is {what}\n(--source DIR takes a source tree of PostgreSQL that you have)"
        ),
    }
}

/// The suite as a step of `cargo xtask test`, with the extension that is installed.
pub fn check(host: &Host, server: &Server) -> Result<Verdict> {
    let (baseline, others) = variants(&[], None, false);
    let mut progress = Progress::new(steps(&others), host.log("core-regress"))?;
    compare_runs(host, server, &baseline, &others, None, &mut progress)
}

fn ensure(library: Library, server: &Server, host: &mut Host, progress: &Progress) -> Result<()> {
    let file = server.libdir.join(format!("{}.so", library.name()));
    if !file.is_file() && host.has_apt() {
        host.apt_install(&[&library.package(server.version)], progress)?;
    }
    if !file.is_file() {
        bail!(
            "this PostgreSQL has no library {}: no {}; please install it, then run this again",
            library.name(),
            file.display()
        );
    }
    progress.say(format_args!("found {}", library.name()));
    Ok(())
}

/// How many steps `compare_runs` takes.
fn steps(others: &[Variant]) -> usize {
    2 + others.len()
}

fn compare_runs(
    host: &Host,
    server: &Server,
    baseline: &Variant,
    others: &[Variant],
    tree: Option<&Path>,
    progress: &mut Progress,
) -> Result<Verdict> {
    // They are about servers without the extension.
    let entries = if baseline.access == Access::Socket {
        fs::read_to_string(host.workspace.join(EXPLANATIONS))
            .map_err(anyhow::Error::from)
            .and_then(|text| explained::parse(&text))
            .with_context(|| format!("cannot use {EXPLANATIONS}"))?
    } else {
        Vec::new()
    };
    progress.step("PostgreSQL's tests");
    let sources = match sources::find(host, server, tree, progress)? {
        Found::Sources(sources) => sources,
        Found::Missing(what) => return Ok(Verdict::Missing(what)),
    };
    let bench = Bench {
        host,
        workshop: Workshop::new(host, server)?,
        tests: compare::scheduled(&fs::read_to_string(
            sources.regress.join("parallel_schedule"),
        )?),
        directory: host
            .target
            .join(format!("xtask/core-regress/{}", server.version)),
        sources,
        entries,
    };
    progress.step(&baseline.name);
    let expected = bench.run(baseline, &baseline.name, progress)?;
    let unexpected = bench.usable(&expected)?;
    println!(
        "\nPostgreSQL {}, {} tests; {} of them differ from expected/ in the run that is compared with: {}",
        sources::version_of(server)?,
        bench.tests.len(),
        unexpected.len(),
        listed(&unexpected)
    );
    if let Some(note) = &bench.sources.note {
        println!("note: {note}");
    }
    let mut verdict = Verdict::Same;
    for other in others {
        progress.step(&other.name);
        let results = bench.run(other, &other.name, progress)?;
        if !bench.judge(baseline, &expected, &other.name, &results, progress)? {
            verdict = Verdict::Different;
        }
    }
    Ok(verdict)
}

/// What runs are made and compared with.
struct Bench<'a> {
    host: &'a Host,
    workshop: Workshop<'a>,
    sources: Sources,
    tests: Vec<String>,
    entries: Vec<Entry>,
    directory: PathBuf,
}

impl Bench<'_> {
    /// Runs the suite, and gives back the directory of its results.
    fn run(&self, variant: &Variant, name: &str, progress: &Progress) -> Result<PathBuf> {
        let to = self.directory.join(name);
        self.workshop.run(&self.sources, variant, &to, progress)?;
        Ok(to.join("results"))
    }

    /// Results that are equal because nothing ran as it should say nothing. Gives back the few tests that did not.
    fn usable(&self, results: &Path) -> Result<Vec<String>> {
        let unexpected =
            compare::unexpected(&self.tests, results, &self.sources.regress.join("expected"));
        if self.tests.is_empty() || unexpected.len() * 10 > self.tests.len() {
            bail!(
                "the suite does not run well here even without the extension: {} of {} tests are not as expected; see {}",
                unexpected.len(),
                self.tests.len(),
                results.display()
            );
        }
        Ok(unexpected)
    }

    /// Prints how two runs differ, and says whether they may.
    fn judge(
        &self,
        baseline: &Variant,
        expected: &Path,
        name: &str,
        results: &Path,
        progress: &Progress,
    ) -> Result<bool> {
        let differences = compare::compare(self.host, expected, results)?;
        let diffs = self.directory.join(name).join("diffs");
        fs::create_dir_all(&diffs)?;
        for difference in &differences {
            fs::write(
                diffs.join(format!("{}.diff", difference.test)),
                &difference.text,
            )?;
        }
        let unsteady = self.unsteady(&differences, baseline, results, progress)?;
        let stale = explained::stale(&self.entries, &differences);
        let same = self.tests.len().saturating_sub(differences.len());
        let mut right = true;
        println!(
            "\n{name} against {}:\n  same       {same} of {}",
            baseline.name,
            self.tests.len()
        );
        for difference in &differences {
            let left = explained::unexplained(difference, &self.entries);
            let state = if left.is_empty() {
                "explained"
            } else if unsteady.contains(&difference.test) {
                "unsteady "
            } else {
                right = false;
                "DIFFERENT"
            };
            println!(
                "  {state}  {}: {} of {} hunks not explained",
                difference.test,
                left.len(),
                difference.hunks.len()
            );
        }
        for entry in &stale {
            right = false;
            println!(
                "  STALE      {}: does not differ; take it out of {EXPLANATIONS}",
                entry.test
            );
        }
        if !unsteady.is_empty() {
            println!("  (unsteady: a second run without the extension gave this result too)");
        }
        if !differences.is_empty() {
            println!("  differences are in {}", diffs.display());
        }
        for difference in &differences {
            let left = explained::unexplained(difference, &self.entries);
            if !left.is_empty() && !unsteady.contains(&difference.test) {
                println!("\n{}", head(&difference.text));
            }
        }
        Ok(right)
    }

    /// Those tests that without the extension, too, give now this result and now that. Only asked where it matters.
    fn unsteady(
        &self,
        differences: &[Difference],
        baseline: &Variant,
        results: &Path,
        progress: &Progress,
    ) -> Result<BTreeSet<String>> {
        let open = |differences: &[Difference]| -> BTreeSet<String> {
            let open = differences
                .iter()
                .filter(|it| !explained::unexplained(it, &self.entries).is_empty());
            open.map(|difference| difference.test.clone()).collect()
        };
        let first = open(differences);
        if first.is_empty() {
            return Ok(first);
        }
        let again = self.run(baseline, &format!("{}-again", baseline.name), progress)?;
        let second = open(&compare::compare(self.host, &again, results)?);
        Ok(first.difference(&second).cloned().collect())
    }
}

/// As much of a diff as one likes to see in a terminal.
fn head(diff: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = diff.lines().collect();
    let mut text = lines[..lines.len().min(LINES)].join("\n");
    if lines.len() > LINES {
        text += &format!("\n… {} more lines", lines.len() - LINES);
    }
    text
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
