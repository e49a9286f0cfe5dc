//! A server of its own for the tests: made from nothing, on a temporary directory, gone afterwards.
//!
//! Nothing server-side runs as root: as root, everything runs as the OS user `postgres`. A small watchdog process
//! holds the other end of a pipe; when this process ends, however it ends, the watchdog stops the server and removes
//! the directory. So statics (which Rust never drops), panics and `kill -9` leave no server behind.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls};

use crate::database::Database;
use crate::port::Port;

/// The OS user that servers run as when the tests run as root.
const SERVER_USER: &str = "postgres";
/// Where the temporary directories are: socket paths must be short, and the OS user must be able to reach them.
const TEMP_ROOT: &str = "/tmp";
/// Settings of every cluster: fast, quiet, ready for logical decoding.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "logical"),
    ("max_connections", "200"),
    ("max_replication_slots", "100"),
    ("max_wal_senders", "100"),
    ("max_prepared_transactions", "5"),
    ("max_worker_processes", "100"),
    ("max_logical_replication_workers", "80"),
    ("wal_retrieve_retry_interval", "200ms"),
    ("shared_buffers", "64MB"),
    ("autovacuum", "off"),
    ("lc_messages", "C"),
    ("listen_addresses", "127.0.0.1"),
    ("log_min_messages", "warning"),
    // A test that waits for what never comes fails instead of hanging.
    ("lock_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "180s"),
    ("log_line_prefix", "%m [%p] %d "),
];

/// How a running server is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Ends sessions, writes a checkpoint.
    Fast,
    /// Ends at once, as a crash does: the next start recovers from the log.
    Immediate,
}

/// What a cluster is made with.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    settings: Vec<(String, String)>,
    pg_config: Option<PathBuf>,
    root: Option<PathBuf>,
}

impl Builder {
    /// Whether `shared_preload_libraries` has the extension.
    pub fn preload(self, preload: bool) -> Self {
        if preload {
            self.setting("shared_preload_libraries", "electric")
        } else {
            self
        }
    }

    /// The server's `pg_config`, where it is not the one that the tests are of.
    pub fn pg_config(mut self, path: &Path) -> Self {
        self.pg_config = Some(path.to_owned());
        self
    }

    /// Where the server's directory is made: a short path that the server's OS user can reach.
    pub fn below(mut self, root: &Path) -> Self {
        self.root = Some(root.to_owned());
        self
    }

    /// A line of postgresql.conf; a later one of the same name wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Makes the cluster and starts it.
    pub fn start(self) -> Result<Cluster> {
        let cluster = self.make()?;
        cluster.start()?;
        Ok(cluster)
    }

    /// Makes the cluster and leaves it stopped.
    pub fn make(self) -> Result<Cluster> {
        Cluster::create(&self)
    }
}

/// A running server with its data directory.
pub struct Cluster {
    binaries: PathBuf,
    identity: Option<(u32, u32)>,
    directory: PathBuf,
    port: Port,
    /// Closing this pipe tells the watchdog to clean up.
    lifeline: Option<ChildStdin>,
    watchdog: Child,
    databases: AtomicU32,
}

impl Cluster {
    /// Begins the description of a cluster.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The cluster that the cheap tests of one test program share, each with a database of its own.
    ///
    /// `ELECTRIC_TEST_PRELOAD=1` makes it load the library at server start.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let preload = std::env::var("ELECTRIC_TEST_PRELOAD").is_ok_and(|v| v == "1");
            let cluster = Cluster::builder().preload(preload).start();
            cluster.unwrap_or_else(|e| panic!("no server to test against: {e:#}"))
        })
    }

    fn create(builder: &Builder) -> Result<Cluster> {
        let pg_config = match &builder.pg_config {
            Some(path) => path.clone(),
            None => pg_config()?,
        };
        let root = builder.root.as_deref().unwrap_or(Path::new(TEMP_ROOT));
        let cluster = Cluster::bare(&pg_config, root)?;
        cluster.succeed(
            cluster
                .command("initdb")
                .args([
                    "--username=postgres",
                    "--encoding=UTF8",
                    "--no-locale",
                    "--auth=trust",
                ])
                .args(["--no-sync", "--no-instructions", "--pgdata"])
                .arg(cluster.data_directory()),
        )?;
        cluster.be_itself()?;
        cluster.configure(SETTINGS)?;
        for (name, value) in &builder.settings {
            cluster.configure(&[(name, value)])?;
        }
        Ok(cluster)
    }

    /// A directory with its watchdog, without a server in it yet.
    fn bare(pg_config: &Path, root: &Path) -> Result<Cluster> {
        let binaries = binaries(pg_config)?;
        let identity = server_identity()?;
        let directory = tempfile::Builder::new()
            .prefix("electric-")
            .tempdir_in(root)
            .context("no temporary directory")?
            .keep();
        if let Some((uid, gid)) = identity {
            chown(&directory, Some(uid), Some(gid))?;
        }
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
        let mut watchdog = server_command(Path::new("/bin/sh"), identity, &directory)
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(binaries.join("pg_ctl"))
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not reached by the Ctrl-C that ends the tests.
            .process_group(0)
            .spawn()
            .context("cannot start the watchdog")?;
        Ok(Cluster {
            lifeline: watchdog.stdin.take(),
            watchdog,
            binaries,
            identity,
            directory,
            port: Port::take()?,
            databases: AtomicU32::new(0),
        })
    }

    /// Gives the server the socket and the port that it has to itself.
    fn be_itself(&self) -> Result<()> {
        let sockets = self.directory.to_string_lossy();
        self.configure(&[("unix_socket_directories", &sockets)])?;
        self.configure(&[("port", &self.port().to_string())])
    }

    /// A physical standby of this server, started, that follows it.
    pub fn standby(&self) -> Result<Cluster> {
        let standby = Cluster::bare(&self.binaries.join("pg_config"), Path::new(TEMP_ROOT))?;
        let mut command = standby.command("pg_basebackup");
        command.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        command.arg("--host").arg(&self.directory);
        command.args(["--port", &self.port().to_string(), "--username=postgres"]);
        standby.succeed(command.arg("--pgdata").arg(standby.data_directory()))?;
        standby.be_itself()?;
        standby.start()?;
        Ok(standby)
    }

    /// Makes this server, which is empty and stopped, what `old`, stopped too, was: by this one's pg_upgrade.
    pub fn upgrade_from(&self, old: &Cluster) -> Result<()> {
        let mut command = self.command("pg_upgrade");
        command.arg("--old-bindir").arg(&old.binaries);
        command.arg("--new-bindir").arg(&self.binaries);
        command.arg("--old-datadir").arg(old.data_directory());
        command.arg("--new-datadir").arg(self.data_directory());
        command.args(["--old-port", &old.port().to_string()]);
        command.args(["--new-port", &self.port().to_string()]);
        command.arg("--socketdir").arg(&self.directory);
        let upgraded = self.succeed(command.args(["--username", "postgres"]));
        upgraded.map(drop).map_err(|error| {
            // What went wrong it says in files alone.
            let mut tail = Command::new("/bin/sh");
            tail.args(["-c", "tail -n 20 $(find \"$1\" -name 'pg_upgrade_*.log')"]);
            let said = tail.arg("sh").arg(self.data_directory()).output();
            let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            error.context(said.unwrap_or_default())
        })
    }

    /// The database of that name, which came with the data directory.
    pub fn existing_database(&self, name: &str) -> Database<'_> {
        Database::existing(self, name.to_owned())
    }

    /// Adds lines to postgresql.conf, in force from the next start on.
    pub fn configure(&self, settings: &[(&str, &str)]) -> Result<()> {
        let path = self.data_directory().join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path)?;
        for (name, value) in settings {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''"))?;
        }
        Ok(())
    }

    /// Starts the server and waits until it takes connections.
    pub fn start(&self) -> Result<()> {
        self.start_with("", &[])
    }

    /// The same with options for the server's own command line and variables for its environment.
    pub fn start_with(&self, options: &str, environment: &[(&str, &str)]) -> Result<()> {
        let mut command = self.command("pg_ctl");
        command.envs(environment.iter().copied());
        self.start_by(command.args(["--options", options]))
    }

    /// The same by another `postgres` than that of the installation.
    pub fn start_from(&self, postgres: &Path) -> Result<()> {
        self.start_by(self.command("pg_ctl").arg("-p").arg(postgres))
    }

    /// The same where no process of the server may have more addresses than that many KiB: it runs out of memory soon.
    pub fn start_limited(&self, kib: u64) -> Result<()> {
        let script = self.directory.join("postgres-limited");
        let postgres = self.binaries.join("postgres");
        let text = format!(
            "#!/bin/sh\nulimit -v {kib}\nexec {} \"$@\"\n",
            postgres.display()
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        self.start_from(&script)
    }

    fn start_by(&self, command: &mut Command) -> Result<()> {
        let log = self.directory.join("log");
        command
            .args(["start", "--wait", "--silent", "--timeout=60", "--log"])
            .arg(&log);
        command.arg("--pgdata").arg(self.data_directory());
        // The server keeps what it inherits open: it must not hold the pipes of the test program.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if command.status()?.success() {
            return Ok(());
        }
        bail!("the server does not start:\n{}", self.log());
    }

    /// Stops the server.
    pub fn stop(&self, how: Stop) -> Result<()> {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        self.succeed(
            self.command("pg_ctl")
                .args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"])
                .arg(self.data_directory()),
        )?;
        Ok(())
    }

    /// Stops and starts.
    pub fn restart(&self, how: Stop) -> Result<()> {
        self.stop(how)?;
        self.start()
    }

    /// Sends a signal (`KILL`, `TERM` …) to one process of the server.
    pub fn signal(&self, pid: i32, signal: &str) -> Result<()> {
        let mut command = server_command(Path::new("/bin/sh"), self.identity, &self.directory);
        let script = format!("kill -{signal} {pid}");
        self.succeed(command.args(["-c", &script]))?;
        Ok(())
    }

    /// Process id of the postmaster.
    pub fn postmaster_pid(&self) -> Result<i32> {
        let text = fs::read_to_string(self.data_directory().join("postmaster.pid"))?;
        Ok(text.lines().next().unwrap_or_default().trim().parse()?)
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// A connection; `user` is trusted.
    pub fn connect(&self, database: &str, user: &str) -> Result<Client> {
        Ok(self.config(database, user).connect(NoTls)?)
    }

    /// The settings of a connection, to add to.
    pub fn config(&self, database: &str, user: &str) -> postgres::Config {
        let mut config = postgres::Config::new();
        config
            .host_path(&self.directory)
            .port(self.port())
            .dbname(database)
            .user(user);
        config
            .application_name("electric_tests")
            .notice_callback(|_| ());
        config
    }

    /// A database that exists only for the caller, empty, without the extension.
    pub fn empty_database(&self) -> Database<'_> {
        self.database_like("template1")
    }

    /// A database that exists only for the caller, a copy of one that nobody is connected to.
    pub fn database_like(&self, template: &str) -> Database<'_> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        Database::create(self, format!("test_{number}"), template)
            .unwrap_or_else(|e| panic!("no database for the test: {e:#}"))
    }

    /// A database that exists only for the caller, with the extension created.
    pub fn database(&self) -> Database<'_> {
        let database = self.empty_database();
        let mut client = database.client();
        client
            .batch_execute("CREATE EXTENSION electric")
            .unwrap_or_else(|e| {
                panic!("CREATE EXTENSION electric: {}", crate::errors::describe(&e))
            });
        database
    }

    /// Runs psql as a script would: no psqlrc, first error ends it. `arguments` follow.
    pub fn psql(&self, database: &str, user: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = self.command("psql");
        command
            .args(["-X", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(&self.directory);
        command.args(["-p", &self.port().to_string(), "-U", user, "-d", database]);
        Ok(command.args(arguments).stdin(Stdio::null()).output()?)
    }

    /// A program of the server's own version, run as the server's OS user.
    pub fn command(&self, program: &str) -> Command {
        server_command(&self.binaries.join(program), self.identity, &self.directory)
    }

    /// A directory that the server's OS user may write to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory of the installation, by `pg_config`'s name for it.
    pub fn installed(&self, which: &str) -> Result<PathBuf> {
        let mut command = self.command("pg_config");
        let output = self.succeed(command.arg(format!("--{which}")))?;
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
    }

    /// Directory of the unix socket.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// Port of the server, for the socket and on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn succeed(&self, command: &mut Command) -> Result<Output> {
        let output = command
            .output()
            .with_context(|| format!("cannot run {command:?}"))?;
        if !output.status.success() {
            bail!(
                "{command:?}: {}\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(output)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // The watchdog stops the server and removes the directory; an error here has nobody to tell.
        let _ = self.watchdog.wait();
    }
}

/// Waits for the end of its input, then ends the server of the directory `$2` with the `pg_ctl` `$1` and removes it.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
"$1" stop --silent --wait --timeout=20 --mode=immediate --pgdata "$2/data"
cd / && rm -rf "$2"
"#;

/// A command that runs as the server's OS user, in a place that user can read, without what would change servers.
fn server_command(program: &Path, identity: Option<(u32, u32)>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        // RUST_BACKTRACE would make the extension send backtraces to clients.
        if name.starts_with("PG") || name.starts_with("RUST_") || name.starts_with("LC_") {
            command.env_remove(name.as_ref());
        }
    }
    command.env("LC_ALL", "C");
    if let Some((uid, gid)) = identity {
        command.uid(uid).gid(gid);
    }
    command
}

/// The user and group that servers run as, where that is not us.
fn server_identity() -> Result<Option<(u32, u32)>> {
    // The owner of /proc/self is the user this process runs as.
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let number = |flag: &str| -> Result<u32> {
        let output = Command::new("id").args([flag, SERVER_USER]).output()?;
        if !output.status.success() {
            bail!(
                "servers do not run as root, and there is no OS user {SERVER_USER:?} to run them as"
            );
        }
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    Ok(Some((number("-u")?, number("-g")?)))
}

/// The `pg_config` of the server to test: `ELECTRIC_PG_CONFIG`, else pgrx's own choice, else an installed one.
pub fn pg_config() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ELECTRIC_PG_CONFIG") {
        return Ok(path.into());
    }
    let home = std::env::var_os("PGRX_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgrx")));
    let configured = home
        .and_then(|home| fs::read_to_string(home.join("config.toml")).ok())
        .unwrap_or_default();
    let from_pgrx = configured
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.trim().starts_with("pg"))
        .map(|(_, value)| PathBuf::from(value.trim().trim_matches('"')));
    let installed = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut installed: Vec<PathBuf> = installed
        .map(|entry| entry.path().join("bin/pg_config"))
        .collect();
    installed.sort();
    from_pgrx
        .chain(installed)
        .find(|path| path.is_file())
        .context("no PostgreSQL found: set ELECTRIC_PG_CONFIG to a pg_config")
}

fn binaries(pg_config: &Path) -> Result<PathBuf> {
    let output = Command::new(pg_config)
        .arg("--bindir")
        .output()
        .with_context(|| format!("cannot run {}", pg_config.display()))?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
