//! Rows of the server's system caches.

use pgrx::pg_sys;

use super::column::{Name, Readable, raise_damaged, type_of};

/// The row of a system cache with that key.
pub(super) fn cached<T>(
    cache: u32,
    key: pg_sys::Datum,
    of: impl FnOnce(&CachedRow) -> T,
) -> Option<T> {
    // SAFETY: the tuple is released after its last use.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache as i32, key);
        if tuple.is_null() {
            return None;
        }
        let found = of(&CachedRow { cache, tuple });
        pg_sys::ReleaseSysCache(tuple);
        Some(found)
    }
}

/// A row of a system cache.
pub(super) struct CachedRow {
    cache: u32,
    tuple: pg_sys::HeapTuple,
}

impl CachedRow {
    /// The value of that column; `None` for NULL. A column that has no such value is an error of the server's, XX001.
    pub fn get<T: Readable>(&self, column: u32) -> Option<T> {
        // What is no pointer can be taken for anything.
        if T::BY_REFERENCE {
            self.must_be(column, T::TYPES);
        }
        // SAFETY: the value is of one of the types, or of one that is no pointer either.
        self.datum(column).map(|datum| unsafe { T::read(datum) })
    }

    /// Raises an error if the column is of none of the types.
    fn must_be(&self, column: u32, types: &[pg_sys::Oid]) {
        // SAFETY: a tuple of a cache knows its catalog, whose descriptor is there as long as it is open; what it is read for
        // is a tuple that is pinned.
        unsafe {
            let catalog = pg_sys::RelationIdGetRelation((*self.tuple).t_tableOid);
            if catalog.is_null() {
                raise_damaged((*self.tuple).t_tableOid, "It is not there.");
            }
            let data_type = type_of((*catalog).rd_att, column);
            pg_sys::RelationClose(catalog);
            if !data_type.is_some_and(|data_type| types.contains(&data_type)) {
                raise_damaged(
                    (*self.tuple).t_tableOid,
                    &format!("Its column {column} is of another type."),
                );
            }
        }
    }

    /// The datum of that column; `None` for NULL.
    pub fn datum(&self, column: u32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: the tuple came from this cache.
        let datum = unsafe {
            pg_sys::SysCacheGetAttr(
                self.cache as i32,
                self.tuple,
                column as pg_sys::AttrNumber,
                &mut null,
            )
        };
        (!null).then_some(datum)
    }

    /// Whether that column is NULL.
    pub fn is_null(&self, column: u32) -> bool {
        self.datum(column).is_none()
    }

    /// The ids of an `oidvector` column.
    pub fn oids(&self, column: u32) -> Vec<pg_sys::Oid> {
        self.get(column).unwrap_or_default()
    }

    /// The numbers of an `int2vector` column.
    pub fn int2s(&self, column: u32) -> Vec<i16> {
        self.get(column).unwrap_or_default()
    }

    /// The oid in that column, or the invalid one.
    pub fn oid(&self, column: u32) -> pg_sys::Oid {
        self.get(column).unwrap_or(pg_sys::Oid::INVALID)
    }

    /// The `name` in that column.
    pub fn name(&self, column: u32) -> String {
        let name: Option<Name> = self.get(column);
        name.map_or_else(String::new, |name| name.0)
    }

    /// The `"char"` in that column.
    pub fn char(&self, column: u32) -> u8 {
        self.get::<i8>(column).unwrap_or(0) as u8
    }

    /// The boolean in that column.
    pub fn bool(&self, column: u32) -> bool {
        self.get(column).unwrap_or(false)
    }
}
