//! Source packages by apt, without a trace in the system's own settings: sources, lists and cache lie in a directory of ours.

use crate::host::Host;
use crate::ui;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where apt keeps what it fetches from.
const SOURCES_LIST: &str = "/etc/apt/sources.list";
const SOURCES_PARTS: &str = "/etc/apt/sources.list.d";

/// An apt that knows source packages only: those of the repositories that have the binary package.
pub struct SourceApt<'a> {
    host: &'a Host,
    package: String,
    directory: PathBuf,
}

impl<'a> SourceApt<'a> {
    /// Fetches the lists of source packages. An error is a reason why there are none.
    pub fn new(host: &'a Host, package: &str, directory: &Path) -> Result<Self, String> {
        if !host.has_apt() {
            return Err(format!("{} has no apt", host.system.name));
        }
        let repositories = repositories(&madison(&mut host.command("apt-cache"), package)?);
        if repositories.is_empty() {
            return Err(format!("no apt source of this system has {package}"));
        }
        let apt = Self {
            host,
            package: package.to_owned(),
            directory: directory.to_path_buf(),
        };
        let sources = Sources::of_the_system().only(&repositories);
        if sources.is_empty() {
            return Err(format!(
                "no entry in {SOURCES_LIST} or {SOURCES_PARTS} is for {}",
                repositories.join(", ")
            ));
        }
        apt.write(&sources)
            .map_err(|error| format!("cannot write to {}: {error}", directory.display()))?;
        output(apt.private("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// The versions of the source package, newest first.
    pub fn versions(&self) -> Result<Vec<String>, String> {
        let text = madison(&mut self.private("apt-cache"), &self.package)?;
        Ok(rows(&text).map(|row| row.version.to_owned()).collect())
    }

    /// Fetches a version of the source package, and gives back its tarball.
    pub fn download(&self, version: &str) -> Result<PathBuf, String> {
        let mut command = self.private("apt-get");
        command.args(["source", "--download-only", "--only-source"]);
        output(command.arg(format!("{}={version}", self.package)))?;
        let wanted = format!("{}_{}.orig.tar.", self.package, upstream(version));
        find(&self.directory, |name| {
            name.starts_with(&wanted) && !name.ends_with(".asc")
        })
        .ok_or_else(|| format!("apt left no {wanted}*"))
    }

    fn write(&self, sources: &Sources) -> std::io::Result<()> {
        for directory in ["parts", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.directory.join(directory))?;
        }
        let parts = self.directory.join("parts");
        fs::write(parts.join("source.list"), &sources.lines)?;
        fs::write(parts.join("source.sources"), &sources.stanzas)
    }

    fn private(&self, program: &str) -> Command {
        let mut command = self.host.command(program);
        let option = |name: &str, value: PathBuf| format!("Dir::{name}={}", value.display());
        for option in [
            option("Etc::SourceList", "/dev/null".into()),
            option("Etc::SourceParts", self.directory.join("parts")),
            option("State::Lists", self.directory.join("lists")),
            option("Cache", self.directory.join("cache")),
        ] {
            command.arg("-o").arg(option);
        }
        command.current_dir(&self.directory);
        command
    }
}

/// Fetches a binary package with this upstream version into a directory. An error is a reason why it could not be had.
pub fn download_binary(
    host: &Host,
    package: &str,
    upstream_version: &str,
    directory: &Path,
) -> Result<PathBuf, String> {
    if !host.has_apt() {
        return Err(format!("{} has no apt", host.system.name));
    }
    let text = madison(&mut host.command("apt-cache"), package)?;
    let version = rows(&text)
        .map(|row| row.version)
        .find(|version| upstream(version) == upstream_version)
        .ok_or_else(|| format!("apt has no {package} {upstream_version}"))?;
    let mut command = host.command("apt-get");
    command.current_dir(directory).arg("download");
    output(command.arg(format!("{package}={version}")))?;
    let prefix = format!("{package}_");
    find(directory, |name| {
        name.starts_with(&prefix) && name.ends_with(".deb")
    })
    .ok_or_else(|| format!("apt left no {package}"))
}

fn find(directory: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let files = fs::read_dir(directory).ok()?.flatten();
    files.map(|file| file.path()).find(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(&wanted)
    })
}

/// `15.20-0+deb12u1` → `15.20`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version
        .rsplit_once('-')
        .map_or(version, |(upstream, _)| upstream)
}

/// Runs a command for its output; the error is what it complained about.
pub fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| format!("cannot run {shown}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = complaints
        .lines()
        .filter(|line| line.starts_with("E: "))
        .collect();
    let why = errors.first().copied().unwrap_or_else(|| complaints.trim());
    Err(format!("{shown}: {why}"))
}

/// The command as one would type it, without the options that keep apt in our directory.
fn shown(command: &Command) -> String {
    let mut short = Command::new(command.get_program());
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        if argument == "-o" {
            arguments.next();
        } else {
            short.arg(argument);
        }
    }
    ui::shown(&short)
}

fn madison(apt_cache: &mut Command, package: &str) -> Result<String, String> {
    output(apt_cache.args(["madison", package]))
}

/// A row of `apt-cache madison`: `postgresql-15 | 15.20-0+deb12u1 | URI SUITE/COMPONENT amd64 Packages`.
struct Row<'a> {
    version: &'a str,
    repository: &'a str,
}

fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().filter_map(|line| {
        let mut columns = line.split('|').skip(1).map(str::trim);
        Some(Row {
            version: columns.next()?,
            repository: columns.next()?.split_whitespace().next()?,
        })
    })
}

fn repositories(madison: &str) -> Vec<String> {
    let mut all: Vec<String> = rows(madison)
        .map(|row| row.repository.trim_end_matches('/').to_owned())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Entries of sources in both of apt's notations.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sources {
    lines: String,
    stanzas: String,
}

impl Sources {
    fn of_the_system() -> Self {
        let mut sources = Self::default();
        let mut add = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("list") => sources.lines += &format!("{text}\n"),
                Some("sources") => sources.stanzas += &format!("{text}\n\n"),
                _ => {}
            }
        };
        add(Path::new(SOURCES_LIST));
        for part in fs::read_dir(SOURCES_PARTS).into_iter().flatten().flatten() {
            add(&part.path());
        }
        sources
    }

    /// The entries for binary packages of these repositories, turned into entries for source packages.
    fn only(&self, repositories: &[String]) -> Self {
        let wanted = |uri: &str| {
            repositories
                .iter()
                .any(|known| known == uri.trim_end_matches('/'))
        };
        let lines = self.lines.lines().filter_map(|line| {
            let rest = line.trim().strip_prefix("deb ")?;
            rest.split_whitespace()
                .any(wanted)
                .then(|| format!("deb-src {rest}\n"))
        });
        Self {
            lines: lines.collect(),
            stanzas: self
                .stanzas
                .split("\n\n")
                .filter_map(|stanza| source_stanza(stanza, wanted))
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.stanzas.is_empty()
    }
}

fn source_stanza(stanza: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    let lines = stanza.lines().filter(|line| !line.starts_with('#'));
    let field = |name: &str| {
        let line = lines.clone().find(|line| {
            line.split_once(':')
                .is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
        })?;
        Some((line, line.split_once(':')?.1))
    };
    let (types, values) = field("Types")?;
    let disabled = field("Enabled").is_some_and(|(_, value)| value.trim() == "no");
    let binary = values.split_whitespace().any(|value| value == "deb");
    if disabled || !binary || !field("URIs")?.1.split_whitespace().any(wanted) {
        return None;
    }
    let changed = lines.clone().map(|line| {
        if line == types {
            "Types: deb-src"
        } else {
            line
        }
    });
    Some(changed.collect::<Vec<_>>().join("\n") + "\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADISON: &str = "\
postgresql-15 | 15.20-0+deb12u1 | http://mirror.test/security stable-security/main amd64 Packages
postgresql-15 | 15.18-0+deb12u1 | http://mirror.test/debian/ stable/main amd64 Packages
";

    #[test]
    fn versions_and_repositories_are_read() {
        let versions: Vec<&str> = rows(MADISON).map(|row| row.version).collect();
        assert_eq!(versions, ["15.20-0+deb12u1", "15.18-0+deb12u1"]);
        assert_eq!(
            repositories(MADISON),
            ["http://mirror.test/debian", "http://mirror.test/security"]
        );
        assert_eq!(upstream("15.20-0+deb12u1"), "15.20");
        assert_eq!(upstream("1:16.4-1.pgdg120+1"), "16.4");
    }

    #[test]
    fn only_the_wanted_entries_become_sources() {
        let system = Sources {
            lines: "# deb http://mirror.test/debian old main\n\
                    deb [arch=amd64 signed-by=/k] http://mirror.test/debian/ stable main\n\
                    deb http://other.test/ stable main\n"
                .into(),
            stanzas: "Types: deb\n# a comment\nURIs: http://mirror.test/security\nSuites: stable-security\n\
                      Components: main\nSigned-By: /k\n\nTypes: deb\nURIs: http://other.test\n\n\
                      Types: deb\nEnabled: no\nURIs: http://mirror.test/debian\n"
                .into(),
        };
        let sources = system.only(&repositories(MADISON));
        assert_eq!(
            sources.lines,
            "deb-src [arch=amd64 signed-by=/k] http://mirror.test/debian/ stable main\n"
        );
        assert_eq!(
            sources.stanzas,
            "Types: deb-src\nURIs: http://mirror.test/security\nSuites: stable-security\nComponents: main\nSigned-By: /k\n\n"
        );
        assert!(system.only(&[]).is_empty());
    }
}
