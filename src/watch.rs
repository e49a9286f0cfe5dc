//! Which tables and types are watched: a list per backend, read anew when it changed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::rc::Rc;

use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::touched::{self, Touched};
use crate::pg::tree::Target;
use crate::pg::{compat, names, relation};
use crate::store;

/// The electrified tables and the types they use.
#[derive(Default)]
pub struct Watch {
    tables: HashSet<u32>,
    /// Types by the hash that their cache invalidation carries.
    types: BTreeMap<u32, pg_sys::Oid>,
}

thread_local! {
    static WATCH: RefCell<Rc<Watch>> = RefCell::new(Rc::new(Watch::default()));
}

/// The list as it is now.
pub fn current() -> Result<Rc<Watch>, Error> {
    let list = store::list();
    if touched::watch_list_stale(list) {
        let watch = if list == pg_sys::Oid::INVALID {
            Watch::default()
        } else {
            let types = store::types::ids()?;
            let hashed = |id: pg_sys::Oid| (names::cache_hash(compat::WATCHED_CACHES[0], id), id);
            Watch {
                tables: store::shapes::ids()
                    .into_iter()
                    .map(|id| id.to_u32())
                    .collect(),
                types: types.into_iter().map(hashed).collect(),
            }
        };
        WATCH.with(|slot| slot.replace(Rc::new(watch)));
    }
    Ok(WATCH.with(|slot| slot.borrow().clone()))
}

/// The list changes: every backend reads it anew, this one from the next command on.
pub fn changed() {
    touched::invalidate_watch_list(store::list());
    crate::pg::xact::command_counter_increment();
}

impl Watch {
    /// Whether nothing is electrified here.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.types.is_empty()
    }

    /// Whether the table is electrified.
    pub fn has(&self, table: pg_sys::Oid) -> bool {
        self.tables.contains(&table.to_u32())
    }

    /// Whether the target is an electrified table, an index of one, or a type that one uses.
    pub fn watches(&self, target: Target) -> bool {
        match target {
            Target::Relation(id) => {
                self.has(id) || relation::table_of_index(id).is_some_and(|table| self.has(table))
            }
            Target::Type(id) => self.types.values().any(|watched| *watched == id),
        }
    }

    /// The electrified tables among what was touched, itself or by an index, each once, in the order of touching.
    pub fn touched_tables(&self, touched: &Touched) -> Vec<pg_sys::Oid> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for &id in &touched.relations {
            let table = if self.has(id) {
                Some(id)
            } else {
                relation::table_of_index(id)
            };
            if let Some(table) =
                table.filter(|table| self.has(*table) && seen.insert(table.to_u32()))
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

    /// The partitions of electrified tables among what was touched.
    pub fn touched_partitions(&self, touched: &Touched) -> Vec<pg_sys::Oid> {
        let of_ours =
            |id: &pg_sys::Oid| relation::root_of_partition(*id).is_some_and(|root| self.has(root));
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

    /// The watched types among what was touched. A changed label does not say of which enum it is.
    pub fn touched_types(&self, touched: &Touched) -> Vec<pg_sys::Oid> {
        if touched.enums || !touched.schemas.is_empty() {
            return self.types.values().copied().collect();
        }
        touched
            .types
            .iter()
            .filter_map(|hash| self.types.get(hash).copied())
            .collect()
    }
}
