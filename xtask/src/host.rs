//! The machine: which system it is, who we are on it, its package managers.

use crate::ui::Progress;
use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use xshell::{Shell, cmd};

/// The operating-system user that runs servers when we ourselves may not (Postgres refuses to run as root).
pub const SERVER_USER: &str = "postgres";

/// The machine we are on.
pub struct Host {
    /// Runs the small commands whose output we read.
    pub shell: Shell,
    /// The root of this repository.
    pub workspace: PathBuf,
    /// The home directory of the user.
    pub home: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    /// What the system calls itself.
    pub system: System,
    /// Are we root?
    pub root: bool,
    updated: bool,
    asked_sudo: bool,
}

/// What `/etc/os-release` tells.
#[derive(Debug, PartialEq, Eq)]
pub struct System {
    /// For people: `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
    /// Debian or made from it.
    pub debian: bool,
}

impl Host {
    /// Looks around.
    pub fn new() -> Result<Self> {
        let shell = Shell::new()?;
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let workspace = Path::new(&manifest)
            .parent()
            .context("xtask is not inside a workspace")?
            .to_path_buf();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
            || workspace.join("target"),
            |directory| workspace.join(directory),
        );
        let home = env::home_dir().context("no home directory: HOME is not set")?;
        shell.change_dir(&workspace);
        let system = System::parse(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
        let root = cmd!(shell, "id -u").quiet().read()? == "0";
        Ok(Self {
            shell,
            workspace,
            home,
            target,
            system,
            root,
            updated: false,
            asked_sudo: false,
        })
    }

    /// The log file of a job.
    pub fn log(&self, job: &str) -> PathBuf {
        self.target.join("xtask").join(format!("{job}.log"))
    }

    /// A command in the root of the repository, in the environment one has in a shell there: without what `cargo run` added for
    /// us, and without RUST_BACKTRACE, which makes the extension send backtraces to clients when a server inherits it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.workspace);
        for (name, _) in env::vars_os() {
            if let Some(name) = name.to_str().filter(|name| is_ours(name)) {
                command.env_remove(name);
            }
        }
        // What `cargo install` put there is found even where nobody added it to PATH.
        let bin = env::var_os("CARGO_HOME")
            .map_or_else(|| self.home.join(".cargo"), PathBuf::from)
            .join("bin");
        let path = env::var_os("PATH").unwrap_or_default();
        if !env::split_paths(&path).any(|directory| directory == bin)
            && let Ok(path) = env::join_paths(std::iter::once(bin).chain(env::split_paths(&path)))
        {
            command.env("PATH", path);
        }
        command
    }

    /// `cargo` with these arguments.
    pub fn cargo<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command("cargo");
        command.args(arguments);
        command
    }

    /// A command with root's rights: as it is for root, through sudo for others. Asks for the password once, before any progress line.
    pub fn privileged(&mut self, program: &str) -> Result<Command> {
        if self.root {
            return Ok(self.command(program));
        }
        if !has("sudo") {
            bail!("this needs root's rights: run it as root, or install sudo");
        }
        if !self.asked_sudo {
            let status = self.command("sudo").arg("-v").status()?;
            if !status.success() {
                bail!("sudo gave no rights to this user");
            }
            self.asked_sudo = true;
        }
        let mut command = self.command("sudo");
        command.arg(program);
        Ok(command)
    }

    /// A command as the user that runs servers.
    pub fn as_server_user(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("sudo");
        command.args(["-u", SERVER_USER]).arg(program);
        command
    }

    /// Is this an apt system?
    pub fn has_apt(&self) -> bool {
        self.system.debian && has("apt-get")
    }

    /// Is this Debian package installed?
    pub fn is_installed(&self, package: &str) -> bool {
        let shell = &self.shell;
        cmd!(shell, "dpkg-query -W -f '${Status}\n' {package}")
            .quiet()
            .ignore_stderr()
            .ignore_status()
            .read()
            .is_ok_and(|status| status.lines().any(|line| line == "install ok installed"))
    }

    /// Could apt install this package? Refreshes apt's lists once if it does not know it.
    pub fn apt_offers(&mut self, package: &str, progress: &Progress) -> Result<bool> {
        if !self.has_apt() {
            return Ok(false);
        }
        if self.apt_knows(package) {
            return Ok(true);
        }
        if self.updated {
            return Ok(false);
        }
        self.apt_update(progress)?;
        Ok(self.apt_knows(package))
    }

    fn apt_knows(&self, package: &str) -> bool {
        let shell = &self.shell;
        let policy = cmd!(shell, "apt-cache policy {package}")
            .env("LC_ALL", "C")
            .quiet()
            .ignore_stderr()
            .read();
        policy.is_ok_and(|policy| has_candidate(&policy))
    }

    fn apt_update(&mut self, progress: &Progress) -> Result<()> {
        self.updated = true;
        let mut command = self.privileged("apt-get")?;
        progress.run(
            "refreshing apt's lists",
            command.args(["-o", "DPkg::Lock::Timeout=300", "update"]),
        )
    }

    /// Installs packages by apt.
    pub fn apt_install(&mut self, packages: &[&str], progress: &Progress) -> Result<()> {
        for package in packages {
            if !self.apt_offers(package, progress)? {
                bail!(
                    "apt on {} has no package {package}; please install what it stands for, then run this again",
                    self.system.name
                );
            }
        }
        match self.apt_get_install(packages, progress) {
            Err(_) if !self.updated => {
                // Lists that are older than the mirror name files that are gone.
                self.apt_update(progress)?;
                self.apt_get_install(packages, progress)
            }
            result => result,
        }
    }

    fn apt_get_install(&mut self, packages: &[&str], progress: &Progress) -> Result<()> {
        let mut command = self.privileged("env")?;
        command.args([
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
        ]);
        command
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages);
        progress.run(
            format!("installing {} by apt", packages.join(" ")),
            &mut command,
        )
    }

    /// Does this operating-system user exist?
    pub fn has_user(&self, user: &str) -> bool {
        let shell = &self.shell;
        cmd!(shell, "id -u {user}")
            .quiet()
            .ignore_stderr()
            .ignore_stdout()
            .run()
            .is_ok()
    }
}

impl System {
    fn parse(release: &str) -> Self {
        let field = |wanted: &str| {
            let value = release
                .lines()
                .find_map(|line| line.split_once('=').filter(|(name, _)| *name == wanted))?
                .1;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let like = field("ID_LIKE").unwrap_or_default();
        let id = field("ID").unwrap_or_default();
        let name = field("PRETTY_NAME")
            .or_else(|| field("NAME"))
            .unwrap_or_else(|| env::consts::OS.to_owned());
        let debian = [id.as_str()]
            .into_iter()
            .chain(like.split_whitespace())
            .any(|id| id == "debian" || id == "ubuntu");
        Self { name, debian }
    }
}

/// Is this variable one that a command run by us should not inherit?
fn is_ours(name: &str) -> bool {
    let exact = [
        "CARGO",
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_PRIMARY_PACKAGE",
    ];
    let others = [
        "OUT_DIR",
        "RUST_BACKTRACE",
        "RUST_LIB_BACKTRACE",
        "RUST_RECURSION_COUNT",
    ];
    exact.contains(&name)
        || others.contains(&name)
        || name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_EXE_")
}

fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|candidate| candidate.trim() != "(none)")
}

/// Is there such a program in PATH?
pub fn has(program: &str) -> bool {
    find_program(program).is_some()
}

/// Where this program is in PATH.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_children_are_recognised() {
        let debian = System::parse(
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nID=debian\n",
        );
        assert_eq!(
            debian,
            System {
                name: "Debian GNU/Linux 12 (bookworm)".into(),
                debian: true
            }
        );
        assert!(System::parse("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n").debian);
        assert!(
            System::parse("NAME='Linux Mint'\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").debian
        );
    }

    #[test]
    fn other_systems_are_named() {
        let fedora = System::parse("NAME=\"Fedora Linux\"\nID=fedora\n");
        assert_eq!(
            fedora,
            System {
                name: "Fedora Linux".into(),
                debian: false
            }
        );
        assert_eq!(
            System::parse(""),
            System {
                name: env::consts::OS.into(),
                debian: false
            }
        );
    }

    #[test]
    fn apt_policy_is_read() {
        assert!(has_candidate(
            "postgresql-15:\n  Installed: (none)\n  Candidate: 15.20-0+deb12u1\n"
        ));
        assert!(!has_candidate(
            "postgresql-16:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }

    #[test]
    fn cargos_own_variables_stay_here() {
        assert!(is_ours("RUST_BACKTRACE") && is_ours("CARGO_PKG_NAME") && is_ours("CARGO"));
        assert!(!is_ours("CARGO_HOME") && !is_ours("CARGO_TARGET_DIR") && !is_ours("PGRX_HOME"));
    }
}
