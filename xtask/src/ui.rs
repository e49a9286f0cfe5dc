//! What the person at the terminal sees: numbered progress, headings, the table at the end.

use anyhow::{Context, Result, bail};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How many lines of a failed command's output are shown.
const TAIL: usize = 25;
/// How often a long command says that it is still running where no terminal shows a clock.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Numbered steps, `[2/6] PostgreSQL 15 … found`, with the output of what they run in a log file.
pub struct Progress {
    total: usize,
    number: usize,
    title: String,
    log: PathBuf,
}

impl Progress {
    /// Starts counting to `total`; `log` is made anew.
    pub fn new(total: usize, log: PathBuf) -> Result<Self> {
        if let Some(directory) = log.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        }
        File::create(&log).with_context(|| format!("cannot write the log {}", log.display()))?;
        Ok(Self {
            total,
            number: 0,
            title: String::new(),
            log,
        })
    }

    /// Begins the next step.
    pub fn step(&mut self, title: impl Display) {
        self.number += 1;
        self.title = title.to_string();
    }

    /// Says something about the step, on a line of its own.
    pub fn say(&self, what: impl Display) {
        println!("{} {what}", self.prefix());
    }

    /// Runs a command of this step: its output goes to the log, and its end is shown if it fails.
    pub fn run(&self, what: impl Display, command: &mut Command) -> Result<()> {
        let mut log = OpenOptions::new()
            .append(true)
            .open(&self.log)
            .context("cannot write the log")?;
        writeln!(log, "\n$ {}", shown(command))?;
        let before = log.metadata()?.len();
        let prefix = self.prefix();
        let status = watch(
            &format!("{prefix} {what}"),
            command
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log),
        )?;
        if status.success() {
            return Ok(());
        }
        eprintln!("{}", tail(&self.log, before).unwrap_or_default());
        bail!(
            "{} failed ({status}): {}\nall of its output is in {}",
            what,
            shown(command),
            self.log.display()
        );
    }

    fn prefix(&self) -> String {
        format!("[{}/{}] {} …", self.number, self.total, self.title)
    }
}

/// Waits for a command while showing that time passes.
fn watch(line: &str, command: &mut Command) -> Result<ExitStatus> {
    let start = Instant::now();
    let terminal = stdout().is_terminal();
    let mut said = start;
    if !terminal {
        println!("{line}");
    }
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if terminal {
            print!("\r{line} ({})", seconds(start.elapsed()));
            stdout().flush()?;
        } else if said.elapsed() >= HEARTBEAT {
            said = Instant::now();
            println!("{line}, still running after {}", seconds(start.elapsed()));
        }
        sleep(Duration::from_millis(100));
    };
    if terminal {
        println!("\r{line} ({})", seconds(start.elapsed()));
    }
    Ok(status)
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The last lines of what a command wrote to the log after the byte `from`.
fn tail(log: &Path, from: u64) -> Result<String> {
    let bytes = std::fs::read(log)?;
    let text = String::from_utf8_lossy(bytes.get(from as usize..).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(TAIL)..];
    Ok(shown
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n"))
}

/// A duration for people: `4.2 s`, `3 min 05 s`.
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}

/// A heading between the outputs of test steps.
pub fn heading(number: usize, total: usize, title: &str) {
    let line = format!("── {number}/{total}  {title} ");
    let rule = "─".repeat(78_usize.saturating_sub(line.chars().count()));
    if stdout().is_terminal() {
        println!("\n\x1b[1m{line}{rule}\x1b[0m");
    } else {
        println!("\n{line}{rule}");
    }
}

/// How a step of `cargo xtask test` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Passed,
    /// It did not; why is above in the output.
    Failed,
    /// Not run, and why.
    Skipped(String),
}

/// One line of the table at the end.
pub struct Line {
    /// What was run.
    pub title: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub time: Duration,
}

/// The table of steps, and as its last line `N passed, N failed`.
pub fn table(lines: &[Line]) -> String {
    let width = lines
        .iter()
        .map(|line| line.title.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for Line {
        title,
        outcome,
        time,
    } in lines
    {
        let (mark, note) = match outcome {
            Outcome::Passed => ("ok     ", seconds(*time)),
            Outcome::Failed => ("FAILED ", seconds(*time)),
            Outcome::Skipped(why) => ("skipped", why.clone()),
        };
        text += &format!("  {mark}  {title:width$}  {note}\n");
    }
    let count =
        |wanted: fn(&Outcome) -> bool| lines.iter().filter(|line| wanted(&line.outcome)).count();
    let passed = count(|outcome| *outcome == Outcome::Passed);
    let failed = count(|outcome| *outcome == Outcome::Failed);
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    text += &format!("\n{passed} passed, {failed} failed");
    if skipped > 0 {
        text += &format!(", {skipped} skipped");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(seconds(Duration::from_millis(4230)), "4.2 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'a b'", ""]);
        assert_eq!(shown(&command), r"sh -c 'echo '\''a b'\''' ''");
    }

    #[test]
    fn the_table_ends_with_the_counts() {
        let line = |title: &str, outcome| Line {
            title: title.into(),
            outcome,
            time: Duration::from_secs(1),
        };
        let text = table(&[
            line("a", Outcome::Passed),
            line("long", Outcome::Failed),
            line("c", Outcome::Skipped("no".into())),
        ]);
        assert_eq!(text.lines().last(), Some("1 passed, 1 failed, 1 skipped"));
        assert!(
            text.starts_with("  ok       a     1.0 s\n  FAILED   long  1.0 s\n"),
            "{text}"
        );
        assert!(table(&[line("a", Outcome::Passed)]).ends_with("\n1 passed, 0 failed"));
    }

    #[test]
    fn the_tail_of_a_log_begins_where_the_command_did() -> Result<()> {
        let log = std::env::temp_dir().join(format!("xtask-tail-{}", std::process::id()));
        std::fs::write(&log, "before\nafter\n")?;
        let text = tail(&log, 7)?;
        std::fs::remove_file(&log)?;
        assert_eq!(text, "    after");
        Ok(())
    }
}
