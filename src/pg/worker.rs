//! The worker process of the proxy, the process it starts, and the line of shared memory in which it says how that goes.

use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags,
};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

unsafe extern "C" {
    /// Lets go of the server's shared memory (`storage/pg_shmem.h`).
    fn PGSharedMemoryDetach();
}

/// Text in shared memory.
#[derive(Clone, Copy)]
struct Line {
    length: usize,
    bytes: [u8; 2000],
}

impl Default for Line {
    fn default() -> Self {
        Line {
            length: 0,
            bytes: [0; 2000],
        }
    }
}

// SAFETY: plain bytes, without pointers.
unsafe impl PGRXSharedMemory for Line {}

// SAFETY: the name is used for this lock alone.
static STATE: PgLwLock<Line> = unsafe { PgLwLock::new(c"electric_proxy") };

/// Whether the library was loaded by the postmaster, so that there is a worker, and memory to share.
static PRELOADED: AtomicBool = AtomicBool::new(false);

/// The macro asks for versions of Postgres that are not ours.
#[allow(unexpected_cfgs)]
fn share_state() {
    pg_shmem_init!(STATE);
}

/// Registers the worker, if the library is being preloaded.
pub fn init() {
    // SAFETY: reads variables.
    if unsafe { !pg_sys::process_shared_preload_libraries_in_progress || pg_sys::IsBinaryUpgrade } {
        return;
    }
    PRELOADED.store(true, Ordering::Relaxed);
    share_state();
    BackgroundWorkerBuilder::new("electric proxy")
        .set_library("electric")
        .set_function("electric_proxy_main")
        .enable_shmem_access(None)
        // Also on a standby, for what only reads.
        .set_start_time(BgWorkerStartTime::ConsistentState)
        .set_restart_time(Some(Duration::from_secs(1)))
        .load();
}

/// Where the server runs the worker. It connects to no database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn electric_proxy_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    crate::proxy::supervise();
    // SAFETY: the end of a worker that was told to end; 1 lets the postmaster start it again if it goes on itself.
    unsafe { pg_sys::proc_exit(1) };
}

/// Settings of the server that the proxy goes by.
pub struct Server {
    /// `port`
    pub port: u16,
    /// `listen_addresses`
    pub listen_addresses: String,
    /// `max_connections`
    pub max_connections: usize,
    /// `authentication_timeout`
    pub authentication_timeout: Duration,
    /// Certificate and key, if `ssl` is on. The working directory is the data directory.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// The server's settings.
pub fn server() -> Server {
    let setting = |name: &CStr| {
        // SAFETY: a setting that each server has; what comes back is a nul-terminated string, copied at once.
        unsafe {
            let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
            if value.is_null() {
                return String::new();
            }
            CStr::from_ptr(value).to_string_lossy().into_owned()
        }
    };
    let tls = (setting(c"ssl") == "on").then(|| {
        (
            setting(c"ssl_cert_file").into(),
            setting(c"ssl_key_file").into(),
        )
    });
    // SAFETY: reads variables.
    let (port, max_connections, seconds) = unsafe {
        (
            pg_sys::PostPortNumber,
            pg_sys::MaxConnections,
            pg_sys::AuthenticationTimeout,
        )
    };
    Server {
        port: u16::try_from(port).unwrap_or_default(),
        listen_addresses: setting(c"listen_addresses"),
        max_connections: usize::try_from(max_connections).unwrap_or_default(),
        authentication_timeout: Duration::from_secs(u64::try_from(seconds).unwrap_or(60)),
        tls,
    }
}

/// What a worker waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Time has passed, or nothing in particular happened.
    Woken,
    /// The settings were read anew.
    Reload,
    /// The child said something, or ended.
    Said,
    /// The worker is to end.
    End,
}

/// Waits for the next event, for that long if it is said.
pub fn wait(child: Option<&Child>, timeout: Option<Duration>) -> Event {
    let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_POSTMASTER_DEATH;
    let milliseconds = timeout.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
    if milliseconds.is_some() {
        events |= pg_sys::WL_TIMEOUT;
    }
    let socket = child.map_or(-1, |child| child.channel.as_raw_fd());
    if child.is_some() {
        events |= pg_sys::WL_SOCKET_READABLE;
    }
    // SAFETY: the process' own latch, and a socket that lives as long as the child.
    let happened = unsafe {
        let happened = pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            socket,
            milliseconds.unwrap_or(-1) as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
        happened as u32
    };
    // Asked first: what a killed postmaster leaves behind must go.
    if happened & pg_sys::WL_POSTMASTER_DEATH != 0 || BackgroundWorker::sigterm_received() {
        return Event::End;
    }
    // SAFETY: what each process of the server does in its loop: also answers barriers of other processes.
    unsafe {
        if pg_sys::InterruptPending != 0 {
            pg_sys::ProcessInterrupts();
        }
    }
    if BackgroundWorker::sighup_received() {
        // SAFETY: outside of transactions.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        return Event::Reload;
    }
    if happened & pg_sys::WL_SOCKET_READABLE != 0 {
        return Event::Said;
    }
    Event::Woken
}

/// A warning in the server's log.
pub fn warn(text: &str) {
    pgrx::warning!("{text}");
}

/// Makes a line known to all sessions.
pub fn publish(line: &str) {
    let mut state = STATE.exclusive();
    let bytes = line.as_bytes();
    // A line that is cut would be none.
    let bytes = if bytes.len() > state.bytes.len() {
        b"{}"
    } else {
        bytes
    };
    state.length = bytes.len();
    state.bytes[..bytes.len()].copy_from_slice(bytes);
}

/// Whether the library is in every process of the server.
pub fn is_preloaded() -> bool {
    PRELOADED.load(Ordering::Relaxed)
}

/// The line that was made known; nothing if the library is not preloaded.
pub fn published() -> Option<String> {
    if !is_preloaded() {
        return None;
    }
    let state = *STATE.share();
    let bytes = state.bytes.get(..state.length)?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// A process that is none of the server's.
pub struct Child {
    pid: libc::pid_t,
    channel: UnixStream,
    read: Vec<u8>,
}

impl Child {
    /// Starts it: it does `run` with its end of a channel, and ends.
    pub fn start(run: impl FnOnce(UnixStream)) -> io::Result<Child> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // SAFETY: this process has one thread. The child never returns from here, and touches nothing of the server's.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                leave_server(theirs.as_raw_fd());
                let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(theirs)));
                // SAFETY: ends the process without what the server would do at exit.
                unsafe { libc::_exit(i32::from(ran.is_err())) }
            }
            pid => Ok(Child {
                pid,
                channel: ours,
                read: vec![],
            }),
        }
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.channel.write_all(format!("{line}\n").as_bytes())
    }

    /// Whole lines that came from it; nothing if it has ended.
    pub fn heard(&mut self) -> Option<Vec<String>> {
        let mut buffer = [0; 4096];
        loop {
            match self.channel.read(&mut buffer) {
                Ok(0) => return None,
                Ok(length) => self.read.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return None,
            }
        }
        let end = self.read.iter().rposition(|byte| *byte == b'\n');
        let rest = self.read.split_off(end.map_or(0, |end| end + 1));
        let whole = std::mem::replace(&mut self.read, rest);
        let text = String::from_utf8_lossy(&whole).into_owned();
        Some(text.lines().map(str::to_owned).collect())
    }

    /// Closes the channel, which ends it; kills it if that takes too long. Returns how it ended.
    pub fn reap(self, patience: Duration) -> String {
        drop(self.channel);
        let limit = Instant::now() + patience;
        loop {
            let mut status = 0;
            let killed = Instant::now() >= limit;
            // SAFETY: a process that this one started and nobody has waited for.
            let ended = unsafe {
                if killed {
                    libc::kill(self.pid, libc::SIGKILL);
                }
                let how = if killed { 0 } else { libc::WNOHANG };
                libc::waitpid(self.pid, &mut status, how)
            };
            if ended == self.pid {
                return if libc::WIFSIGNALED(status) {
                    format!("signal {}", libc::WTERMSIG(status))
                } else {
                    format!("status {}", libc::WEXITSTATUS(status))
                };
            }
            if ended == -1 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return "nobody knows how".to_owned();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// In the child: from here on it is a process like any other. `keep` is the one file that stays open, beside the standard ones.
fn leave_server(keep: RawFd) {
    // SAFETY: the child of a fork, with one thread; nothing of the server runs in it any more.
    unsafe {
        pg_sys::set_ps_display(c"serving".as_ptr());
        // Signals of the server's mean nothing here. SIGPIPE stays ignored, and SIGHUP goes to the whole group.
        for signal in [
            libc::SIGINT,
            libc::SIGTERM,
            libc::SIGQUIT,
            libc::SIGUSR1,
            libc::SIGUSR2,
            libc::SIGALRM,
            libc::SIGCHLD,
        ] {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
        libc::signal(libc::SIGINT, libc::SIG_IGN);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        // Else a server that starts anew would think its predecessor alive.
        PGSharedMemoryDetach();
        let limit = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 65_536) as RawFd;
        for file in 3..limit {
            if file != keep {
                libc::close(file);
            }
        }
    }
    // pgrx' own would raise errors of the server.
    std::panic::set_hook(Box::new(|panic| eprintln!("electric proxy: {panic}")));
}
