//! Other people's programs that are run against our servers: what they need, and how they are run.
//!
//! A recipe is a folder with a file `run`. What it needs stands there: directories of `tests/frameworks/tools`, which pip and npm
//! fill, and packages of apt's. What is in Rust are projects of their own, which `run` builds.

use crate::host::{Host, has};
use crate::postgres::Server;
use crate::ui::{self, Progress};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What pip and npm install.
const TOOLS: &str = "tests/frameworks/tools";
/// In front of what a `run` needs.
const NEEDS: &str = "# Needs:";
/// What `cargo xtask test` runs: recipes that need nothing else.
const FAST: [&str; 2] = ["python", "postgresql-client"];

/// A folder of recipes, which is also the name of the program that runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite(pub &'static str);

/// A recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    name: String,
    needs: Vec<String>,
}

impl Recipe {
    fn is_fast(&self) -> bool {
        self.needs.iter().all(|need| FAST.contains(&need.as_str()))
    }
}

impl Suite {
    /// All of its recipes, by name.
    fn all(self, host: &Host) -> Result<Vec<Recipe>> {
        let root = host.workspace.join("tests").join(self.0);
        let mut found = Vec::new();
        for entry in fs::read_dir(&root).with_context(|| format!("{}", root.display()))? {
            let directory = entry?.path();
            let Ok(text) = fs::read_to_string(directory.join("run")) else {
                continue;
            };
            let name = directory.file_name().unwrap_or_default();
            found.push(Recipe {
                name: name.to_string_lossy().into_owned(),
                needs: needs(&text),
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Those that are a step of `cargo xtask test`.
    pub fn fast(self, host: &Host) -> Result<Vec<Recipe>> {
        let all = self.all(host)?;
        Ok(all.into_iter().filter(Recipe::is_fast).collect())
    }

    /// Those of these names, or all.
    pub fn chosen(self, host: &Host, names: &[String]) -> Result<Vec<Recipe>> {
        let all = self.all(host)?;
        let is_unknown = |name: &&String| all.iter().all(|recipe| recipe.name != **name);
        if let Some(unknown) = names.iter().find(is_unknown) {
            let known: Vec<&str> = all.iter().map(|recipe| recipe.name.as_str()).collect();
            bail!(
                "there is no \"{unknown}\" in tests/{}; there are {}",
                self.0,
                known.join(", ")
            );
        }
        let is_wanted = |recipe: &Recipe| names.is_empty() || names.contains(&recipe.name);
        Ok(all.into_iter().filter(is_wanted).collect())
    }

    /// Runs them against a server with the extension that is installed; whether all went well.
    pub fn run(
        self,
        host: &Host,
        server: &Server,
        recipes: &[Recipe],
        options: &[&str],
    ) -> Result<bool> {
        let mut command = host.cargo([
            "run",
            "--quiet",
            "--package",
            "electric_tests",
            "--bin",
            self.0,
            "--",
        ]);
        command
            .arg("--tools")
            .arg(tools(host))
            .args(options)
            .args(recipes.iter().map(|recipe| recipe.name.as_str()))
            .env("ELECTRIC_PG_CONFIG", &server.pg_config);
        let status = command
            .status()
            .with_context(|| format!("cannot run {}", ui::shown(&command)))?;
        Ok(status.success())
    }
}

/// Prints what there is, with what each needs.
pub fn list(recipes: &[Recipe]) {
    for Recipe { name, needs } in recipes {
        println!("{name:<18} {}", needs.join(" "));
    }
}

fn tools(host: &Host) -> PathBuf {
    host.target.join("frameworks")
}

fn needs(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(NEEDS));
    let words = line.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

/// Installs what they need.
pub fn prepare(host: &mut Host, recipes: &[Recipe], progress: &mut Progress) -> Result<()> {
    progress.step("what they need");
    fs::create_dir_all(tools(host))?;
    let mut needs: Vec<&str> = recipes
        .iter()
        .flat_map(|recipe| recipe.needs.iter().map(String::as_str))
        .collect();
    needs.sort_unstable();
    needs.dedup();
    let source = |need: &str| host.workspace.join(TOOLS).join(need);
    let (sets, packages): (Vec<&str>, Vec<&str>) =
        needs.into_iter().partition(|need| source(need).is_dir());
    let sets: Vec<(PathBuf, PathBuf)> = sets
        .into_iter()
        .map(|set| (source(set), tools(host).join(set)))
        .collect();
    ensure_packages(host, &packages, progress)?;
    for (from, to) in sets {
        if is_filled(&from, &to) {
            continue;
        }
        if from.join("package.json").is_file() {
            by_npm(host, &from, &to, progress)?;
        } else {
            by_pip(host, &from, &to, progress)?;
        }
        // Last, so that half of it is never taken for the whole.
        copy(&from, &to)?;
    }
    progress.say("found");
    Ok(())
}

fn ensure_packages(host: &mut Host, packages: &[&str], progress: &Progress) -> Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|package| !host.is_installed(package))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if host.has_apt() {
        return host.apt_install(&missing, progress);
    }
    // Elsewhere their names are others, and a run without them says what it lacks.
    progress.say(format_args!(
        "{} has no apt; hopefully there is what these stand for: {}",
        host.system.name,
        missing.join(", ")
    ));
    Ok(())
}

fn by_npm(host: &mut Host, from: &Path, to: &Path, progress: &Progress) -> Result<()> {
    if !has("npm") {
        host.apt_install(&["nodejs", "npm"], progress)?;
    }
    renew(to)?;
    fs::copy(from.join("package.json"), to.join("package.json"))?;
    let mut npm = host.command("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(to);
    progress.run(
        "installing what is in JavaScript by npm",
        npm.current_dir(to),
    )
}

fn by_pip(host: &mut Host, from: &Path, to: &Path, progress: &Progress) -> Result<()> {
    let venv = |host: &Host| {
        let mut python = host.command("python3");
        python.args(["-m", "venv", "--clear"]).arg(to);
        python
    };
    renew(to)?;
    if host.has_apt() && !host.is_installed("python3-venv") {
        host.apt_install(&["python3-venv"], progress)?;
    }
    progress.run("making an environment for Python", &mut venv(host))?;
    let mut pip: Command = host.command(to.join("bin/pip"));
    pip.args(["install", "--disable-pip-version-check", "--requirement"])
        .arg(from.join("requirements.txt"));
    progress.run("installing what is in Python by pip", &mut pip)
}

/// Whether everything in a directory is in the other, as it is.
fn is_filled(from: &Path, to: &Path) -> bool {
    let Ok(files) = fs::read_dir(from) else {
        return false;
    };
    files.flatten().all(|file| {
        let there = fs::read(to.join(".made-from").join(file.file_name()));
        fs::read(file.path()).is_ok_and(|here| there.is_ok_and(|there| here == there))
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let kept = to.join(".made-from");
    fs::create_dir_all(&kept)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        for target in [to, &kept] {
            fs::copy(file.path(), target.join(file.file_name()))?;
        }
    }
    Ok(())
}

fn renew(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make the directory {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_needs_is_read() {
        assert_eq!(needs("# Knex.\n# Needs: node\nexec knex"), ["node"]);
        assert_eq!(
            needs("# Needs:  node  default-jre-headless"),
            ["node", "default-jre-headless"]
        );
        assert_eq!(needs("exec x"), Vec::<String>::new());
    }

    #[test]
    fn every_recipe_says_what_it_needs() {
        let host = Host::new().unwrap();
        for suite in [Suite("frameworks"), Suite("clients")] {
            for recipe in suite.all(&host).unwrap() {
                assert!(!recipe.needs.is_empty(), "{}", recipe.name);
            }
            assert!(!suite.fast(&host).unwrap().is_empty());
        }
    }
}
