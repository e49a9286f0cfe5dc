//! What a command touched: object ids collected from the server's own cache invalidations.
//!
//! Whatever changes a table's catalog entries invalidates its relation cache entry, by whatever route it came. The
//! messages of a command arrive when its effects become visible, before `ddl_command_end` fires. Types and schemas
//! have no relation cache entry; of those the system caches tell a hash of the key.

use std::cell::UnsafeCell;
use std::collections::HashSet;
use std::rc::Rc;

use pgrx::pg_sys;

use super::tree::Statement;
use crate::error::Error;

/// What a command invalidated.
#[derive(Default)]
pub struct Touched {
    /// Relations, in the order they were first touched.
    pub relations: Vec<pg_sys::Oid>,
    /// Relations that are known to be no index of an electrified table that was there before and stays: the command made
    /// them, or drops them, or names them. A table hears of an index that comes or goes.
    pub others: HashSet<u32>,
    /// Hashes of `pg_type` keys.
    pub types: Vec<u32>,
    /// Hashes of `pg_namespace` keys.
    pub schemas: Vec<u32>,
    /// Some enum's labels.
    pub enums: bool,
    /// So many relations that not all of them are listed.
    pub too_many: bool,
    /// Tables whose rows were written anew with other values.
    pub rewritten: Vec<pg_sys::Oid>,
    /// What may have brought rows into partitioned tables, or taken some out.
    pub moves: Vec<Move>,
    /// Which of all that can be the command's own doing.
    pub reach: Reach,
}

/// Which relations a command can have changed. Invalidations tell also what other sessions committed meanwhile; what
/// those did is theirs to record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// Those that its transaction holds a lock for changes on.
    #[default]
    Locked,
    /// These tables. The command commits in between, and has let its locks go in the end.
    Tables(Vec<pg_sys::Oid>),
    /// Any; it lets its locks go, too.
    Anything,
}

impl Reach {
    /// Whether the command can have changed the relation, which belongs to the table, or is it.
    pub fn has(&self, relation: pg_sys::Oid, table: pg_sys::Oid) -> bool {
        match self {
            Reach::Locked => super::locks::is_for_changes(relation),
            Reach::Tables(tables) => tables.contains(&table),
            Reach::Anything => true,
        }
    }
}

/// Something that may bring rows into a partitioned table, or take some out of it, without a row in the stream.
pub struct Move {
    /// The table at the root.
    pub root: pg_sys::Oid,
    /// The partition, or the root itself.
    pub partition: pg_sys::Oid,
    /// The partition's schema and name; it may be gone when the command ends.
    pub shown: (String, String),
    /// What happened.
    pub how: How,
}

/// What happened to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was dropped, and held rows.
    Dropped,
    /// It was truncated, and held rows; or it is the root, truncated as a whole.
    Truncated,
    /// It was attached or detached.
    Joined,
    /// It became LOGGED or UNLOGGED.
    Logged,
}

/// More than this are not told apart. A frame that lost its end must not grow for as long as a session lasts.
const MOST: usize = 1 << 16;

/// A command by the address of its parse tree, which its start and its end share and no other command has meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command(*const std::ffi::c_void);

impl Command {
    /// The command whose parse tree that is. It is never looked at.
    pub fn of(tree: *const pg_sys::Node) -> Command {
        Command(tree.cast())
    }
}

/// A command between its start and its end.
struct Frame {
    touched: Touched,
    command: Command,
    /// Its end has come: what it touched was taken to be judged. The frame stays until that has succeeded, so that
    /// nothing else can pass for the end of it.
    is_judged: bool,
    /// How many statements the hook saw running, this one among them.
    depth: usize,
    subtransaction: pg_sys::SubTransactionId,
    ours: bool,
    /// ALTER COLUMN TYPE … USING: no type tells what becomes of the values.
    computes_values: bool,
    /// The partitioned tables that are electrified.
    roots: Rc<[pg_sys::Oid]>,
}

struct State {
    /// Commands that run, innermost last: what is invalidated belongs to that.
    frames: Vec<Frame>,
    /// The relation that lists the electrified tables, and how often it changed.
    list: pg_sys::Oid,
    generation: u64,
    /// Other relations of ours that something is known of.
    own: Vec<pg_sys::Oid>,
    /// How often something was heard that relations of ours could have come, gone or changed with, and how often that was
    /// when the list was last found.
    heard: u64,
    found_at: u64,
}

impl State {
    /// What is known of relations of ours is not sure any more.
    fn hear(&mut self) {
        self.heard += 1;
        self.own.clear();
    }
}

struct Local(UnsafeCell<State>);
// SAFETY: a backend has a single thread.
unsafe impl Sync for Local {}

static STATE: Local = Local(UnsafeCell::new(State {
    frames: Vec::new(),
    list: pg_sys::Oid::INVALID,
    generation: 1,
    own: Vec::new(),
    heard: 1,
    found_at: 0,
}));

/// Lets `body` see the state. It must call nothing of the server's, which may call the callbacks below.
fn with<T>(body: impl FnOnce(&mut State) -> T) -> T {
    // SAFETY: one thread, and no other reference is there: the callbacks run only inside calls to the server, and no
    // body makes one.
    body(unsafe { &mut *STATE.0.get() })
}

/// What the innermost command that runs makes of it; `None` where none runs.
fn with_frame<T>(body: impl FnOnce(&mut Frame) -> T) -> Option<T> {
    with(|state| state.frames.last_mut().map(body))
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

// The callbacks run where no error may be thrown: they call nothing of the server's, and where there is no memory left
// the command has touched too much to be told apart.
unsafe extern "C-unwind" fn relation_invalidated(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    with(|state| {
        let is_list = relation == state.list || relation == pg_sys::Oid::INVALID;
        state.generation += u64::from(is_list);
        if is_list || state.own.contains(&relation) {
            state.hear();
        }
        if relation != pg_sys::Oid::INVALID
            && let Some(frame) = state.frames.last_mut()
        {
            let touched = &mut frame.touched;
            touched.too_many |= !push(&mut touched.relations, relation);
        }
    });
}

unsafe extern "C-unwind" fn syscache_invalidated(_arg: pg_sys::Datum, cache: i32, hash: u32) {
    use super::compat::Watched;
    with(|state| {
        let watched = super::compat::watched_cache(cache);
        if matches!(watched, Watched::Schema | Watched::EventTrigger) {
            state.hear();
        }
        let Some(frame) = state.frames.last_mut() else {
            return;
        };
        let touched = &mut frame.touched;
        match watched {
            Watched::Enum => touched.enums = true,
            Watched::Type => touched.too_many |= !push(&mut touched.types, hash),
            Watched::Schema => touched.too_many |= !push(&mut touched.schemas, hash),
            Watched::EventTrigger | Watched::None => {}
        }
    });
}

/// Notes the value, unless there are too many or there is no memory left. Most commands touch a handful; a long vector is
/// searched only for its tail, and may hold some twice.
fn push<T: PartialEq>(list: &mut Vec<T>, value: T) -> bool {
    let recent = list.len().saturating_sub(16);
    if list[recent..].contains(&value) {
        return true;
    }
    if list.len() >= MOST || list.try_reserve(1).is_err() {
        return false;
    }
    list.push(value);
    true
}

/// A command begins: what is touched from here on is listed for it. `ours` marks commands that we issue ourselves; `roots`
/// are the partitioned tables that are electrified; `other` is a relation that it names, no index of an electrified table.
pub fn command_starts(
    command: Command,
    ours: bool,
    statement: &Statement,
    roots: Rc<[pg_sys::Oid]>,
    other: Option<pg_sys::Oid>,
) {
    let depth = super::hook::depth();
    // Asks the server, which may call back.
    let reach = statement.reach();
    let frame = Frame {
        touched: Touched {
            reach,
            others: other.into_iter().map(|id| id.to_u32()).collect(),
            ..Touched::default()
        },
        command,
        is_judged: false,
        depth,
        subtransaction: super::xact::subtransaction(),
        ours,
        computes_values: statement.computes_values(),
        roots,
    };
    with(|state| {
        // A command that never came to its end leaves its frame behind. Frames are not dropped when a transaction commits:
        // CREATE INDEX CONCURRENTLY commits in the middle of its command.
        state.frames.retain(|frame| frame.depth < depth);
        state.frames.push(frame);
    });
}

/// The end of a command has come: what it touched, and whether it was one of our own; `None` where its start was not seen.
/// Its frame stays until [`command_ended`], or goes with the transaction.
pub fn command_ends(command: Command) -> Option<(Touched, bool)> {
    let depth = super::hook::depth();
    with(|state| {
        while state.frames.pop_if(|frame| frame.depth > depth).is_some() {}
        let frame = state
            .frames
            .last_mut()
            .filter(|frame| frame.depth == depth && frame.command == command && !frame.is_judged)?;
        frame.is_judged = true;
        Some((std::mem::take(&mut frame.touched), frame.ours))
    })
}

/// What the command touched was judged, and may stay.
pub fn command_ended(command: Command) {
    with(|state| {
        state
            .frames
            .pop_if(|frame| frame.command == command && frame.is_judged)
    });
}

/// The command that runs makes a relation, or is about to drop it. Where this cannot be noted the relation is looked at.
pub fn comes_or_goes(relation: pg_sys::Oid) {
    with_frame(|frame| {
        let others = &mut frame.touched.others;
        if others.len() < MOST && others.try_reserve(1).is_ok() {
            others.insert(relation.to_u32());
        }
    });
}

/// Whether the command that runs gives rows values that it computes.
pub fn computes_values() -> bool {
    with_frame(|frame| frame.computes_values).unwrap_or(false)
}

/// The rows of the table are written anew by the command that runs.
pub fn rewrites(table: pg_sys::Oid) {
    with_frame(|frame| frame.touched.rewritten.push(table));
}

/// The electrified root of the tree of partitions that a relation is in, itself perhaps, if a command runs that is not
/// our own.
pub fn root_of(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let roots = with_frame(|frame| {
        let watches = !frame.ours && !frame.roots.is_empty();
        watches.then(|| frame.roots.clone())
    })??;
    let root = super::relation::root_of_partition(relation).unwrap_or(relation);
    roots.contains(&root).then_some(root)
}

/// Whether the command that runs has truncated the table.
pub fn is_truncated(table: pg_sys::Oid) -> bool {
    let is_it = |made: &Move| made.how == How::Truncated && made.partition == table;
    with_frame(|frame| frame.touched.moves.iter().any(is_it)).unwrap_or(false)
}

/// The command that runs did something to a partition of an electrified table.
pub fn moves(root: pg_sys::Oid, partition: pg_sys::Oid, how: How) {
    let shown = super::names::shown(partition);
    let made = Move {
        root,
        partition,
        shown,
        how,
    };
    with_frame(|frame| frame.touched.moves.push(made));
}

/// The transaction was rolled back.
pub fn reset() {
    with(|state| state.frames.clear());
}

/// A subtransaction was rolled back, and with it the commands that began in it.
pub fn subtransaction_aborted(id: pg_sys::SubTransactionId) {
    with(|state| state.frames.retain(|frame| frame.subtransaction < id));
}

/// The relation that lists the electrified tables, which `find` finds, and how often the list has changed as far as this
/// backend knows. The relation is not looked for again as long as it stays; where there is none, always.
pub fn list(
    find: impl FnOnce() -> Result<pg_sys::Oid, Error>,
) -> Result<(pg_sys::Oid, u64), Error> {
    let (heard, is_known) = with(|state| (state.heard, state.found_at == state.heard));
    let found = if is_known { None } else { Some(find()?) };
    Ok(with(|state| {
        if let Some(list) = found {
            if state.list != list {
                state.list = list;
                state.generation += 1;
            }
            if list != pg_sys::Oid::INVALID {
                state.found_at = heard;
            }
        }
        (state.list, state.generation)
    }))
}

/// How often something was heard that relations of ours could have come, gone or changed with: the list, and those that
/// [`listen`] was told of. The same is heard of schemas and event triggers.
pub fn heard() -> u64 {
    with(|state| state.heard)
}

/// From now on changes of the relation, one of ours, are heard.
pub fn listen(relation: pg_sys::Oid) {
    with(|state| {
        if !state.own.contains(&relation) {
            state.own.push(relation);
        }
    });
}

/// Tells every backend, this one included, that the list of electrified tables changed.
pub fn invalidate_watch_list(list: pg_sys::Oid) {
    // SAFETY: a relation of that id exists.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(list) }
}
