//! Which tables and types are watched: a list per backend, read anew when it changed.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::touched::{self, Touched};
use crate::pg::tree::Statement;
use crate::pg::{compat, heap, names, relation, session, types};
use crate::store;

/// The electrified tables and the types they use.
#[derive(Default)]
pub struct Watch {
    tables: HashSet<u32>,
    partitioned: Rc<[pg_sys::Oid]>,
    types: Vec<WatchedType>,
    /// Where some of it came from another database, by a dump, an upgrade or a copy: what was recorded in this one.
    recorded_here: Option<Rc<Watch>>,
}

/// A type that electrified tables use, with the hashes that cache invalidations about it carry.
struct WatchedType {
    id: pg_sys::Oid,
    is_enum: bool,
    hash: u32,
    schema_hash: u32,
}

impl WatchedType {
    fn of(id: pg_sys::Oid) -> Option<WatchedType> {
        let (schema, kind) = types::schema_and_kind(id)?;
        Some(WatchedType {
            id,
            is_enum: kind == b'e',
            hash: names::cache_hash(compat::WATCHED_CACHES[0], id),
            schema_hash: names::cache_hash(compat::WATCHED_CACHES[2], schema),
        })
    }
}

thread_local! {
    static WATCH: RefCell<(u64, Rc<Watch>)> = RefCell::new((0, Rc::new(Watch::default())));
    /// The list that was seen to have been recorded here, every row of it.
    static RECORDED_HERE: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::Oid::INVALID) };
}

/// The list as it is now. To a session that loads a dump, only what was recorded here: what the dump says of tables is
/// ahead of the tables, which get their keys and indexes last.
pub fn current() -> Result<Rc<Watch>, Error> {
    let watch = read()?;
    match &watch.recorded_here {
        Some(recorded_here) if session::loads_dump() => Ok(recorded_here.clone()),
        _ => Ok(watch),
    }
}

fn read() -> Result<Rc<Watch>, Error> {
    let (list, generation) = store::list_and_generation()?;
    let (read, watch) = WATCH.with_borrow(Clone::clone);
    if read == generation {
        return Ok(watch);
    }
    // Who waits here for the end of the extension goes on without it.
    let watch = if list == pg_sys::Oid::INVALID || !heap::stays(list) {
        Watch::default()
    } else {
        listed(list)?
    };
    // Kept only now: an error on the way leaves the list as stale as it was.
    let watch = Rc::new(watch);
    WATCH.with_borrow_mut(|slot| *slot = (generation, watch.clone()));
    Ok(watch)
}

/// What the list has. Once all of it was recorded in this database, that stays so: only into an empty list is a dump loaded.
fn listed(list: pg_sys::Oid) -> Result<Watch, Error> {
    let types = store::types::ids()?;
    if RECORDED_HERE.get() == list {
        return Ok(Watch::of(store::shapes::ids()?, types));
    }
    let tables = store::shapes::here_or_elsewhere()?;
    let here = tables.iter().filter(|(_, is_here)| *is_here);
    let here: Vec<pg_sys::Oid> = here.map(|(id, _)| *id).collect();
    let all: Vec<pg_sys::Oid> = tables.iter().map(|(id, _)| *id).collect();
    if here.len() < all.len() {
        return Ok(Watch {
            recorded_here: Some(Rc::new(Watch::of(here, types.clone()))),
            ..Watch::of(all, types)
        });
    }
    if !all.is_empty() {
        RECORDED_HERE.set(list);
    }
    Ok(Watch::of(all, types))
}

/// Something was rolled back, perhaps what was recorded here.
pub fn forget() {
    RECORDED_HERE.set(pg_sys::Oid::INVALID);
}

/// Members come to the extension, or go: when the command has ended, every backend looks anew what is ours. This one does
/// before the command is over, so one that takes away what is needed fails.
pub fn members_change() {
    // No command counter is increased: that would have this one look now.
    if let Ok(list) = store::list()
        && list != pg_sys::Oid::INVALID
    {
        touched::invalidate_watch_list(list);
    }
}

/// The list changes: every backend reads it anew, this one from the next command on.
pub fn changed() {
    // Where it cannot be found, every reading of it is an error, and nobody goes by what it had.
    members_change();
    crate::pg::xact::command_counter_increment();
}

impl Watch {
    fn of(tables: Vec<pg_sys::Oid>, types: Vec<pg_sys::Oid>) -> Watch {
        // A restore by several workers may have loaded the types first, which are of no concern without a table.
        if tables.is_empty() {
            return Watch::default();
        }
        let tables: HashSet<u32> = tables.into_iter().map(|id| id.to_u32()).collect();
        // There are few of them: to look at each table would take every session longer than all else.
        let mut partitioned = relation::partitioned();
        partitioned.retain(|id| tables.contains(&id.to_u32()));
        Watch {
            partitioned: partitioned.into(),
            tables,
            types: types.into_iter().filter_map(WatchedType::of).collect(),
            recorded_here: None,
        }
    }

    /// Whether some of it was recorded in another database.
    pub fn has_come(&self) -> bool {
        self.recorded_here.is_some()
    }

    /// Whether nothing is electrified here.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.types.is_empty()
    }

    /// Whether the table is electrified.
    pub fn has(&self, table: pg_sys::Oid) -> bool {
        self.tables.contains(&table.to_u32())
    }

    /// The electrified tables that are partitioned.
    pub fn partitioned(&self) -> Rc<[pg_sys::Oid]> {
        self.partitioned.clone()
    }

    /// The electrified root of the tree that a partition is in.
    pub fn root_of(&self, partition: pg_sys::Oid) -> Option<pg_sys::Oid> {
        if self.partitioned.is_empty() {
            return None;
        }
        relation::root_of_partition(partition).filter(|root| self.has(*root))
    }

    /// The electrified root of the tree of partitions that a table is the root of, or in.
    pub fn root_or_self(&self, table: pg_sys::Oid) -> Option<pg_sys::Oid> {
        let is_root = self.partitioned.contains(&table);
        is_root.then_some(table).or_else(|| self.root_of(table))
    }

    /// Whether the relation is an electrified table or an index of one.
    pub fn watches(&self, id: pg_sys::Oid) -> bool {
        self.has(id) || relation::table_of_index(id).is_some_and(|table| self.has(table))
    }

    /// The relation that a statement names to alter or index it, if it is neither an electrified table nor an index of one.
    pub fn other(&self, statement: &Statement) -> Option<pg_sys::Oid> {
        match statement {
            Statement::AlterTable { relation, .. } | Statement::CreateIndex { relation, .. }
                if !self.is_empty() && !self.watches(*relation) =>
            {
                Some(*relation)
            }
            _ => None,
        }
    }

    /// Whether electrified tables use types that users made.
    pub fn uses_types(&self) -> bool {
        !self.types.is_empty()
    }

    /// Whether an electrified table uses the type.
    pub fn uses(&self, id: pg_sys::Oid) -> bool {
        self.types.iter().any(|of| of.id == id)
    }

    /// The electrified tables among what the command touched, itself or by an index, each once, in the order of touching.
    pub fn touched_tables(&self, touched: &Touched) -> Vec<pg_sys::Oid> {
        if touched.too_many {
            return self
                .tables
                .iter()
                .map(|id| pg_sys::Oid::from(*id))
                .collect();
        }
        let reach = &touched.reach;
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for &id in &touched.relations {
            let table = if self.has(id) {
                Some(id)
            } else if touched.others.contains(&id.to_u32()) {
                None
            } else {
                relation::table_of_index(id)
            };
            let is_ours = |table: &pg_sys::Oid| self.has(*table) && reach.has(id, *table);
            if let Some(table) = table.filter(is_ours)
                && seen.insert(table.to_u32())
            {
                found.push(table);
            }
        }
        if !touched.schemas.is_empty() {
            found.extend(
                self.tables_in_schemas(&touched.schemas)
                    .into_iter()
                    .filter(|id| seen.insert(id.to_u32())),
            );
        }
        found
    }

    /// The partitions of electrified tables among what the command touched.
    pub fn touched_partitions(&self, touched: &Touched) -> Vec<pg_sys::Oid> {
        if touched.too_many {
            let roots = self.partitioned.iter();
            return roots
                .flat_map(|root| relation::descendants(*root))
                .collect();
        }
        let of_ours = |id: &pg_sys::Oid| self.root_of(*id).is_some() && touched.reach.has(*id, *id);
        touched.relations.iter().copied().filter(of_ours).collect()
    }

    /// The electrified tables whose schema's cache entry has one of the hashes: schemas change rarely.
    fn tables_in_schemas(&self, hashes: &[u32]) -> Vec<pg_sys::Oid> {
        let mut known: BTreeMap<u32, bool> = BTreeMap::new();
        let mut found: Vec<pg_sys::Oid> = self
            .tables
            .iter()
            .map(|id| pg_sys::Oid::from(*id))
            .filter(|id| {
                relation::class(*id).is_some_and(|class| {
                    *known.entry(class.schema.to_u32()).or_insert_with(|| {
                        hashes.contains(&names::cache_hash(compat::WATCHED_CACHES[2], class.schema))
                    })
                })
            })
            .collect();
        found.sort_by_key(|id| id.to_u32());
        found
    }

    /// The electrified tables with columns of the type, of an array of it, or of a domain or range over it.
    pub fn tables_with_type(&self, id: pg_sys::Oid) -> Vec<u32> {
        let mut seen = BTreeSet::new();
        let mut found = BTreeSet::new();
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            if !seen.insert(id.to_u32()) {
                continue;
            }
            for dependent in relation::dependents(pg_sys::TypeRelationId, id) {
                if dependent.class == pg_sys::RelationRelationId && self.has(dependent.object) {
                    found.insert(dependent.object.to_u32());
                }
                if dependent.class == pg_sys::TypeRelationId {
                    left.push(dependent.object);
                }
            }
        }
        found.into_iter().collect()
    }

    /// These types, and all domains (and ranges) besides.
    pub fn with_all_domains(&self, mut types: Vec<pg_sys::Oid>) -> Vec<pg_sys::Oid> {
        let others = self.types.iter().filter(|of| !of.is_enum).map(|of| of.id);
        types.extend(others);
        types.sort_by_key(|id| id.to_u32());
        types.dedup();
        types
    }

    /// The watched types among what was touched. A changed label does not say of which enum it is.
    pub fn touched_types(&self, touched: &Touched) -> Vec<pg_sys::Oid> {
        let is_touched = |of: &&WatchedType| {
            touched.too_many
                || (touched.enums && of.is_enum)
                || touched.types.contains(&of.hash)
                || touched.schemas.contains(&of.schema_hash)
        };
        self.types
            .iter()
            .filter(is_touched)
            .map(|of| of.id)
            .collect()
    }
}
