//! The migrations proxy beside pgbouncer: pgbench through either, and without.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use electric_tests::cluster::Cluster;
use electric_tests::port::Port;

/// What everybody authenticates with.
const PASSWORD: &str = "bench";
/// Where packages put the program.
const PGBOUNCER: [&str; 3] = [
    "/usr/sbin/pgbouncer",
    "/usr/local/bin/pgbouncer",
    "/usr/bin/pgbouncer",
];

/// A server that asks for a password, and what stands in front of it.
pub struct Gateways {
    cluster: Cluster,
    pgbouncer: Behind,
    proxy: Behind,
}

/// A program that passes on to the server. It ends with the value.
struct Behind {
    child: Child,
    port: u16,
    /// Where it does not choose its port itself.
    _reserved: Option<Port>,
}

impl Drop for Behind {
    fn drop(&mut self) {
        // It was started here, and is waited for; an error has nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where pgbouncer is, if it is installed.
pub fn pgbouncer() -> Option<PathBuf> {
    PGBOUNCER
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

impl Gateways {
    /// Starts them, with the tables of pgbench.
    pub fn make() -> Result<Gateways> {
        let cluster = Cluster::builder()
            .below(crate::clock::directory())
            .start()?;
        let mut client = cluster.connect("postgres", "postgres")?;
        client.batch_execute(&format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'"))?;
        fs::write(
            cluster.data_directory().join("pg_hba.conf"),
            "local all all trust\nhost all all all scram-sha-256\n",
        )?;
        client.batch_execute("SELECT pg_reload_conf()")?;
        let mut fill = cluster.command("pgbench");
        fill.args([
            "--initialize",
            "--quiet",
            "--scale=5",
            "--username=postgres",
            "--host",
        ])
        .arg(cluster.directory())
        .arg(format!("--port={}", cluster.port()))
        .arg("postgres");
        let filled = fill.output()?;
        ensure!(
            filled.status.success(),
            "pgbench: {}",
            String::from_utf8_lossy(&filled.stderr)
        );
        Ok(Gateways {
            pgbouncer: start_pgbouncer(&cluster)?,
            proxy: start_proxy(&cluster)?,
            cluster,
        })
    }

    /// Transactions per second through pgbouncer, through the proxy, and without either.
    pub fn rates(&self, protocol: &str, clients: usize) -> Result<Vec<f64>> {
        [self.pgbouncer.port, self.proxy.port, self.cluster.port()]
            .into_iter()
            .map(|port| self.rate(port, protocol, clients))
            .collect()
    }

    fn rate(&self, port: u16, protocol: &str, clients: usize) -> Result<f64> {
        let output = self
            .cluster
            .command("pgbench")
            .env("PGPASSWORD", PASSWORD)
            .args([
                "--select-only",
                "--no-vacuum",
                "--time=3",
                "--host=127.0.0.1",
                "--username=postgres",
            ])
            .arg(format!("--protocol={protocol}"))
            .arg(format!("--client={clients}"))
            .arg(format!("--port={port}"))
            .arg("postgres")
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench: {errors}");
        let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
        number.with_context(|| format!("pgbench says {text}"))
    }
}

fn start_pgbouncer(cluster: &Cluster) -> Result<Behind> {
    let program = pgbouncer().context("pgbouncer is not installed")?;
    let reserved = Port::take()?;
    let port = reserved.number();
    let users = cluster.directory().join("users.txt");
    fs::write(&users, format!("\"postgres\" \"{PASSWORD}\"\n"))?;
    let settings = cluster.directory().join("pgbouncer.ini");
    fs::write(
        &settings,
        format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
            unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = session\nmax_client_conn = 200\n\
            default_pool_size = 100\nlogfile = {}\n",
            cluster.port(),
            users.display(),
            cluster.directory().join("pgbouncer.log").display()
        ),
    )?;
    let path = program.to_str().context("a path that is no text")?;
    let child = cluster
        .command(path)
        .arg("--quiet")
        .arg(&settings)
        .stdin(Stdio::null())
        .spawn()?;
    let gateway = Behind {
        child,
        port,
        _reserved: Some(reserved),
    };
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < end, "pgbouncer does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(gateway)
}

/// The program `electric` is built beside this one.
fn start_proxy(cluster: &Cluster) -> Result<Behind> {
    let own = std::env::current_exe()?;
    let program = own.parent().unwrap_or(Path::new(".")).join("electric");
    let mut child = Command::new(&program)
        .args(["proxy", "--listen", "127.0.0.1:0", "--upstream"])
        .arg(format!("postgres://127.0.0.1:{}", cluster.port()))
        .env_remove("PG_PROXY_PASSWORD")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let output = child.stdout.take().context("its output is piped")?;
    let mut gateway = Behind {
        child,
        port: 0,
        _reserved: None,
    };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let port = line
        .split_whitespace()
        .find_map(|word| word.rsplit_once(':')?.1.parse().ok());
    gateway.port =
        port.with_context(|| format!("the proxy does not say where it listens: {line}"))?;
    Ok(gateway)
}
