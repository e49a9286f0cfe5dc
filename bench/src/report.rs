//! What was measured, as a table in the terminal, a table in Markdown and plots.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::plot;
use crate::statements::{Rounds, Workload, ratios};
use crate::statistics::Summary;
use crate::subject::{Kind, Server, Sizes, State, Subject};
use crate::tasks::{Bar, Task};

/// A line of the table.
struct Line {
    workload: String,
    server: String,
    cost: String,
    cpu: String,
    wall: String,
    bar: String,
    verdict: &'static str,
}

/// The table that grows.
pub struct Report {
    directory: PathBuf,
    sizes: Sizes,
    rounds: usize,
    server: String,
    missing: Vec<String>,
    lines: Vec<Line>,
}

impl Report {
    /// An empty one, whose files go there.
    pub fn new(directory: &Path, sizes: Sizes, rounds: usize) -> Result<Report> {
        Ok(Report {
            directory: directory.to_owned(),
            sizes,
            rounds,
            server: String::new(),
            missing: Vec::new(),
            lines: Vec::new(),
        })
    }

    /// Notes which server it is.
    pub fn server(&mut self, server: &Server) -> Result<()> {
        self.server = server.version()?;
        Ok(())
    }

    /// Notes that something was not there to be measured.
    pub fn missing(&mut self, name: &str) {
        self.missing.push(name.to_owned());
    }

    /// Adds the lines and the plot of a workload.
    pub fn statements(&mut self, workload: &Workload, rounds: &Rounds) -> Result<()> {
        let mut bars = Vec::new();
        let mut peer = f64::INFINITY;
        let mut plain: Option<Vec<f64>> = None;
        let mut lines = Vec::new();
        for (subject, costs) in rounds {
            let base = rounds
                .get(&subject.baseline())
                .context("no stock server took part")?;
            let cpu = ratios(costs, base, |cost| cost.cpu)?;
            let wall = ratios(costs, base, |cost| cost.wall)?;
            let (Some(ratio), Some(wall)) = (Summary::of(&cpu), Summary::of(&wall)) else {
                continue;
            };
            let micros: Vec<f64> = costs.iter().map(|cost| micros(cost.cpu)).collect();
            let cost = Summary::of(&micros).map_or(0.0, |summary| summary.median);
            let is_stock = subject.kind == Kind::Stock;
            if !is_stock {
                bars.push(plot::Bar {
                    label: subject.name(self.sizes),
                    ratio,
                    rounds: cpu.clone(),
                });
            }
            if subject.kind == Kind::PglDdlDeploy {
                peer = ratio.median;
            }
            let judged = matches!(subject.kind, Kind::Electric | Kind::Preloaded)
                && subject.state == State::Small;
            lines.push((
                *subject,
                ratio.median,
                Line {
                    workload: workload.title.to_owned(),
                    server: subject.name(self.sizes),
                    cost: format!("{cost:.1} µs of CPU"),
                    cpu: if is_stock { "1".into() } else { shown(ratio) },
                    wall: if is_stock { "1".into() } else { shown(wall) },
                    bar: if judged {
                        format!("≤ {}", workload.bar)
                    } else {
                        String::new()
                    },
                    verdict: "",
                },
            ));
            if *subject == Subject::from(Kind::Electric) {
                plain = Some(cpu);
            } else if subject.kind == Kind::Electric
                && let Some(plain) = &plain
            {
                let growth: Vec<f64> = cpu
                    .iter()
                    .zip(plain)
                    .map(|(big, small)| big / small)
                    .collect();
                if let Some(growth) = Summary::of(&growth) {
                    lines.push((
                        *subject,
                        growth.median,
                        Line {
                            workload: format!("{}: growth", workload.title),
                            server: subject.name(self.sizes),
                            cost: String::new(),
                            cpu: shown(growth),
                            wall: String::new(),
                            bar: "≤ 1.10".into(),
                            verdict: verdict(growth.median <= 1.10),
                        },
                    ));
                }
            }
        }
        for (subject, ratio, mut line) in lines {
            if !line.bar.is_empty() && line.verdict.is_empty() {
                let beats_peer = !workload.logged.is_some_and(|_| ratio >= peer);
                line.verdict = verdict(ratio <= workload.bar && beats_peer);
            }
            let _ = subject;
            self.lines.push(line);
        }
        let file = self.directory.join(format!("{}.svg", workload.name));
        plot::draw(&file, workload.title, workload.bar, &bars)
    }

    /// Adds the lines and the plot of something that is done as a whole: what each side took, round by round.
    pub fn task(&mut self, task: &Task, sides: &[Vec<f64>]) -> Result<()> {
        let title = (task.title)(self.sizes);
        let base = sides.first().context("nothing was measured")?;
        let mut bars = Vec::new();
        for (at, (label, side)) in task.sides.iter().zip(sides).enumerate() {
            let ratios: Vec<f64> = side
                .iter()
                .zip(base)
                .map(|(one, base)| one / base)
                .collect();
            let more: Vec<f64> = side
                .iter()
                .zip(base)
                .map(|(one, base)| one - base)
                .collect();
            let (Some(cost), Some(ratio), Some(more)) =
                (Summary::of(side), Summary::of(&ratios), Summary::of(&more))
            else {
                continue;
            };
            let (bar, verdict) = match task.bar {
                // What comes after the second side is for comparison.
                _ if at != 1 => (String::new(), ""),
                Bar::Ratio(most) => (format!("≤ {most}"), verdict(ratio.median <= most)),
                Bar::More(most) => (
                    format!("≤ {most} {} more", task.unit),
                    verdict(more.median <= most),
                ),
                Bar::AtLeast(least) => (format!("≥ {least}"), verdict(ratio.median >= least)),
                Bar::None => (String::new(), ""),
            };
            self.lines.push(Line {
                workload: title.clone(),
                server: (*label).to_owned(),
                cost: format!("{:.1} {}", cost.median, task.unit),
                cpu: if at == 0 { "1".into() } else { shown(ratio) },
                wall: String::new(),
                bar,
                verdict,
            });
            if at > 0 {
                bars.push(plot::Bar {
                    label: (*label).to_owned(),
                    ratio,
                    rounds: ratios,
                });
            }
        }
        let bar = match task.bar {
            Bar::Ratio(bar) | Bar::AtLeast(bar) => bar,
            Bar::More(_) | Bar::None => 1.0,
        };
        let file = self.directory.join(format!("{}.svg", task.name));
        plot::draw(&file, &title, bar, &bars)
    }

    /// Prints the table and writes it down.
    pub fn finish(&self) -> Result<()> {
        let head = [
            "workload",
            "server",
            "cost",
            "ratio",
            "wall ratio",
            "bar",
            "",
        ];
        let rows: Vec<[&str; 7]> = self
            .lines
            .iter()
            .map(|l| {
                [
                    &*l.workload,
                    &*l.server,
                    &*l.cost,
                    &*l.cpu,
                    &*l.wall,
                    &*l.bar,
                    l.verdict,
                ]
            })
            .collect();
        println!("\n{}", plain(&head, &rows));
        let mut text = format!(
            "PostgreSQL {}, {} rounds; {}; servers' data in {}.\n\n",
            self.server,
            self.rounds,
            machine(),
            crate::clock::directory().display()
        );
        text += &markdown(&head, &rows);
        for missing in &self.missing {
            let _ = writeln!(text, "\nNot installed, so not measured: {missing}.");
        }
        let file = self.directory.join("performance.md");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        println!(
            "written: {} and a plot per workload beside it",
            file.display()
        );
        Ok(())
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

fn shown(summary: Summary) -> String {
    format!("{:.3} ± {:.3}", summary.median, summary.spread)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The processor, as the system calls it.
fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |line: &str| Some(line.split_once(':')?.1.trim().to_owned());
    let model = text.lines().find(|line| line.starts_with("model name"));
    let cores = text
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = model
        .and_then(field)
        .unwrap_or_else(|| "unknown processor".into());
    format!("{model}, {cores} cores")
}

fn plain(head: &[&str; 7], rows: &[[&str; 7]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(head).chain(rows) {
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(text, "{cell:<width$}  ");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn markdown(head: &[&str; 7], rows: &[[&str; 7]]) -> String {
    let line = |row: &[&str; 7]| format!("| {} |\n", row.join(" | "));
    let mut text = line(head) + &line(&["---"; 7]);
    for row in rows {
        text += &line(row);
    }
    text
}
