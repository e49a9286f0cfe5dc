//! What a command touched: object ids collected from the server's own cache invalidations.
//!
//! Whatever changes a table's catalog entries invalidates its relation cache entry, by whatever route it came. The
//! messages of a command arrive when its effects become visible, before `ddl_command_end` fires. Types and schemas
//! have no relation cache entry; of those the system caches tell a hash of the key.

use std::cell::UnsafeCell;

use pgrx::pg_sys;

/// What was invalidated since the last [`take`].
#[derive(Default)]
pub struct Touched {
    /// Relations, in the order they were first touched.
    pub relations: Vec<pg_sys::Oid>,
    /// Hashes of `pg_type` keys.
    pub types: Vec<u32>,
    /// Hashes of `pg_namespace` keys.
    pub schemas: Vec<u32>,
    /// Some enum's labels.
    pub enums: bool,
}

impl Touched {
    const NONE: Touched = Touched {
        relations: Vec::new(),
        types: Vec::new(),
        schemas: Vec::new(),
        enums: false,
    };
}

struct State {
    armed: bool,
    in_command: bool,
    touched: Touched,
    /// Bumped whenever the relation that lists the electrified tables is invalidated.
    watch_list: pg_sys::Oid,
    watch_list_stale: bool,
}

struct Local(UnsafeCell<State>);
// SAFETY: a backend has a single thread.
unsafe impl Sync for Local {}

static STATE: Local = Local(UnsafeCell::new(State {
    armed: false,
    in_command: false,
    touched: Touched::NONE,
    watch_list: pg_sys::Oid::INVALID,
    watch_list_stale: true,
}));

/// A burst of invalidations that exceeds this is not kept apart: see [`push`].
fn state() -> &'static mut State {
    // SAFETY: one thread, and no reference outlives the function that asked for it: the callbacks below run only
    // inside calls to the server, never while one of ours holds a reference.
    unsafe { &mut *STATE.0.get() }
}

/// Registers the callbacks.
pub fn init() {
    // SAFETY: called once, by _PG_init.
    unsafe {
        let none = pg_sys::Datum::from(0);
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_invalidated), none);
        for cache in super::compat::WATCHED_CACHES {
            pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(syscache_invalidated), none);
        }
    }
}

// The callbacks run where no error may be thrown. A vector's growth is the most that happens.
unsafe extern "C-unwind" fn relation_invalidated(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    let state = state();
    if relation == state.watch_list || relation == pg_sys::Oid::INVALID {
        state.watch_list_stale = true;
    }
    if state.armed && relation != pg_sys::Oid::INVALID {
        push(&mut state.touched.relations, relation);
    }
}

unsafe extern "C-unwind" fn syscache_invalidated(_arg: pg_sys::Datum, cache: i32, hash: u32) {
    let state = state();
    if !state.armed {
        return;
    }
    match super::compat::watched_cache(cache) {
        super::compat::Watched::Enum => state.touched.enums = true,
        super::compat::Watched::Type => push(&mut state.touched.types, hash),
        super::compat::Watched::Schema => push(&mut state.touched.schemas, hash),
        super::compat::Watched::None => {}
    }
}

/// Most commands touch a handful; a long vector is searched only for its tail, and may hold some twice.
fn push<T: PartialEq>(list: &mut Vec<T>, value: T) {
    let recent = list.len().saturating_sub(16);
    if !list[recent..].contains(&value) {
        list.push(value);
    }
}

/// A command begins: collect from here on.
pub fn command_starts() {
    let state = state();
    state.armed = true;
    state.in_command = true;
}

/// A command ended: what was touched since the last call.
pub fn take() -> Touched {
    let state = state();
    state.in_command = false;
    std::mem::take(&mut state.touched)
}

/// Nothing is collected and nothing kept.
pub fn reset() {
    let state = state();
    state.armed = false;
    state.in_command = false;
    state.touched = Touched::NONE;
}

/// The transaction committed. CREATE INDEX CONCURRENTLY commits in the middle of its command: then what it touched
/// is kept for its end.
pub fn at_commit() {
    if !state().in_command {
        reset();
    }
}

/// Whether the list of electrified tables, kept in relation `list`, may have changed since it was last asked.
pub fn watch_list_stale(list: pg_sys::Oid) -> bool {
    let state = state();
    let stale = state.watch_list_stale || state.watch_list != list;
    state.watch_list = list;
    state.watch_list_stale = false;
    stale
}

/// Tells every backend, this one included, that the list of electrified tables changed.
pub fn invalidate_watch_list(list: pg_sys::Oid) {
    // SAFETY: a relation of that id exists.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(list) }
}
