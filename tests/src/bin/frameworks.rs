//! Runs migration frameworks against real servers and compares the history that comes of it with what is expected.
//!
//! `frameworks --tools DIRECTORY [--proxy] [NAME…]`; `cargo xtask frameworks` installs the tools there and calls this. Each folder
//! of `tests/frameworks` with a file `run` is a framework. Three times its migrations are laid into a directory, those
//! of `first`, then those of `after`, then those of `refused`, and `run` applies what is new. Between the first two, psql
//! migrates too. The role that migrates is no superuser: it may do what [`GRANTS`] says. On a server that has not preloaded the library and on one that has, the history must be the one in the
//! file `history`; `ELECTRIC_BLESS=1` writes it.
//!
//! With `--proxy` they all connect through the migrations proxy, and their migrations say `ALTER TABLE items ENABLE ELECTRIC`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, commands, migrations};
use electric_tests::proxy::{PASSWORD, Proxy};
use electric_tests::recipes::{self, Recipe, Wanted};
use electric_tests::replica::ledger;

/// What a person runs in between.
const IN_BETWEEN: &str = "ALTER TABLE items ADD COLUMN by_psql text";
/// What switches the table on.
const CALL: &str = "SELECT electric.enable('items')";
/// The same as DDLX.
const DDLX: &str = "ALTER TABLE items ENABLE ELECTRIC";
/// What the migration of `refused` is refused with.
const REFUSAL: [(&str, &str); 3] = [
    (
        "message",
        "cannot drop column \"value\" of electrified table \"public.items\"",
    ),
    ("detail", "Replicas that are behind still use it"),
    ("hint", "Stop using the column and leave it."),
];

/// The role that migrates.
const ROLE: &str = "migrator";
/// What it may do in a database.
const GRANTS: [&str; 2] = ["CREATE ON DATABASE", "CREATE ON SCHEMA"];

/// A server, and the proxy before it if migrations go through one.
struct Server {
    cluster: Cluster,
    proxy: Option<Proxy>,
}

struct Framework(Recipe);

fn main() -> ExitCode {
    recipes::main(run)
}

fn run(wanted: &Wanted) -> Result<bool> {
    let tools = &wanted.tools;
    let through_proxy = wanted.options.iter().any(|option| option == "proxy");
    let all = Recipe::all("frameworks", &wanted.names)?;
    let servers = [false, true].map(|preload| -> Result<Server> {
        let cluster = Cluster::builder().preload(preload).start()?;
        let mut client = cluster.connect("postgres", "postgres")?;
        client.batch_execute(&format!("CREATE ROLE {ROLE} LOGIN"))?;
        let proxy = through_proxy.then(|| Proxy::before(&cluster));
        Ok(Server { cluster, proxy })
    });
    let [plain, preloaded] = servers;
    let (plain, preloaded) = (plain?, preloaded?);
    println!(
        "{:<18} {:<28} {:>6}  result",
        "framework", "version", "time"
    );
    let mut good = true;
    for framework in all.into_iter().map(Framework) {
        let start = Instant::now();
        let version = framework.0.version(tools).unwrap_or_default();
        let result = framework.check(&plain, &preloaded, tools);
        let time = seconds(start.elapsed());
        let shown = match &result {
            Ok(summary) => format!("ok      {summary}"),
            Err(error) => format!("FAILED  {error:#}"),
        };
        println!("{:<18} {version:<28} {time:>6}  {shown}", framework.0.name);
        good &= result.is_ok();
    }
    Ok(good)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f32())
}

impl Framework {
    /// Runs it on both servers; gives which parts of a refusal it shows its user.
    fn check(&self, plain: &Server, preloaded: &Server, tools: &Path) -> Result<String> {
        let (history, hash, shown) = self.migrate(plain, tools)?;
        let expected = self.0.directory.join("history");
        if plain.proxy.is_some() {
            return self
                .check_proxied(&history, &expected, preloaded, tools)
                .map(|()| shown);
        }
        if std::env::var_os("ELECTRIC_BLESS").is_some() {
            fs::write(&expected, &history)?;
        }
        let expected = fs::read_to_string(&expected).context("no file \"history\"")?;
        if history != expected {
            bail!(
                "another history than expected:\n{}",
                difference(&expected, &history)
            );
        }
        let page = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs/frameworks")
            .join(format!("{}.md", self.0.name));
        let text = fs::read_to_string(&page).with_context(|| format!("{}", page.display()))?;
        ensure!(
            text.contains(history.trim_end()),
            "{} has another history",
            page.display()
        );
        let (again, hash_again, _) = self
            .migrate(preloaded, tools)
            .context("with the library preloaded")?;
        if again != history {
            bail!(
                "another history where the library is preloaded:\n{}",
                difference(&history, &again)
            );
        }
        ensure!(
            hash == hash_again,
            "the chain of hashes is another one in a second database"
        );
        Ok(shown)
    }

    /// Through the proxy the history is the same, but for the statement that was sent, and the hashes that some take for names.
    fn check_proxied(
        &self,
        history: &str,
        expected: &Path,
        preloaded: &Server,
        tools: &Path,
    ) -> Result<()> {
        let expected = fs::read_to_string(expected).context("no file \"history\"")?;
        let expected = without_hashes(
            &expected
                .replace(CALL, DDLX)
                .replace(&CALL.to_lowercase(), DDLX),
        );
        let (again, ..) = self
            .migrate(preloaded, tools)
            .context("with the library preloaded")?;
        for history in [history, &again] {
            let history = without_hashes(history);
            if history != expected {
                bail!(
                    "another history through the proxy:\n{}",
                    difference(&expected, &history)
                );
            }
        }
        Ok(())
    }

    fn migrate(&self, server: &Server, tools: &Path) -> Result<(String, String, String)> {
        let database = &server.cluster.database();
        for (what, on) in GRANTS.iter().zip([database.name(), "public"]) {
            let grant = format!("GRANT {what} {on} TO {ROLE}");
            database.client().batch_execute(&grant)?;
        }
        let place = tempfile::Builder::new()
            .prefix("electric-framework-")
            .tempdir()?;
        let apply = |stage: &str| -> Result<(bool, String)> {
            overlay(&self.0.directory.join(stage), place.path())?;
            let (port, password) = match &server.proxy {
                Some(proxy) => {
                    say_ddlx(place.path())?;
                    (proxy.port(), PASSWORD)
                }
                None => (server.cluster.port(), "x"),
            };
            let mut command = self.0.command(tools);
            command.arg(stage).current_dir(place.path());
            recipes::connect(&mut command, port, (ROLE, password), database.name());
            let output = command.output()?;
            let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
            Ok((output.status.success(), said))
        };
        for stage in ["first", "after"] {
            let (succeeded, said) = apply(stage)?;
            ensure!(succeeded, "the migrations of \"{stage}\" failed:\n{said}");
            if stage == "first" {
                let psql =
                    database
                        .cluster()
                        .psql(database.name(), "postgres", &["-c", IN_BETWEEN])?;
                ensure!(psql.status.success(), "psql: {psql:?}");
            }
        }
        let before = database.trace();
        let (succeeded, said) = apply("refused")?;
        let one_line = said
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .replace("\\\"", "\"");
        let shows: Vec<_> = REFUSAL
            .iter()
            .filter(|(_, text)| one_line.contains(text))
            .map(|(part, _)| *part)
            .collect();
        ensure!(
            before == database.trace(),
            "the refused migration left something behind"
        );
        let shown = format!("shows of a refusal: {}", shows.join(", "));
        let status = if succeeded { "success" } else { "failure" };
        if !shows.contains(&"message") {
            bail!("it does not show its user the refusal:\n{said}");
        }
        let mut history = history(database)?;
        history.push_str(&format!("\nrefused: {status}; {shown}\n"));
        let hash = database
            .commands()
            .last()
            .map_or_else(String::new, |c| c.hash.clone());
        Ok((history, hash, shown))
    }
}

/// Copies what is in a directory over what is in another.
fn overlay(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("{}", from.display()))? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            fs::create_dir_all(&target)?;
            overlay(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Has the migrations in a directory switch the table on by DDLX.
fn say_ddlx(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            say_ddlx(&path)?;
        } else if let Ok(text) = fs::read_to_string(&path) {
            let ddlx = text.replace(CALL, DDLX).replace(&CALL.to_lowercase(), DDLX);
            if ddlx != text {
                fs::write(&path, ddlx)?;
            }
        }
    }
    Ok(())
}

/// Without names that are hashes of a migration's text.
fn without_hashes(history: &str) -> String {
    let is_hash = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let lines = history.lines().map(|line| {
        let words = line
            .split(' ')
            .map(|word| if is_hash(word) { "(hash)" } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The history, without what differs from run to run.
fn history(database: &Database<'_>) -> Result<String> {
    let mut client = database.client();
    let (migrations, commands) = (migrations(&mut client), commands(&mut client));
    let rows: Vec<_> = migrations
        .iter()
        .map(|m| (m.id, m.version.clone()))
        .collect();
    ledger::verify(&rows, &commands).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let mut text = String::new();
    for migration in &migrations {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let version = if migration.source == "auto" {
            "(auto)"
        } else {
            &migration.version
        };
        text.push_str(&format!(
            "{} version {version} source {} framework {} framework_version {}\n",
            migration.id,
            migration.source,
            or_none(&migration.framework),
            or_none(&migration.framework_version)
        ));
        for command in commands.iter().filter(|c| c.migration_id == migration.id) {
            let query = command.query.replace('\n', "\\n").replace('\t', "\\t");
            text.push_str(&format!(
                "    {} {}: {query}\n",
                command.command, command.relation
            ));
        }
    }
    Ok(text)
}

/// Lines that only one of them has.
fn difference(expected: &str, found: &str) -> String {
    let only = |one: &str, other: &str, sign: char| {
        let lines = one
            .lines()
            .filter(|line| !other.lines().any(|o| o == *line));
        lines
            .map(|line| format!("{sign} {line}\n"))
            .collect::<String>()
    };
    only(expected, found, '-') + &only(found, expected, '+')
}
