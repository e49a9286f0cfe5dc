//! The server's own subscriptions: which tables follow, and whether this process applies what comes.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::cached::cached;
use super::compat;
use super::heap::{self, Key};
use super::value::Value;

/// The state of a table in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its rows are to be copied first.
    Initial,
    /// A copy of its rows was broken off, and begins again; the server drops the slot that it may have left.
    Again,
    /// Its rows come with the stream.
    Ready,
}

/// Whether this process applies what a publisher sends.
pub fn in_worker() -> bool {
    // SAFETY: reads a variable.
    unsafe { pg_sys::IsLogicalWorker() }
}

/// The subscription that this process applies; `None` if it applies none.
pub fn applied() -> Option<pg_sys::Oid> {
    // SAFETY: the server sets the pointer when such a process begins; the id is the first field of what it points to.
    unsafe {
        let subscription = compat::MySubscription;
        (in_worker() && !subscription.is_null()).then(|| *subscription)
    }
}

/// The options by which a subscription is its owner's, who is no superuser and asked for no password of the publisher.
/// Before 16 there is none that is not.
#[cfg(pre_pg16)]
pub const AS_ITS_OWNER: &str = "";
/// The options by which a subscription is its owner's, who is no superuser and asked for no password of the publisher.
#[cfg(not(pre_pg16))]
pub const AS_ITS_OWNER: &str = ", password_required = false, run_as_owner = true";

/// `pg_subscription`, which the bindings leave out.
const CATALOG: pg_sys::Oid = pg_sys::Oid::from_u32(6100);
/// Its index on `oid`.
const BY_ID: pg_sys::Oid = pg_sys::Oid::from_u32(6114);

/// What the catalog says of a subscription.
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: pg_sys::Oid,
    /// How the publisher is reached.
    pub conninfo: String,
}

/// What the catalog says of the subscription of that id.
pub fn facts(id: pg_sys::Oid) -> Option<Facts> {
    let cache = pg_sys::SysCacheIdentifier::SUBSCRIPTIONOID;
    cached(cache, id.into(), |row| Facts {
        name: row.name(column(c"subname")),
        owner: row.oid(column(c"subowner")),
        conninfo: row.get(column(c"subconninfo")).unwrap_or_default(),
    })
}

/// The subscription of that name in this database.
pub fn of_name(name: &str) -> Option<pg_sys::Oid> {
    let found = heap::scan(CATALOG, pg_sys::Oid::INVALID, &[], |row| {
        // SAFETY: reads a variable.
        let is_here = row.oid(column(c"subdbid")) == unsafe { pg_sys::MyDatabaseId };
        (is_here && row.name(column(c"subname")) == name).then(|| row.oid(1))
    });
    found.into_iter().flatten().next()
}

/// Makes a subscription over to a role, whatever that role is: the server would ask for a superuser before 16.
pub fn give_to(id: pg_sys::Oid, role: pg_sys::Oid) {
    set(id, column(c"subowner"), Value::Oid(role));
    // SAFETY: writes the catalog, inside a transaction.
    unsafe { pg_sys::changeDependencyOnOwner(CATALOG, id, role) }
}

/// Has a subscription reach its publisher in that way.
pub fn set_conninfo(id: pg_sys::Oid, conninfo: &str) {
    set(id, column(c"subconninfo"), Value::Text(conninfo));
}

/// Has the worker end and begin anew once this transaction is committed: it does when how it reaches the publisher
/// changes, and a blank at the end means nothing.
pub fn have_worker_begin_anew(id: pg_sys::Oid) {
    if let Some(facts) = facts(id) {
        let conninfo = match facts.conninfo.strip_suffix(' ') {
            Some(shorter) => shorter.to_owned(),
            None => facts.conninfo + " ",
        };
        set_conninfo(id, &conninfo);
    }
}

fn set(id: pg_sys::Oid, column: u32, value: Value) {
    heap::set(CATALOG, BY_ID, &[Key::oid(1, id)], column, value);
    super::xact::command_counter_increment();
}

/// The number of a column of the catalog, which differs from version to version.
fn column(name: &CStr) -> u32 {
    // SAFETY: looks up a cache.
    let number = unsafe { pg_sys::get_attnum(CATALOG, name.as_ptr()) };
    u32::try_from(number).unwrap_or(0)
}

/// Has a table follow a subscription.
pub fn add(subscription: pg_sys::Oid, table: pg_sys::Oid, state: State) {
    let state = match state {
        State::Initial => b'i',
        State::Again => b'd',
        State::Ready => b'r',
    };
    // SAFETY: writes the catalog, inside a transaction.
    unsafe { compat::add_to_subscription(subscription, table, state as std::ffi::c_char) }
}

/// Has a table follow a subscription no more; nothing if it did not.
pub fn remove(subscription: pg_sys::Oid, table: pg_sys::Oid) {
    // SAFETY: writes the catalog, inside a transaction.
    unsafe { compat::remove_from_subscription(subscription, table) }
}

/// Whether the rows of a table in a subscription are still to be copied, or are being copied.
pub fn is_copied(subscription: pg_sys::Oid, table: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalog, inside a transaction.
    matches!(
        unsafe { compat::subscription_state(subscription, table) },
        b'i' | b'd' | b'f'
    )
}

/// Ends the copying of a table, if it is going on. Gives the slot on the publisher that the copy may have left.
pub fn stop_copying(subscription: pg_sys::Oid, table: pg_sys::Oid) -> Option<String> {
    if !is_copied(subscription, table) {
        return None;
    }
    let (of, id) = (subscription.to_u32(), table.to_u32());
    // SAFETY: what the server does when a table leaves a subscription (subscriptioncmds.c); the names are those that
    // it gives.
    unsafe {
        compat::stop_copying(subscription, table);
        let origin = std::ffi::CString::new(format!("pg_{of}_{id}")).unwrap_or_default();
        pg_sys::replorigin_drop_by_name(origin.as_ptr(), true, false);
        // The state says first that there will be a slot, then there is one.
        (compat::subscription_state(subscription, table) != b'i')
            .then(|| format!("pg_{of}_sync_{id}_{}", pg_sys::GetSystemIdentifier()))
    }
}

/// The name of the slot that a subscription of this database has by default on any publisher: no other has it. A
/// physical copy of this server has another timeline once it is promoted, and so another slot.
pub fn slot_name() -> String {
    // SAFETY: reads variables; what writes is no standby.
    let (cluster, database, timeline) = unsafe {
        (
            pg_sys::GetSystemIdentifier(),
            pg_sys::MyDatabaseId,
            pg_sys::GetWALInsertionTimeLine(),
        )
    };
    format!("electric_{cluster}_{}_{timeline}", database.to_u32())
}
