//! The one lock of our own: transactions that migrate go one after the other.

use pgrx::pg_sys;

use super::{compat, names, own};
use crate::error::Error;

/// The part of the extension that the lock is on. The server itself locks extensions as a whole, which is part 0, and
/// lets ordinary roles have it do so (`ALTER FUNCTION … DEPENDS ON EXTENSION`); an extension has no parts that a
/// statement could name.
const MIGRATIONS: u16 = 1;

/// Waits until no other transaction migrates, and keeps others out until this one ends.
///
/// The lock is on a part of the extension that nobody else knows of, so no role can take it but by migrating;
/// `lock_timeout` and deadlock detection apply. DROP EXTENSION takes it too. Errors: 55000 where the extension is not
/// there, or went while this waited.
pub fn migrations() -> Result<(), Error> {
    if is_migrating() {
        return Ok(());
    }
    let extension = names::own_extension();
    if extension == pg_sys::Oid::INVALID {
        return Err(own::not_created());
    }
    // SAFETY: takes a lock that the end of the transaction releases.
    unsafe {
        pg_sys::LockDatabaseObject(
            pg_sys::ExtensionRelationId,
            extension,
            MIGRATIONS,
            pg_sys::ExclusiveLock as pg_sys::LOCKMODE,
        )
    }
    if names::own_extension() == extension {
        return Ok(());
    }
    Err(own::gone())
}

/// Whether this transaction holds the lock of [`migrations`].
pub fn is_migrating() -> bool {
    let tag = pg_sys::LOCKTAG {
        // SAFETY: reads a variable.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: pg_sys::ExtensionRelationId.to_u32(),
        locktag_field3: names::own_extension().to_u32(),
        locktag_field4: MIGRATIONS,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    compat::holds_lock(&tag, pg_sys::ExclusiveLock as pg_sys::LOCKMODE)
}

/// Whether this transaction migrates and its snapshot is older than that: others may have migrated in between.
pub fn migrates_over_old_snapshot() -> bool {
    // SAFETY: reads a variable.
    let is_old = unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 };
    is_old && is_migrating()
}

/// Takes the lock of [`migrations`] for a command that commits in between, when all is done but the last commit.
///
/// DROP INDEX CONCURRENTLY ends with a lock on the table, and a migration may wait for that. It lets go here of what it would
/// let go a moment later: nobody uses the index any more, and the lock on that itself stays.
pub fn migrations_last(table: pg_sys::Oid) -> Result<(), Error> {
    let mode = pg_sys::ShareUpdateExclusiveLock as pg_sys::LOCKMODE;
    if compat::holds_lock(&tag_of(table), mode) {
        // SAFETY: the lock is held, by this transaction.
        unsafe { pg_sys::UnlockRelationOid(table, mode) }
    }
    migrations()
}

/// Whether this transaction holds a lock on the relation that a change of it takes.
pub fn is_for_changes(relation: pg_sys::Oid) -> bool {
    let tag = tag_of(relation);
    (pg_sys::ShareUpdateExclusiveLock..=pg_sys::AccessExclusiveLock)
        .any(|mode| compat::holds_lock(&tag, mode as pg_sys::LOCKMODE))
}

/// The tag of locks on a relation of this database.
fn tag_of(relation: pg_sys::Oid) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: reads a variable.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: relation.to_u32(),
        locktag_field3: 0,
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}

/// Waits for transactions that are changing the type, and keeps others from it until this one ends.
pub fn use_type(id: pg_sys::Oid) {
    object(pg_sys::TypeRelationId, id, pg_sys::ShareLock);
}

/// Waits for transactions that begin to use the type, and keeps others from it until this one ends. The server takes the
/// same lock to add a label or to rename one, and none to change anything else of a type.
pub fn change_type(id: pg_sys::Oid) {
    object(pg_sys::TypeRelationId, id, pg_sys::ExclusiveLock);
}

/// Whether this transaction may have changed the type, or dropped it.
pub fn changes_type(id: pg_sys::Oid) -> bool {
    let tag = tag_of_object(pg_sys::TypeRelationId, id);
    [pg_sys::ExclusiveLock, pg_sys::AccessExclusiveLock]
        .into_iter()
        .any(|mode| compat::holds_lock(&tag, mode as pg_sys::LOCKMODE))
}

/// Waits for a transaction that is dropping the constraint, by CASCADE perhaps, and keeps others from it.
pub fn use_constraint(id: pg_sys::Oid) {
    object(compat::catalog::CONSTRAINTS, id, pg_sys::ShareLock);
}

/// Whether this transaction has dropped the constraint.
pub fn drops_constraint(id: pg_sys::Oid) -> bool {
    let tag = tag_of_object(compat::catalog::CONSTRAINTS, id);
    compat::holds_lock(&tag, pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE)
}

/// Locks an object of this database; what is waited for is seen afterwards.
fn object(class: pg_sys::Oid, id: pg_sys::Oid, mode: u32) {
    // SAFETY: takes a lock that the end of the transaction releases.
    unsafe { pg_sys::LockDatabaseObject(class, id, 0, mode as pg_sys::LOCKMODE) }
}

/// The tag of locks on an object of this database that is no relation.
fn tag_of_object(class: pg_sys::Oid, id: pg_sys::Oid) -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: reads a variable.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: class.to_u32(),
        locktag_field3: id.to_u32(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    }
}

/// Locks tables as TRUNCATE of them will, as far as the user may truncate them.
pub fn as_truncate(tables: &[pg_sys::Oid]) {
    for &table in tables {
        // SAFETY: looks up the catalog.
        let allowed =
            unsafe { pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), compat::MAY_TRUNCATE) };
        if allowed != pg_sys::AclResult::ACLCHECK_OK {
            return;
        }
        tree(table);
    }
}

/// Locks a table as [`table`] does, and its partitions or children, in the order of the server.
pub fn tree(table: pg_sys::Oid) {
    self::table(table);
    super::relation::descendants(table)
        .into_iter()
        .for_each(self::table);
}

/// Locks a table against all schema changes; the way REPLICA IDENTITY itself does.
pub fn table(relation: pg_sys::Oid) {
    // SAFETY: takes a lock that the end of the transaction releases.
    unsafe { pg_sys::LockRelationOid(relation, pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE) }
}

/// Keeps other databases of this server from making the role of subscribers until this transaction ends. No role has that
/// id, so nobody else locks it.
pub fn roles() {
    // SAFETY: takes a lock that the end of the transaction releases; what is waited for is seen afterwards.
    unsafe {
        pg_sys::LockSharedObject(
            pg_sys::AuthIdRelationId,
            pg_sys::Oid::INVALID,
            0,
            pg_sys::ExclusiveLock as pg_sys::LOCKMODE,
        );
    }
}
