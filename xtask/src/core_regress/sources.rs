//! PostgreSQL's own tests: where they come from, and what running them takes.

use super::apt::{self, SourceApt};
use crate::host::Host;
use crate::postgres::Server;
use crate::ui::Progress;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Written last into a directory of sources: for which server they were fetched.
const MARKER: &str = "complete";

/// The tests, ready to be copied to where they run.
pub struct Sources {
    /// `src/test/regress` of PostgreSQL, with `regress.so`.
    pub regress: PathBuf,
    /// Where the `psql` is that goes with them.
    pub psql: PathBuf,
    /// The program that runs them.
    pub pg_regress: PathBuf,
    /// What a reader of the results should know about them.
    pub note: Option<String>,
}

/// The tests, or why they cannot be had here.
pub enum Found {
    /// They are there.
    Sources(Sources),
    /// Exactly what is missing.
    Missing(String),
}

/// Finds the tests for this server, in the given source tree of PostgreSQL or else by apt.
pub fn find(
    host: &Host,
    server: &Server,
    tree: Option<&Path>,
    progress: &Progress,
) -> Result<Found> {
    let server_version = version_of(server)?;
    let pg_regress = match pg_regress(server)? {
        Ok(path) => path,
        Err(missing) => return Ok(Found::Missing(missing)),
    };
    let directory = host
        .target
        .join(format!("xtask/core-regress/tests-{}", server.version));
    let regress = directory.join("regress");
    let complete =
        fs::read_to_string(directory.join(MARKER)).is_ok_and(|text| text.trim() == server_version);
    if complete && tree.is_none() {
        progress.say(format_args!("found in {}", directory.display()));
    } else {
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let unpacked = match tree {
            Some(tree) => copy(tree, &directory),
            None => {
                progress.say("fetching PostgreSQL's source package by apt");
                fetch(host, server, &server_version, &directory)?
            }
        };
        if let Err(why) = unpacked {
            return Ok(Found::Missing(format!(
                "the source of PostgreSQL {}: {why}",
                server.version
            )));
        }
        build_library(host, server, &regress, progress)?;
    }
    let version = configured_version(&directory)?;
    let (psql, note) = psql(host, server, &server_version, &version, &directory);
    if tree.is_none() {
        fs::write(directory.join(MARKER), &server_version)?;
    }
    Ok(Found::Sources(Sources {
        regress,
        psql,
        pg_regress,
        note,
    }))
}

/// The version of the server with its minor part: `15.20`.
pub fn version_of(server: &Server) -> Result<String> {
    let text = ask(server, "--version")?;
    let version = text.split_whitespace().nth(1);
    Ok(version
        .with_context(|| format!("what version is {text:?}?"))?
        .to_owned())
}

fn ask(server: &Server, option: &str) -> Result<String> {
    apt::output(Command::new(&server.pg_config).arg(option))
        .map(|text| text.trim().to_owned())
        .map_err(anyhow::Error::msg)
}

fn pg_regress(server: &Server) -> Result<Result<PathBuf, String>> {
    let pgxs = PathBuf::from(ask(server, "--pgxs")?);
    let lib = pgxs.parent().and_then(Path::parent);
    let path = lib
        .context("no directory of pgxs")?
        .join("test/regress/pg_regress");
    Ok(if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "the program pg_regress: no {} (package postgresql-server-dev-{})",
            path.display(),
            server.version
        ))
    })
}

/// Unpacks the tests of the server's own version, or of another minor one where the mirror has lost that.
fn fetch(
    host: &Host,
    server: &Server,
    server_version: &str,
    to: &Path,
) -> Result<Result<(), String>> {
    let package = format!("postgresql-{}", server.version);
    let download = to.join("apt");
    fs::create_dir_all(&download)?;
    let tarball = SourceApt::new(host, &package, &download).and_then(|apt| {
        let mut versions = apt.versions()?;
        // Stable: the others stay newest first.
        versions.sort_by_key(|version| !version.contains(server_version));
        let mut why = format!("apt has no source package {package}");
        for version in versions {
            match apt.download(&version) {
                Ok(tarball) => return Ok(tarball),
                Err(error) => why = error,
            }
        }
        Err(why)
    });
    let unpacked = tarball.and_then(|tarball| {
        let mut command = host.command("tar");
        command.arg("-xf").arg(tarball).arg("-C").arg(to);
        command.args([
            "--strip-components=1",
            "--wildcards",
            "--no-wildcards-match-slash",
        ]);
        command.args(["*/src/test/regress", "*/configure"]);
        apt::output(&mut command)?;
        fs::rename(to.join("src/test/regress"), to.join("regress"))
            .map_err(|error| error.to_string())
    });
    fs::remove_dir_all(&download)?;
    Ok(unpacked)
}

fn copy(tree: &Path, to: &Path) -> Result<(), String> {
    let regress = tree.join("src/test/regress");
    if !regress.join("parallel_schedule").is_file() {
        return Err(format!("no {}/parallel_schedule", regress.display()));
    }
    apt::output(Command::new("cp").arg("-R").arg(regress).arg(to))?;
    fs::copy(tree.join("configure"), to.join("configure"))
        .map_err(|error| format!("no {}/configure: {error}", tree.display()))?;
    Ok(())
}

/// Reads `PACKAGE_VERSION='15.18'` in PostgreSQL's `configure`.
fn configured_version(directory: &Path) -> Result<String> {
    let text = fs::read_to_string(directory.join("configure"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("PACKAGE_VERSION="));
    let version = line.context("PostgreSQL's configure names no version")?;
    Ok(version.trim_matches('\'').to_owned())
}

/// Compiles the library that many of the tests load, and adds those of contrib/spi, where `make check` would put them.
fn build_library(host: &Host, server: &Server, regress: &Path, progress: &Progress) -> Result<()> {
    let mut command = host.command("cc");
    command
        .args(["-shared", "-fPIC", "-O2", "-I"])
        .arg(ask(server, "--includedir-server")?)
        .arg("-o")
        .arg(regress.join("regress.so"))
        .arg(regress.join("regress.c"));
    progress.run("compiling regress.so", &mut command)?;
    for library in ["autoinc.so", "refint.so"] {
        let path = server.libdir.join(library);
        if path.is_file() {
            fs::copy(path, regress.join(library))?;
        }
    }
    if !regress.join("parallel_schedule").is_file() {
        bail!("there is no schedule in {}", regress.display());
    }
    Ok(())
}

/// Where a `psql` of the version of the tests is. It must be theirs: from 15.19 on, psql takes all that follows a refused
/// `COPY … FROM STDIN` for its data, and a third of a test of an earlier version is gone.
fn psql(
    host: &Host,
    server: &Server,
    server_version: &str,
    version: &str,
    directory: &Path,
) -> (PathBuf, Option<String>) {
    if version == server_version {
        return (server.bindir.clone(), None);
    }
    let other =
        format!("the tests are those of {version}; those of {server_version} could not be had");
    let client = directory.join("client");
    let bin = client.join(format!("usr/lib/postgresql/{}/bin", server.version));
    if bin.join("psql").is_file() {
        return (bin, Some(other));
    }
    let package = format!("postgresql-client-{}", server.version);
    let unpacked = fs::create_dir_all(&client)
        .map_err(|error| error.to_string())
        .and_then(|()| apt::download_binary(host, &package, version, &client))
        .and_then(|deb| apt::output(host.command("dpkg-deb").arg("-x").arg(deb).arg(&client)));
    match unpacked {
        Ok(_) => (bin, Some(other)),
        Err(why) => {
            let cut = format!(
                "{other}, nor the psql of {version}, so that parts of some tests may be left out ({why})"
            );
            (server.bindir.clone(), Some(cut))
        }
    }
}
