//! cargo-pgrx: its installation, its configuration, and the commands we give it.

use crate::host::{Host, SERVER_USER};
use crate::postgres::Server;
use crate::ui::Progress;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of cargo-pgrx, the same as of the pgrx in Cargo.toml.
pub const VERSION: &str = "0.18.1";

/// What `cargo pgrx init` has written: the servers that pgrx knows.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Config {
    #[serde(default)]
    configs: BTreeMap<String, PathBuf>,
    base_port: Option<u16>,
    base_testing_port: Option<u16>,
}

impl Config {
    /// Reads it; nothing there is an empty one.
    pub fn read(host: &Host) -> Result<Self> {
        let home =
            std::env::var_os("PGRX_HOME").map_or_else(|| host.home.join(".pgrx"), PathBuf::from);
        let file = home.join("config.toml");
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                Self::parse(&text).with_context(|| format!("cannot understand {}", file.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// The `pg_config` that pgrx uses for a version.
    pub fn pg_config(&self, version: u16) -> Option<&Path> {
        self.configs
            .get(&format!("pg{version}"))
            .map(PathBuf::as_path)
    }

    /// What `cargo pgrx init` must be told, or nothing if it knows all of these servers. It keeps the servers it knew, but forgets
    /// the ports unless told again.
    fn missing(&self, servers: &[Server]) -> Vec<String> {
        let unknown = servers
            .iter()
            .filter(|server| self.pg_config(server.version) != Some(server.pg_config.as_path()));
        let mut arguments: Vec<String> = unknown
            .map(|server| format!("--pg{}={}", server.version, server.pg_config.display()))
            .collect();
        if !arguments.is_empty() {
            arguments.extend(self.base_port.map(|port| format!("--base-port={port}")));
            arguments.extend(
                self.base_testing_port
                    .map(|port| format!("--base-testing-port={port}")),
            );
        }
        arguments
    }
}

/// Is the right cargo-pgrx here?
pub fn is_installed(host: &Host) -> bool {
    installed_version(host).as_deref() == Some(VERSION)
}

fn installed_version(host: &Host) -> Option<String> {
    let output = host.cargo(["pgrx", "--version"]).output().ok()?;
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .nth(1)
        .map(str::to_owned)
}

/// Installs cargo-pgrx if it is not here in the right version.
pub fn ensure_installed(host: &Host, progress: &Progress) -> Result<()> {
    match installed_version(host) {
        Some(version) if version == VERSION => {
            progress.say("found");
            return Ok(());
        }
        Some(version) => progress.say(format_args!("found {version}, which {VERSION} replaces")),
        None => {}
    }
    let mut command = host.cargo(["install", "cargo-pgrx", "--version", VERSION, "--locked"]);
    // A target directory of the workspace would be filled with what nobody uses again.
    progress.run(
        "compiling, about five minutes",
        command.env_remove("CARGO_TARGET_DIR"),
    )
}

/// Tells pgrx about servers it does not know yet.
pub fn register(servers: &[Server], host: &Host, progress: &Progress) -> Result<()> {
    // Read again: the user may have been asked to change it meanwhile.
    let arguments = Config::read(host)?.missing(servers);
    if arguments.is_empty() {
        progress.say("knows them");
        return Ok(());
    }
    let versions: Vec<String> = servers
        .iter()
        .map(|server| server.version.to_string())
        .collect();
    progress.run(
        format_args!("registering {}", versions.join(", ")),
        host.cargo(["pgrx", "init"]).args(arguments),
    )
}

/// The command that runs the tests inside a server; `data` is where a server of another user keeps its data.
pub fn test(server: &Server, data: Option<&Path>, filter: Option<&str>, host: &Host) -> Command {
    let version = format!("pg{}", server.version);
    let mut command = host.cargo([
        "pgrx",
        "test",
        "--package",
        "electric",
        "--no-default-features",
        "--features",
        &version,
    ]);
    if let Some(data) = data {
        command.args(["--runas", SERVER_USER, "--pgdata"]).arg(data);
    }
    command.arg(version).args(filter);
    command
}

/// The command that builds the extension and installs it into a server.
pub fn install(server: &Server, host: &Host) -> Command {
    let version = format!("pg{}", server.version);
    let mut command = host.cargo([
        "pgrx",
        "install",
        "--package",
        "electric",
        "--no-default-features",
        "--features",
        &version,
    ]);
    command.arg("--pg-config").arg(&server.pg_config);
    if !server.is_writable() {
        command.arg("--sudo");
    }
    command
}

/// The script that made the version before, as it was released: `cargo pgrx install` leaves it out, and only tests ask for it.
const RELEASED: &str = "tests/fixtures/electric--0.1.0.sql";

/// The command that puts the script of the version before beside the installed one, for tests that start from it.
pub fn install_released(server: &Server, host: &Host) -> Command {
    let mut command = host.command(if server.is_writable() {
        "install"
    } else {
        "sudo"
    });
    if !server.is_writable() {
        command.arg("install");
    }
    command
        .args(["-m", "644", RELEASED])
        .arg(&server.extensions);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: u16, pg_config: &str) -> Server {
        let nowhere = PathBuf::new();
        Server {
            version,
            pg_config: pg_config.into(),
            bindir: nowhere.clone(),
            libdir: nowhere.clone(),
            extensions: nowhere,
        }
    }

    #[test]
    fn the_configuration_is_read() -> Result<()> {
        let config =
            Config::parse("base_port = 1000\n[configs]\npg15 = \"/a/pg_config\"\npg12 = \"/b\"\n")?;
        assert_eq!(config.pg_config(15), Some(Path::new("/a/pg_config")));
        assert_eq!(config.pg_config(16), None);
        assert_eq!(Config::parse("")?, Config::default());
        assert!(Config::parse("[configs").is_err());
        Ok(())
    }

    #[test]
    fn only_unknown_servers_are_registered_and_ports_kept() -> Result<()> {
        let config = Config::parse("base_testing_port = 7\n[configs]\npg15 = \"/a\"\n")?;
        assert_eq!(config.missing(&[server(15, "/a")]), [""; 0]);
        assert_eq!(
            config.missing(&[server(15, "/a"), server(16, "/b")]),
            ["--pg16=/b", "--base-testing-port=7"]
        );
        Ok(())
    }
}
