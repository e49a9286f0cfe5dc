//! A connection to the server that is subscribed to, made by the library that the server's own subscriptions use.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pgrx::pg_sys;

use super::compat;
use super::heap::Row;
use super::names::from_server;
use crate::error::{Error, SqlState};

/// A connection that can replicate.
pub struct Publisher {
    connection: *mut pg_sys::WalReceiverConn,
}

/// Calls a function of the table that the library fills in; errors it raises become panics, as those of pgrx's own
/// bindings do.
macro_rules! library {
    ($function:ident, $($argument:expr),*) => {{
        let function = (*pg_sys::WalReceiverFunctions).$function;
        match function {
            Some(function) => pg_sys::ffi::pg_guard_ffi_boundary(|| function($($argument),*)),
            None => pgrx::error!("libpqwalreceiver has no {}", stringify!($function)),
        }
    }};
}

impl Publisher {
    /// Connects, within the time that the connection string gives, or else [`CONNECT_TIMEOUT`]: the library itself sets
    /// no limit.
    pub fn connect(conninfo: &str) -> Result<Publisher, Error> {
        check(conninfo)?;
        match connect_timeout(conninfo) {
            Some(Duration::ZERO) => Publisher::connect_whenever(conninfo),
            given => within(given.unwrap_or(CONNECT_TIMEOUT), || {
                Publisher::connect_whenever(conninfo)
            }),
        }
    }

    fn connect_whenever(conninfo: &str) -> Result<Publisher, Error> {
        let source = text_with_nul(conninfo)?;
        let mut message: *mut c_char = ptr::null_mut();
        // SAFETY: the library is loaded; the message is a palloc'ed string or null.
        unsafe {
            let connection = compat::connect_to_publisher(&source, &mut message);
            if connection.is_null() {
                return Err(Error::new(
                    SqlState::of_code("08006"),
                    format!(
                        "could not connect to the publisher: {}",
                        without_secrets(&text_of(message), conninfo)
                    ),
                ));
            }
            Ok(Publisher { connection })
        }
    }

    /// Runs a command that gives no rows.
    pub fn run(&self, sql: &str) -> Result<(), Error> {
        self.exec(sql, false).map(drop)
    }

    /// Runs a query of one column of type text; NULL is the empty text.
    pub fn texts(&self, sql: &str) -> Result<Vec<String>, Error> {
        self.exec(sql, true)
    }

    fn exec(&self, sql: &str, rows: bool) -> Result<Vec<String>, Error> {
        use pg_sys::WalRcvExecStatus::*;
        let query = CString::new(sql).map_err(|_| Error::internal("a query with a zero byte"))?;
        let types = [pg_sys::TEXTOID];
        let columns = c_int::from(rows);
        // SAFETY: the result is read before it is cleared; its rows have the one column asked for.
        unsafe {
            let result = library!(
                walrcv_exec,
                self.connection,
                query.as_ptr(),
                columns,
                types.as_ptr()
            );
            let found = match (*result).status {
                WALRCV_OK_TUPLES => Ok(read(result)),
                WALRCV_OK_COMMAND | WALRCV_OK_COPY_OUT => Ok(Vec::new()),
                _ => Err(Error::new(
                    match (*result).sqlstate {
                        0 => SqlState::of_code("08006"),
                        packed => SqlState::Server(packed),
                    },
                    format!("the publisher says: {}", text_of((*result).err).trim_end()),
                )),
            };
            pg_sys::walrcv_clear_result(result);
            found
        }
    }

    /// Makes a slot in a transaction of its own, which sees the state that the slot's stream begins after.
    fn begin_with_slot(&self, slot: &str) -> Result<(), Error> {
        self.run("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")?;
        let name = CString::new(slot).map_err(|_| Error::internal("a name with a zero byte"))?;
        // SAFETY: the connection was made by the library.
        if !unsafe { compat::create_slot_for_snapshot(self.connection, &name) } {
            return Err(Error::internal("libpqwalreceiver makes no slots"));
        }
        Ok(())
    }

    /// Drops a slot whose user is about to end. Who still uses it after a while is another one, such as the server that
    /// this one is a copy of.
    pub fn drop_slot(&self, slot: &str) -> Result<(), Error> {
        self.drop_slot_within(slot, 400)
    }

    /// Drops a slot that need not exist, and whose user is about to end. Who still uses it may be waiting for this very
    /// transaction, if both are of one cluster: so this does not wait for long, and the error has the worker try again.
    pub fn drop_slot_soon(&self, slot: &str) -> Result<(), Error> {
        match self.drop_slot_within(slot, 20) {
            Err(error) if error.sqlstate == SqlState::of_code("42704") => Ok(()),
            other => other,
        }
    }

    fn drop_slot_within(&self, slot: &str, twentieths_of_a_second: usize) -> Result<(), Error> {
        let sql = format!(
            "DROP_REPLICATION_SLOT {}",
            electric_schema::names::quote_ident(slot)
        );
        for _ in 0..twentieths_of_a_second {
            match self.run(&sql) {
                Err(error) if error.sqlstate == SqlState::of_code("55006") => {
                    self.texts("SELECT pg_catalog.pg_sleep(0.05)::text")?;
                }
                other => return other,
            }
        }
        self.run(&sql)
    }

    /// Copies what `sql`, a COPY … TO STDOUT, gives into those columns of a table here.
    pub fn copy(&self, sql: &str, table: pg_sys::Oid, columns: &[String]) -> Result<(), Error> {
        self.run(sql)?;
        SOURCE.set(Source {
            connection: self.connection,
            rest: ptr::null(),
            length: 0,
        });
        copy_from(table, columns);
        Ok(())
    }

    /// Keeps in memory what `sql`, a COPY … TO STDOUT, gives.
    pub fn spool(&self, sql: &str) -> Result<Spool, Error> {
        self.run(sql)?;
        // SAFETY: the buffer is the server's own, and errors of its growth are the server's; what was received is copied
        // before the next call.
        unsafe {
            let buffer = pg_sys::makeStringInfo();
            while let Some((received, length)) = receive(self.connection) {
                pg_sys::appendBinaryStringInfo(buffer, received.cast(), length as c_int);
            }
            Ok(Spool(buffer))
        }
    }
}

/// How long a connection may take to come about, unless its string says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

fn text_with_nul(conninfo: &str) -> Result<CString, Error> {
    CString::new(conninfo).map_err(|_| {
        Error::new(
            SqlState::InvalidParameterValue,
            "a connection string must not have a zero byte",
        )
    })
}

/// Whether the library can read a connection string. What it says of one that it cannot quotes from it, perhaps from the
/// password: nobody gets to see that.
fn check(conninfo: &str) -> Result<(), Error> {
    let source = text_with_nul(conninfo)?;
    // SAFETY: the library fills in its table of functions once.
    unsafe { pg_sys::load_file(c"libpqwalreceiver".as_ptr(), false) };
    // SAFETY: the library is loaded. What it raises is caught before anything of a transaction is touched.
    let read = pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| unsafe {
        compat::check_conninfo(&source);
        true
    }))
    .catch_others(|_| false)
    .execute();
    // In a URI a password with an @ that is not encoded ends as part of the host, which messages name.
    let authority = conninfo
        .split_once("://")
        .map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let is_ambiguous = authority.is_some_and(|authority| authority.matches('@').count() > 1);
    if read && !is_ambiguous {
        return Ok(());
    }
    Err(Error::new(
        SqlState::InvalidParameterValue,
        "the connection string cannot be read",
    )
    .detail("It is not shown, because it may hold a password.")
    .hint("In host=… password='…' a value with blanks is quoted; in a URI @, / and % are written %40, %2F and %25."))
}

/// The values of a keyword in a connection string of either form.
fn values<'a>(conninfo: &'a str, keyword: &'a str) -> impl Iterator<Item = String> + 'a {
    conninfo.match_indices(keyword).filter_map(move |(at, _)| {
        let rest = conninfo[at + keyword.len()..].trim_start();
        let rest = rest.strip_prefix('=')?.trim_start();
        Some(match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next().unwrap_or_default().to_owned(),
            None => rest
                .split(|c: char| c.is_whitespace() || c == '&')
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
    })
}

/// The timeout that a connection string asks for.
fn connect_timeout(conninfo: &str) -> Option<Duration> {
    let seconds = values(conninfo, "connect_timeout").last()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A message without the passwords of a connection string, should it quote them.
fn without_secrets(message: &str, conninfo: &str) -> String {
    let mut secrets: Vec<String> = values(conninfo, "password").collect();
    let user = conninfo
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('@'));
    secrets.extend(user.and_then(|(user, _)| Some(user.split_once(':')?.1.to_owned())));
    secrets.retain(|secret| !secret.is_empty());
    secrets
        .iter()
        .fold(message.trim_end().to_owned(), |message, secret| {
            message.replace(secret.as_str(), "********")
        })
}

/// What a COPY … TO STDOUT gave.
pub struct Spool(pg_sys::StringInfo);

impl Spool {
    /// Copies it into those columns of a table here.
    pub fn copy(&self, table: pg_sys::Oid, columns: &[String]) {
        // SAFETY: the buffer is not written any more.
        let (rest, length) = unsafe { ((*self.0).data, (*self.0).len) };
        SOURCE.set(Source {
            connection: ptr::null_mut(),
            rest,
            length: usize::try_from(length).unwrap_or(0),
        });
        copy_from(table, columns);
    }
}

/// Copies what [`SOURCE`] gives into those columns of a table.
fn copy_from(table: pg_sys::Oid, columns: &[String]) {
    // SAFETY: the calls are those of the server's own copying of tables (tablesync.c); the table is open, and a
    // snapshot active, as long as it lasts.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::RowExclusiveLock as c_int);
        let state = pg_sys::make_parsestate(ptr::null_mut());
        pg_sys::addRangeTableEntryForRelation(
            state,
            relation,
            pg_sys::RowExclusiveLock as c_int,
            ptr::null_mut(),
            false,
            false,
        );
        let mut names: *mut pg_sys::List = ptr::null_mut();
        for column in columns {
            let name = CString::new(column.as_str()).unwrap_or_default();
            let node = pg_sys::makeString(pg_sys::pstrdup(name.as_ptr()));
            names = pg_sys::lappend(names, node.cast());
        }
        let copy = pg_sys::BeginCopyFrom(
            state,
            relation,
            ptr::null_mut(),
            ptr::null(),
            false,
            Some(fetch),
            names,
            ptr::null_mut(),
        );
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::CopyFrom(copy);
        pg_sys::PopActiveSnapshot();
        pg_sys::EndCopyFrom(copy);
        pg_sys::table_close(relation, pg_sys::NoLock as c_int);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // SAFETY: the connection is the library's; to close it waits for nobody and raises nothing.
        unsafe { library!(walrcv_disconnect, self.connection) };
    }
}

/// Runs `body` with a slot of that name, made in a transaction that sees the state which the slot's stream begins after.
/// If `body` fails the slot goes; it is not waited for long, and a WARNING says where it is left.
pub fn with_slot<T>(
    publisher: Publisher,
    conninfo: &str,
    slot: &str,
    body: impl FnOnce(&Publisher) -> Result<T, Error>,
) -> Result<T, Error> {
    publisher.begin_with_slot(slot)?;
    let abandon = |publisher: Publisher| {
        drop(publisher);
        let dropped = within(Duration::from_secs(2), || {
            Publisher::connect(conninfo)?.drop_slot(slot)
        });
        if let Err(error) = dropped {
            super::entry::warning(&left(slot, &error));
        }
    };
    let done = pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| Ok(body(&publisher))))
        .catch_others(Err)
        .catch_rust_panic(Err)
        .execute();
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            abandon(publisher);
            Err(error)
        }
        Err(error) => {
            abandon(publisher);
            error.rethrow()
        }
    }
}

/// Says that a slot is left on the publisher, and what drops it.
pub fn left(slot: &str, why: &Error) -> String {
    format!(
        "replication slot \"{slot}\" is left on the publisher, and keeps its log: {}. When nobody uses it, there: SELECT pg_drop_replication_slot({});",
        why.message,
        electric_schema::names::quote_literal(slot)
    )
}

thread_local! {
    /// The timeout of ours, once it is registered with the server.
    static TIMEOUT: Cell<Option<c_int>> = const { Cell::new(None) };
    /// Whether [`within`] is at work.
    static IS_LIMITED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the time of [`within`] is over. Set by a signal handler.
static IS_OVER: AtomicBool = AtomicBool::new(false);

unsafe extern "C-unwind" fn time_is_over() {
    IS_OVER.store(true, Ordering::Relaxed);
    // SAFETY: what the server's own handler of a cancel does; the caller sets the latch.
    unsafe {
        pg_sys::InterruptPending = 1;
        pg_sys::QueryCancelPending = 1;
    }
}

/// Waits for the other server no longer than that. Cancel, terminate and the session's own timeouts count meanwhile.
pub fn within<T>(limit: Duration, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // What is within a limit already has no longer one.
    if IS_LIMITED.get() {
        return body();
    }
    IS_LIMITED.set(true);
    let milliseconds = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the timeout is registered once, and off again when this returns.
    let timeout = unsafe {
        let timeout = TIMEOUT
            .get()
            .unwrap_or_else(|| compat::RegisterTimeout(compat::USER_TIMEOUT, Some(time_is_over)));
        TIMEOUT.set(Some(timeout));
        IS_OVER.store(false, Ordering::Relaxed);
        compat::enable_timeout_after(timeout, milliseconds);
        timeout
    };
    let done = pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| Ok(body())))
        .catch_others(Err)
        .catch_rust_panic(Err)
        .execute();
    // SAFETY: as above. A cancel that came of the timeout and was not yet seen is nobody's any more.
    let is_over = unsafe {
        compat::disable_timeout(timeout, false);
        IS_LIMITED.set(false);
        let is_over = IS_OVER.swap(false, Ordering::Relaxed);
        if is_over {
            pg_sys::QueryCancelPending = 0;
        }
        is_over
    };
    match done {
        Ok(done) => done,
        Err(_) if is_over => Err(Error::new(
            SqlState::of_code("08006"),
            format!("the publisher did not answer within {} s", limit.as_secs()),
        )),
        Err(error) => error.rethrow(),
    }
}

/// Waits for the other server until the session is cancelled, if it comes to that, which becomes an error like others.
pub fn or_cancelled<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(body))
        .catch_when(pgrx::PgSqlErrorCode::ERRCODE_QUERY_CANCELED, |_| {
            Err(Error::new(
                SqlState::of_code("57014"),
                "waiting for the publisher was cancelled",
            ))
        })
        .execute()
}

/// What the publisher sends next, if it sends more of what it was asked for. It stays until the next call.
unsafe fn receive(connection: *mut pg_sys::WalReceiverConn) -> Option<(*const c_char, usize)> {
    // SAFETY: the caller passes a connection of the library's that copies out.
    unsafe {
        loop {
            let mut socket: pg_sys::pgsocket = -1;
            let mut received: *mut c_char = ptr::null_mut();
            let length = library!(walrcv_receive, connection, &mut received, &mut socket);
            match usize::try_from(length) {
                Err(_) => return None,
                Ok(0) => wait(socket),
                Ok(length) => return Some((received, length)),
            }
        }
    }
}

unsafe fn read(result: *mut pg_sys::WalRcvExecResult) -> Vec<String> {
    let mut found = Vec::new();
    // SAFETY: the slot is of the kind that the tuplestore gives; each row is read before the next is fetched.
    unsafe {
        let descriptor = (*result).tupledesc;
        let slot =
            pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsMinimalTuple);
        while pg_sys::tuplestore_gettupleslot((*result).tuplestore, true, false, slot) {
            let mut owned = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, &mut owned);
            found.push(Row::of(tuple, descriptor).get(1).unwrap_or_default());
            if owned {
                pg_sys::heap_freetuple(tuple);
            }
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
    }
    found
}

unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and nul-terminated.
    from_server(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Where a copy that runs takes its data from.
#[derive(Clone, Copy)]
struct Source {
    connection: *mut pg_sys::WalReceiverConn,
    rest: *const c_char,
    length: usize,
}

thread_local! {
    static SOURCE: Cell<Source> = const {
        Cell::new(Source { connection: ptr::null_mut(), rest: ptr::null(), length: 0 })
    };
}

/// Fills the buffer of a copy with at least `least` bytes, fewer at the end of the data.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn fetch(buffer: *mut c_void, least: c_int, most: c_int) -> c_int {
    let (least, most) = (least.max(1) as usize, most.max(0) as usize);
    let mut source = SOURCE.get();
    let mut filled = 0;
    // SAFETY: what the library received stays until the next call of it; the buffer holds `most` bytes.
    unsafe {
        while filled < least {
            if source.length == 0 {
                // A spool has no more.
                if source.connection.is_null() {
                    break;
                }
                let Some((received, length)) = receive(source.connection) else {
                    break;
                };
                (source.rest, source.length) = (received, length);
            }
            let part = source.length.min(most - filled);
            if part == 0 {
                break;
            }
            ptr::copy_nonoverlapping(source.rest, buffer.cast::<c_char>().add(filled), part);
            source.rest = source.rest.add(part);
            source.length -= part;
            filled += part;
        }
    }
    SOURCE.set(source);
    filled as c_int
}

/// Waits until the publisher has sent something.
unsafe fn wait(socket: pg_sys::pgsocket) {
    // SAFETY: the latch is this process's own.
    unsafe {
        pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            (pg_sys::WL_SOCKET_READABLE
                | pg_sys::WL_LATCH_SET
                | pg_sys::WL_TIMEOUT
                | pg_sys::WL_EXIT_ON_PM_DEATH) as c_int,
            socket,
            1000,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
        pgrx::check_for_interrupts!();
    }
}
