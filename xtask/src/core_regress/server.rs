//! A server of its own for a run of the suite: in a temporary directory, reached by a socket there, gone afterwards.
//!
//! A watchdog holds the other end of a pipe of ours; when this process ends, however it ends, the watchdog stops the server and
//! removes the directory.

use super::apt;
use super::sources::Sources;
use super::variants::{Access, Variant};
use crate::host::{Host, SERVER_USER};
use crate::port::Port;
use crate::postgres::Server;
use crate::ui::Progress;
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Settings of every run.
const SETTINGS: &str = "\
fsync = off
# As PostgreSQL's own `make check` has it.
max_prepared_transactions = 2
# EXPLAIN would show ids that hang on the OIDs that tables happen to get.
compute_query_id = regress
";

/// What runs before the tests.
const FIRST: &str = "tests/core_regress/electrified.sql";

/// A directory of the user for servers, in which one server at a time runs the suite. All runs have the same paths, so that paths in
/// results are the same too.
pub struct Workshop<'a> {
    host: &'a Host,
    server: &'a Server,
    directory: PathBuf,
    identity: Option<(u32, u32)>,
    /// Of the server and of the proxy, where they are reached over TCP.
    ports: (Port, Port),
    watchdog: Child,
}

/// What the proxy asks for, since the server trusts everybody.
const PASSWORD: &str = "core-regress";

/// Waits for the end of its input, then ends the server of the directory `$2` with the `pg_ctl` `$1`, and removes it. Where we were
/// killed pg_regress goes on until it finds neither server nor directory, and may write meanwhile.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
"$1" stop --silent --wait --timeout=20 --mode=immediate --pgdata "$2/data"
cd /
for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$2" && exit 0
    sleep 1
done
exit 1
"#;

impl<'a> Workshop<'a> {
    /// Makes the directory.
    pub fn new(host: &'a Host, server: &'a Server) -> Result<Self> {
        let identity = if host.root {
            Some(server_user()?)
        } else {
            None
        };
        // Not in $TMPDIR, which may be private to us; short, since the socket lives there.
        let mut command = as_user(identity, "mktemp", Path::new("/tmp"));
        let directory = output(command.args(["-d", "/tmp/electric-XXXXXX"]))?;
        let directory = PathBuf::from(directory.trim());
        let watchdog = as_user(identity, "sh", &directory)
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(server.bindir.join("pg_ctl"))
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not reached by the Ctrl-C that ends us.
            .process_group(0)
            .spawn()
            .context("cannot start the watchdog")?;
        Ok(Self {
            host,
            server,
            directory,
            identity,
            ports: (Port::take()?, Port::take()?),
            watchdog,
        })
    }

    /// Runs the suite on a fresh cluster, and leaves results and logs in the directory `to`.
    pub fn run(
        &self,
        sources: &Sources,
        variant: &Variant,
        to: &Path,
        progress: &Progress,
    ) -> Result<()> {
        self.lay_out(sources)?;
        self.start(variant)?;
        let tested = self.test(sources, variant, progress);
        let checked = tested.and_then(|()| self.check(variant));
        // What there is helps to see why.
        let kept = self.keep(to);
        let stopped = output(
            self.command("pg_ctl")
                .args(["stop", "-s", "-w", "-m", "fast", "-D"])
                .arg(self.data()),
        );
        checked.and(kept).and(stopped.map(drop))?;
        no_crash(&to.join("server.log"))
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// A fresh copy of the tests: they write beside themselves.
    fn lay_out(&self, sources: &Sources) -> Result<()> {
        output(
            as_user(self.identity, "rm", &self.directory)
                .args(["-rf", "data", "log", "regress", "bin"]),
        )?;
        let copies = [
            (sources.regress.clone(), "regress"),
            (sources.psql.join("psql"), "bin/psql"),
        ];
        let bin = self.directory.join("bin");
        fs::create_dir(&bin)?;
        for (from, to) in copies {
            output(
                Command::new("cp")
                    .arg("-RL")
                    .arg(from)
                    .arg(self.directory.join(to)),
            )?;
        }
        let first = self.host.workspace.join(FIRST);
        let first = fs::read(&first).with_context(|| format!("cannot read {}", first.display()))?;
        let regress = self.regress();
        fs::write(regress.join("sql/electrified.sql"), first)?;
        // pg_regress wants one. What counts is the comparison with the other runs.
        fs::write(regress.join("expected/electrified.out"), "")?;
        fs::write(regress.join("first_schedule"), "test: electrified\n")?;
        if let Some((uid, gid)) = self.identity {
            let mut command = Command::new("chown");
            output(
                command
                    .arg("-R")
                    .arg(format!("{uid}:{gid}"))
                    .args([&bin, &self.regress()]),
            )?;
        }
        Ok(())
    }

    fn regress(&self) -> PathBuf {
        self.directory.join("regress")
    }

    fn start(&self, variant: &Variant) -> Result<()> {
        let mut command = self.command("initdb");
        command.args([
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
            "--auth=trust",
        ]);
        output(
            command
                .args(["--no-sync", "--no-instructions", "--pgdata"])
                .arg(self.data()),
        )?;
        let file = self.data().join("postgresql.conf");
        let before = fs::read_to_string(&file)?;
        let settings = format!(
            "{before}\n{SETTINGS}{}unix_socket_directories = '{}'\nshared_preload_libraries = '{}'\ncore_regress.electrified = {}\n{}",
            self.listening(variant.access),
            self.directory.display(),
            variant.preload.join(","),
            variant.electrified,
            variant.settings
        );
        fs::write(&file, settings)?;
        let mut command = self.command("pg_ctl");
        command.args(["start", "--wait", "--silent", "--timeout=60", "--log"]);
        command
            .arg(self.directory.join("log"))
            .arg("--pgdata")
            .arg(self.data());
        // The server keeps what it inherits open.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if !command.status()?.success() {
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            bail!("the server does not start:\n{log}");
        }
        Ok(())
    }

    /// Settings by which the server is reached.
    fn listening(&self, access: Access) -> String {
        let (server, proxy) = (self.ports.0.number(), self.ports.1.number());
        let tcp = format!("listen_addresses = '127.0.0.1'\nport = {server}\n");
        match access {
            Access::Socket => "listen_addresses = ''\n".to_owned(),
            Access::Tcp => tcp,
            Access::Proxy => format!(
                "{tcp}electric.proxy_port = {proxy}\nelectric.proxy_password = '{PASSWORD}'\n"
            ),
        }
    }

    /// Where the tests connect to.
    fn place(&self, access: Access) -> (String, u16) {
        let (server, proxy) = (self.ports.0.number(), self.ports.1.number());
        match access {
            Access::Socket => (self.directory.display().to_string(), 5432),
            Access::Tcp => ("127.0.0.1".to_owned(), server),
            Access::Proxy => ("127.0.0.1".to_owned(), proxy),
        }
    }

    fn test(&self, sources: &Sources, variant: &Variant, progress: &Progress) -> Result<()> {
        let (host, port) = self.place(variant.access);
        if variant.access == Access::Proxy {
            wait_for(port)?;
        }
        // That tests differ from what their authors expected (status 1) is not what is asked here.
        let mut command = as_user(self.identity, "sh", &self.regress());
        command
            .args(["-c", "\"$@\"; test $? -le 1", "sh"])
            .arg(&sources.pg_regress);
        let directory = |option: &str, path: &Path| format!("--{option}={}", path.display());
        let regress = self.regress();
        command
            .arg(directory("inputdir", &regress))
            .arg(directory("outputdir", &regress))
            .arg(directory("dlpath", &regress))
            .arg(directory("schedule", &regress.join("first_schedule")))
            .arg(directory("schedule", &regress.join("parallel_schedule")))
            .arg(directory("bindir", &self.directory.join("bin")))
            .arg(format!("--host={host}"))
            .arg(format!("--port={port}"))
            .args(["--user=postgres", "--no-locale"])
            .env("PGPASSWORD", PASSWORD);
        command.args(
            variant
                .create
                .iter()
                .map(|name| format!("--load-extension={name}")),
        );
        progress.run(
            format_args!("running the suite, {}", variant.name),
            &mut command,
        )
    }

    /// Two runs also agree where nothing was loaded.
    fn check(&self, variant: &Variant) -> Result<()> {
        let electrified = if variant.electrified {
            "(SELECT count(*) > 1 FROM electric.electrified)"
        } else {
            "false"
        };
        let query = format!(
            "SELECT current_setting('shared_preload_libraries'), \
             (SELECT string_agg(extname, ',') FROM pg_extension WHERE extname <> 'plpgsql'), {electrified}"
        );
        let mut command = self.command("psql");
        command.args([
            "-X",
            "-A",
            "-t",
            "-F",
            " ",
            "-U",
            "postgres",
            "-d",
            "regression",
            "-c",
            &query,
            "-h",
        ]);
        let port = match variant.access {
            Access::Socket => 5432,
            Access::Tcp | Access::Proxy => self.ports.0.number(),
        };
        command.arg(&self.directory).args(["-p", &port.to_string()]);
        let is = output(&mut command)?;
        let mut words = is.trim_end().split(' ');
        let preload = words.next().unwrap_or_default();
        let created: Vec<&str> = words.next().unwrap_or_default().split(',').collect();
        let electrified = words.next() == Some("t");
        if preload != variant.preload.join(",")
            || electrified != variant.electrified
            || !variant.create.iter().all(|name| created.contains(name))
        {
            bail!("the server did not run with what it should have: {is:?} is not {variant:?}");
        }
        Ok(())
    }

    fn keep(&self, to: &Path) -> Result<()> {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        fs::create_dir_all(to)?;
        output(
            Command::new("cp")
                .arg("-R")
                .arg(self.regress().join("results"))
                .arg(to),
        )?;
        fs::copy(self.directory.join("log"), to.join("server.log"))?;
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        as_user(
            self.identity,
            self.server.bindir.join(program),
            &self.directory,
        )
    }
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        if !self.watchdog.wait().is_ok_and(|status| status.success()) || self.directory.exists() {
            eprintln!(
                "{} could not be removed from {}",
                self.directory.display(),
                self.host.system.name
            );
        }
    }
}

/// The proxy starts beside the server.
fn wait_for(port: u16) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > end {
            bail!("the proxy does not listen");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A crash of one backend is not always seen in the results of the others.
fn no_crash(log: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    let crash = text.lines().find(|line| {
        line.contains("PANIC:")
            || line.contains("TRAP:")
            || line.contains("was terminated by signal")
    });
    match crash {
        Some(line) => bail!("the server crashed: {line}\nits log is {}", log.display()),
        None => Ok(()),
    }
}

fn output(command: &mut Command) -> Result<String> {
    apt::output(command).map_err(anyhow::Error::msg)
}

/// A command that runs as the user for servers where that is not us, without what would change servers and clients.
fn as_user(
    identity: Option<(u32, u32)>,
    program: impl AsRef<std::ffi::OsStr>,
    directory: &Path,
) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // RUST_BACKTRACE would make the extension send backtraces to clients.
        if ["PG", "RUST_", "LC_", "LANG"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            command.env_remove(name.as_ref());
        }
    }
    command.env("LC_ALL", "C").current_dir(directory);
    if let Some((uid, gid)) = identity {
        command.uid(uid).gid(gid);
    }
    command
}

fn server_user() -> Result<(u32, u32)> {
    let number = |flag: &str| -> Result<u32> {
        Ok(output(Command::new("id").args([flag, SERVER_USER]))?
            .trim()
            .parse()?)
    };
    Ok((number("-u")?, number("-g")?))
}
