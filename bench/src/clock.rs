//! What a statement costs: time on the wall and on the backend's core, both of them pinned.

use std::fs;
use std::ops::AddAssign;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// Time that passed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// What the backend was on its core.
    pub cpu: Duration,
    /// What the client waited.
    pub wall: Duration,
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }
}

/// How long a process has been on a core. While we run on the core that it is pinned to, it does not: the number is
/// exact.
pub fn cpu(pid: i32) -> Result<Duration> {
    let file = format!("/proc/{pid}/schedstat");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let nanoseconds = text.split_whitespace().next().unwrap_or_default().parse();
    Ok(Duration::from_nanos(
        nanoseconds.with_context(|| format!("{file} says {text:?}"))?,
    ))
}

/// What `body` costs in that backend.
pub fn cost(pid: i32, body: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (cpu_before, begin) = (cpu(pid)?, Instant::now());
    body()?;
    let wall = begin.elapsed();
    Ok(Cost {
        cpu: cpu(pid)?.saturating_sub(cpu_before),
        wall,
    })
}

/// This thread on one core, until it is dropped.
pub struct Pinned {
    before: CpuSet,
    core: CpuSet,
}

impl Pinned {
    /// Pins this thread to the last core that it may use: interrupts like the first.
    pub fn new() -> Result<Pinned> {
        let before = sched_getaffinity(None).context("cannot see which cores there are")?;
        let last = (0..CpuSet::MAX_CPU).rfind(|core| before.is_set(*core));
        let mut core = CpuSet::new();
        core.set(last.context("no core to run on")?);
        sched_setaffinity(None, &core).context("cannot pin this program to a core")?;
        Ok(Pinned { before, core })
    }

    /// Pins a backend to the same core.
    pub fn with(&self, pid: i32) -> Result<()> {
        sched_setaffinity(Pid::from_raw(pid), &self.core)
            .with_context(|| format!("cannot pin backend {pid} to a core"))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// Where servers keep their data: in memory, if a good deal of it is free.
pub fn directory() -> &'static Path {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map(|stat| stat.f_bavail * stat.f_frsize);
    if free.is_ok_and(|free| free > 4 << 30) {
        memory
    } else {
        Path::new("/tmp")
    }
}
