//! Folders with a file `run` in them: other people's programs that are run against our servers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};

/// What a program that runs recipes was asked for: `--tools DIRECTORY [--WORD …] [NAME…]`.
pub struct Wanted {
    /// Where what recipes need is installed.
    pub tools: PathBuf,
    /// The words.
    pub options: Vec<String>,
    /// Recipes; none means all.
    pub names: Vec<String>,
}

/// Runs such a program, which gives whether all went well.
pub fn main(run: fn(&Wanted) -> Result<bool>) -> ExitCode {
    match wanted().and_then(|wanted| run(&wanted)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn wanted() -> Result<Wanted> {
    let mut arguments = std::env::args().skip(1);
    let (mut tools, mut options, mut names) = (None, Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--") {
            Some("tools") => tools = arguments.next(),
            Some(option) => options.push(option.to_owned()),
            None => names.push(argument),
        }
    }
    let tools = PathBuf::from(tools.context("--tools says where programs are installed")?);
    Ok(Wanted {
        tools: tools.canonicalize().context("--tools is no directory")?,
        options,
        names,
    })
}

/// One of them.
pub struct Recipe {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub directory: PathBuf,
}

impl Recipe {
    /// All in a folder of this package, or those of these names, by name.
    pub fn all(folder: &str, names: &[String]) -> Result<Vec<Recipe>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut found = Vec::new();
        for entry in fs::read_dir(&root).with_context(|| format!("{}", root.display()))? {
            let directory = entry?.path();
            let name = directory.file_name().unwrap_or_default();
            if directory.join("run").is_file() {
                found.push(Recipe {
                    name: name.to_string_lossy().into_owned(),
                    directory,
                });
            }
        }
        for name in names {
            ensure!(
                found.iter().any(|recipe| recipe.name == *name),
                "there is no \"{name}\" in {}",
                root.display()
            );
        }
        found.retain(|recipe| names.is_empty() || names.contains(&recipe.name));
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Its `run`, with what is installed in `tools`.
    pub fn command(&self, tools: &Path) -> Command {
        let mut command = Command::new("sh");
        command.arg("-eu").arg(self.directory.join("run"));
        command.stdin(Stdio::null());
        command.env("TOOLS", tools).env("HERE", &self.directory);
        let mut path = vec![
            tools.join("python/bin"),
            tools.join("node/node_modules/.bin"),
        ];
        let before = std::env::var_os("PATH").unwrap_or_default();
        path.extend(std::env::split_paths(&before));
        if let Ok(path) = std::env::join_paths(path) {
            command.env("PATH", path);
        }
        command
    }

    /// What it says of its version.
    pub fn version(&self, tools: &Path) -> Result<String> {
        let output = self.command(tools).arg("version").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Has a command connect to that database as that role.
pub fn connect(command: &mut Command, port: u16, (role, password): (&str, &str), database: &str) {
    let port = port.to_string();
    let url = format!("postgresql://{role}:{password}@127.0.0.1:{port}/{database}");
    command
        .env("DATABASE_URL", url)
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", &port)
        .env("PGUSER", role)
        .env("PGPASSWORD", password)
        .env("PGDATABASE", database)
        .env("PGSSLMODE", "disable");
}
