//! Compares the results of two runs, file by file.

use crate::host::Host;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The lines that a place in a file lost (`-`) and gained (`+`), in order.
pub type Hunk = Vec<String>;

/// A file of results that is not the same in both runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The test it is of.
    pub test: String,
    /// What differs.
    pub hunks: Vec<Hunk>,
    /// The same for people, with the lines around.
    pub text: String,
}

/// The files that differ between two directories of results.
pub fn compare(host: &Host, one: &Path, other: &Path) -> Result<Vec<Difference>> {
    let names: BTreeSet<String> = files(one)?.into_iter().chain(files(other)?).collect();
    let mut differences = vec![];
    for name in names {
        let (one, other) = (one.join(&name), other.join(&name));
        if one.exists() && other.exists() && fs::read(&one)? == fs::read(&other)? {
            continue;
        }
        differences.push(Difference {
            test: name.strip_suffix(".out").unwrap_or(&name).to_owned(),
            hunks: hunks(&diff(host, 0, &one, &other)?),
            text: diff(host, 3, &one, &other)?,
        });
    }
    Ok(differences)
}

/// The names of the files in a directory.
pub fn files(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("no results in {}", directory.display()))?;
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    Ok(files
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

fn diff(host: &Host, context: usize, one: &Path, other: &Path) -> Result<String> {
    let label = |path: &Path| {
        let mut parts = path
            .components()
            .rev()
            .map(|part| part.as_os_str().to_string_lossy());
        let (file, run) = (
            parts.next().unwrap_or_default(),
            parts.nth(1).unwrap_or_default(),
        );
        format!("--label={run}/{file}")
    };
    let mut command = host.command("diff");
    command.args([
        "-a",
        "-N",
        &format!("-U{context}"),
        &label(one),
        &label(other),
    ]);
    let output = command
        .arg(one)
        .arg(other)
        .env("LC_ALL", "C")
        .output()
        .context("cannot run diff")?;
    if output.status.code() != Some(1) {
        bail!(
            "diff failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The hunks in the output of `diff -U0`. Trailing space does not count: an editor may take it out of a file of hunks.
fn hunks(diff: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = vec![];
    for line in diff.lines().skip(2) {
        match hunks.last_mut() {
            _ if line.starts_with("@@ ") => hunks.push(vec![]),
            Some(hunk) => hunk.push(line.trim_end().to_owned()),
            None => {}
        }
    }
    hunks
}

/// Which tests in the directory of `tests` did not give what their authors expect: none of `NAME.out`, `NAME_1.out`, …
pub fn unexpected(tests: &[String], results: &Path, expected: &Path) -> Vec<String> {
    let as_expected = |test: &&String| {
        let Ok(result) = fs::read(results.join(format!("{test}.out"))) else {
            return false;
        };
        let alternatives = (1..10).map(|number| format!("{test}_{number}.out"));
        std::iter::once(format!("{test}.out"))
            .chain(alternatives)
            .any(|name| fs::read(expected.join(name)).is_ok_and(|text| text == result))
    };
    tests
        .iter()
        .filter(|test| !as_expected(test))
        .cloned()
        .collect()
}

/// The tests that a schedule of pg_regress names.
pub fn scheduled(schedule: &str) -> Vec<String> {
    let groups = schedule
        .lines()
        .filter_map(|line| line.trim().strip_prefix("test:"));
    groups
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_told_apart() {
        let text = "--- a\n+++ b\n@@ -1 +1 @@\n-a  \n+b\n@@ -5,0 +6 @@\n+--- c\n";
        assert_eq!(hunks(text), [vec!["-a", "+b"], vec!["+--- c"]]);
    }

    #[test]
    fn a_schedule_is_read() {
        assert_eq!(
            scheduled("# no\ntest: a\n\ntest: b c\nignore: d\n"),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn directories_are_compared_both_ways() -> Result<()> {
        let host = Host::new()?;
        let base = std::env::temp_dir().join(format!("xtask-compare-{}", std::process::id()));
        let (one, other) = (base.join("stock/results"), base.join("electric/results"));
        fs::create_dir_all(&one)?;
        fs::create_dir_all(&other)?;
        for (path, text) in [
            (one.join("same.out"), "x\n"),
            (other.join("same.out"), "x\n"),
            (one.join("changed.out"), "x\ny\n"),
            (other.join("changed.out"), "x\nz\n"),
            (other.join("more.out"), "x\n"),
        ] {
            fs::write(path, text)?;
        }
        let differences = compare(&host, &one, &other);
        fs::remove_dir_all(&base)?;
        let differences = differences?;
        let short: Vec<_> = differences
            .iter()
            .map(|it| (it.test.as_str(), it.hunks.clone()))
            .collect();
        assert_eq!(
            short,
            [
                ("changed", vec![vec!["-y".to_owned(), "+z".to_owned()]]),
                ("more", vec![vec!["+x".to_owned()]])
            ]
        );
        assert!(
            differences[0]
                .text
                .starts_with("--- stock/changed.out\n+++ electric/changed.out\n")
        );
        Ok(())
    }
}
