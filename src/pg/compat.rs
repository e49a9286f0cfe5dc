//! Differences between the versions of Postgres, behind names.

use pgrx::pg_sys;

/// The system caches whose invalidations tell of changed types, labels, schemas and event triggers.
pub const WATCHED_CACHES: [u32; 4] = [
    pg_sys::SysCacheIdentifier::TYPEOID,
    pg_sys::SysCacheIdentifier::ENUMOID,
    pg_sys::SysCacheIdentifier::NAMESPACEOID,
    pg_sys::SysCacheIdentifier::EVENTTRIGGEROID,
];

/// What a watched cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Types.
    Type,
    /// Enum labels.
    Enum,
    /// Schemas.
    Schema,
    /// Event triggers.
    EventTrigger,
    /// Something else.
    None,
}

/// What the cache of that number holds.
pub fn watched_cache(cache: i32) -> Watched {
    match u32::try_from(cache) {
        Ok(c) if c == WATCHED_CACHES[0] => Watched::Type,
        Ok(c) if c == WATCHED_CACHES[1] => Watched::Enum,
        Ok(c) if c == WATCHED_CACHES[2] => Watched::Schema,
        Ok(c) if c == WATCHED_CACHES[3] => Watched::EventTrigger,
        _ => Watched::None,
    }
}

/// Does the role own the object (or is it superuser)? Of relations, types, functions, schemas, publications, event
/// triggers, extensions and databases.
pub fn owns(class: pg_sys::Oid, object: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: looks up the catalog only.
    unsafe {
        #[cfg(pre_pg16)]
        return match class {
            pg_sys::RelationRelationId => pg_sys::pg_class_ownercheck(object, role),
            pg_sys::TypeRelationId => pg_sys::pg_type_ownercheck(object, role),
            pg_sys::ProcedureRelationId => pg_sys::pg_proc_ownercheck(object, role),
            pg_sys::NamespaceRelationId => pg_sys::pg_namespace_ownercheck(object, role),
            pg_sys::PublicationRelationId => pg_sys::pg_publication_ownercheck(object, role),
            pg_sys::EventTriggerRelationId => pg_sys::pg_event_trigger_ownercheck(object, role),
            pg_sys::ExtensionRelationId => pg_sys::pg_extension_ownercheck(object, role),
            pg_sys::DatabaseRelationId => pg_sys::pg_database_ownercheck(object, role),
            _ => pg_sys::superuser_arg(role),
        };
        #[cfg(not(pre_pg16))]
        pg_sys::object_ownercheck(class, object, role)
    }
}

/// Does this backend hold the lock?
pub fn holds_lock(tag: &pg_sys::LOCKTAG, mode: pg_sys::LOCKMODE) -> bool {
    // SAFETY: looks into the backend's own table of locks.
    unsafe {
        #[cfg(pre_pg17)]
        return pg_sys::LockHeldByMe(tag, mode);
        #[cfg(not(pre_pg17))]
        pg_sys::LockHeldByMe(tag, mode, false)
    }
}

/// Has the role that privilege on the relation?
pub fn may(relation: pg_sys::Oid, role: pg_sys::Oid, privilege: u32) -> bool {
    // SAFETY: looks up the catalog only.
    let result = unsafe { pg_sys::pg_class_aclcheck(relation, role, privilege as pg_sys::AclMode) };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// May the role make objects in the schema?
pub fn may_create_in(schema: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    let mode = pg_sys::ACL_CREATE as pg_sys::AclMode;
    // SAFETY: looks up the catalog only.
    let result = unsafe {
        #[cfg(pre_pg16)]
        let result = pg_sys::pg_namespace_aclcheck(schema, role, mode);
        #[cfg(not(pre_pg16))]
        let result = pg_sys::object_aclcheck(pg_sys::NamespaceRelationId, schema, role, mode);
        result
    };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// May the role make schemas in this database, and publications of its tables?
pub fn may_create_in_database(role: pg_sys::Oid) -> bool {
    let mode = pg_sys::ACL_CREATE as pg_sys::AclMode;
    // SAFETY: reads a variable, and looks up the catalog only.
    let result = unsafe {
        let database = pg_sys::MyDatabaseId;
        #[cfg(pre_pg16)]
        let result = pg_sys::pg_database_aclcheck(database, role, mode);
        #[cfg(not(pre_pg16))]
        let result = pg_sys::object_aclcheck(pg_sys::DatabaseRelationId, database, role, mode);
        result
    };
    result == pg_sys::AclResult::ACLCHECK_OK
}

/// What the server keeps of a setting; `None` where there is none of that name.
pub fn setting(name: &std::ffi::CStr) -> Option<*const pg_sys::config_generic> {
    // SAFETY: reads the server's list of settings; each stays where it is for as long as the process lasts.
    unsafe {
        #[cfg(pre_pg16)]
        {
            let (all, number) = (
                pg_sys::get_guc_variables(),
                pg_sys::GetNumConfigOptions().max(0) as usize,
            );
            (0..number)
                .map(|at| (*all.add(at)).cast_const())
                .find(|setting| std::ffi::CStr::from_ptr((**setting).name) == name)
        }
        #[cfg(not(pre_pg16))]
        {
            let found = pg_sys::find_option(name.as_ptr(), false, true, pg_sys::DEBUG5 as i32);
            (!found.is_null()).then_some(found.cast_const())
        }
    }
}

/// Calls back for each part of an expression.
type Walker =
    unsafe extern "C-unwind" fn(node: *mut pg_sys::Node, context: *mut std::ffi::c_void) -> bool;

#[allow(
    clashing_extern_declarations,
    reason = "the walker's type is the server's business"
)]
unsafe extern "C-unwind" {
    #[cfg_attr(not(pre_pg16), link_name = "raw_expression_tree_walker_impl")]
    fn raw_expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: Walker,
        context: *mut std::ffi::c_void,
    ) -> bool;
}

/// The parts that a part of an expression as the parser left it is made of directly.
///
/// # Safety
/// `node` must be part of a parse tree.
pub unsafe fn raw_parts(node: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    // SAFETY: as above.
    unsafe { parts(node, raw_expression_tree_walker) }
}

/// Who goes down a tree asks for the parts of one node after the other. To go down from within the server's walker would
/// have its errors, that of a stack too deep first of all, pass through frames of ours and of the server's in turn, and such a
/// panic ends the server.
unsafe fn parts(
    node: *mut pg_sys::Node,
    walk: unsafe extern "C-unwind" fn(*mut pg_sys::Node, Walker, *mut std::ffi::c_void) -> bool,
) -> Vec<*mut pg_sys::Node> {
    let mut found: Vec<*mut pg_sys::Node> = Vec::new();
    let context: *mut std::ffi::c_void = (&raw mut found).cast();
    // SAFETY: the context is what `part` takes it for; the boundary turns the server's errors into panics, as pgrx's own
    // bindings do.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| walk(node, part, context));
    }
    found
}

/// Notes a part. It raises nothing, and goes no deeper.
unsafe extern "C-unwind" fn part(node: *mut pg_sys::Node, context: *mut std::ffi::c_void) -> bool {
    if !node.is_null() {
        // SAFETY: the context is that of `parts`.
        unsafe { (*context.cast::<Vec<*mut pg_sys::Node>>()).push(node) };
    }
    false
}

#[allow(
    clashing_extern_declarations,
    reason = "the walker's type is the server's business"
)]
unsafe extern "C-unwind" {
    #[cfg_attr(not(pre_pg16), link_name = "expression_tree_walker_impl")]
    fn expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: Walker,
        context: *mut std::ffi::c_void,
    ) -> bool;
}

/// The parts that a part of an analysed expression is made of directly.
///
/// # Safety
/// `node` must be part of an analysed expression.
pub unsafe fn expression_parts(node: *mut pg_sys::Node) -> Vec<*mut pg_sys::Node> {
    // SAFETY: as above.
    unsafe { parts(node, expression_tree_walker) }
}

unsafe extern "C-unwind" {
    /// `worker_internal.h`: what the apply worker applies. Its first field is the id.
    pub static MySubscription: *const pg_sys::Oid;

    #[cfg(pre_pg17)]
    fn AddSubscriptionRelState(
        subscription: pg_sys::Oid,
        relation: pg_sys::Oid,
        state: std::ffi::c_char,
        position: pg_sys::XLogRecPtr,
    );
    #[cfg(not(pre_pg17))]
    fn AddSubscriptionRelState(
        subscription: pg_sys::Oid,
        relation: pg_sys::Oid,
        state: std::ffi::c_char,
        position: pg_sys::XLogRecPtr,
        retain_lock: bool,
    );
    fn RemoveSubscriptionRel(subscription: pg_sys::Oid, relation: pg_sys::Oid);
    fn GetSubscriptionRelState(
        subscription: pg_sys::Oid,
        relation: pg_sys::Oid,
        position: *mut pg_sys::XLogRecPtr,
    ) -> std::ffi::c_char;
    fn logicalrep_worker_stop(subscription: pg_sys::Oid, relation: pg_sys::Oid);
}

/// The first timeout that is not one of the server's own (`timeout.h`).
#[cfg(pre_pg17)]
pub const USER_TIMEOUT: std::ffi::c_int = 12;
/// The first timeout that is not one of the server's own (`timeout.h`).
#[cfg(not(pre_pg17))]
pub const USER_TIMEOUT: std::ffi::c_int = 13;

unsafe extern "C-unwind" {
    /// `timeout.c`: gives the timeout's number.
    pub fn RegisterTimeout(
        id: std::ffi::c_int,
        handler: Option<unsafe extern "C-unwind" fn()>,
    ) -> std::ffi::c_int;
    /// `timeout.c`.
    pub fn enable_timeout_after(id: std::ffi::c_int, milliseconds: std::ffi::c_int);
    /// `timeout.c`.
    pub fn disable_timeout(id: std::ffi::c_int, keep_indicator: bool);
}

/// The state of a relation in a subscription; 0 if it is not in it.
///
/// # Safety
/// Inside a transaction.
pub unsafe fn subscription_state(subscription: pg_sys::Oid, relation: pg_sys::Oid) -> u8 {
    let mut position: pg_sys::XLogRecPtr = 0;
    // SAFETY: as above; the boundary turns the server's errors into panics, as pgrx's own bindings do.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            GetSubscriptionRelState(subscription, relation, &mut position)
        }) as u8
    }
}

/// Ends the worker that copies a relation for a subscription, and waits for its end; nothing if there is none.
///
/// # Safety
/// Inside a transaction.
pub unsafe fn stop_copying(subscription: pg_sys::Oid, relation: pg_sys::Oid) {
    // SAFETY: as above.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| logicalrep_worker_stop(subscription, relation));
    }
}

/// Adds a relation to a subscription.
///
/// # Safety
/// Inside a transaction; the subscription must exist.
pub unsafe fn add_to_subscription(
    subscription: pg_sys::Oid,
    relation: pg_sys::Oid,
    state: std::ffi::c_char,
) {
    // SAFETY: as above; the boundary turns the server's errors into panics, as pgrx's own bindings do.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            #[cfg(pre_pg17)]
            AddSubscriptionRelState(subscription, relation, state, 0);
            #[cfg(not(pre_pg17))]
            AddSubscriptionRelState(subscription, relation, state, 0, false);
        });
    }
}

/// Takes a relation out of a subscription.
///
/// # Safety
/// Inside a transaction.
pub unsafe fn remove_from_subscription(subscription: pg_sys::Oid, relation: pg_sys::Oid) {
    // SAFETY: as above.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| RemoveSubscriptionRel(subscription, relation));
    }
}

/// Raises an error if a connection string cannot be read.
///
/// # Safety
/// libpqwalreceiver must be loaded.
pub unsafe fn check_conninfo(conninfo: &std::ffi::CStr) {
    // SAFETY: the library's table is filled in; the boundary is as above.
    unsafe {
        if let Some(check) = (*pg_sys::WalReceiverFunctions).walrcv_check_conninfo {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                #[cfg(pre_pg16)]
                check(conninfo.as_ptr());
                #[cfg(not(pre_pg16))]
                check(conninfo.as_ptr(), false);
            });
        }
    }
}

/// Connects to a publisher for logical replication; null, and a message, if it cannot be reached.
///
/// # Safety
/// libpqwalreceiver must be loaded.
pub unsafe fn connect_to_publisher(
    conninfo: &std::ffi::CStr,
    message: &mut *mut std::ffi::c_char,
) -> *mut pg_sys::WalReceiverConn {
    let name = c"electric";
    // SAFETY: the library's table is filled in; the boundary is as above.
    unsafe {
        let Some(connect) = (*pg_sys::WalReceiverFunctions).walrcv_connect else {
            return std::ptr::null_mut();
        };
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            #[cfg(pre_pg16)]
            return connect(conninfo.as_ptr(), true, name.as_ptr(), message);
            #[cfg(all(not(pre_pg16), pre_pg17))]
            return connect(conninfo.as_ptr(), true, false, name.as_ptr(), message);
            #[cfg(not(pre_pg17))]
            return connect(conninfo.as_ptr(), true, true, false, name.as_ptr(), message);
        })
    }
}

/// Makes a slot for logical replication whose snapshot the transaction on the connection takes; false if the library
/// cannot.
///
/// # Safety
/// libpqwalreceiver must be loaded, and the connection one of its own.
pub unsafe fn create_slot_for_snapshot(
    connection: *mut pg_sys::WalReceiverConn,
    name: &std::ffi::CStr,
) -> bool {
    let mut position: pg_sys::XLogRecPtr = 0;
    let snapshot = pg_sys::CRSSnapshotAction::CRS_USE_SNAPSHOT;
    // SAFETY: the library's table is filled in; the boundary is as above.
    unsafe {
        let Some(create) = (*pg_sys::WalReceiverFunctions).walrcv_create_slot else {
            return false;
        };
        let (name, position) = (name.as_ptr(), &raw mut position);
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            #[cfg(pre_pg17)]
            create(connection, name, false, false, snapshot, position);
            #[cfg(not(pre_pg17))]
            create(connection, name, false, false, false, snapshot, position);
        });
    }
    true
}

/// The privilege TRUNCATE, whose type grew in 16.
pub const MAY_TRUNCATE: pg_sys::AclMode = pg_sys::ACL_TRUNCATE as pg_sys::AclMode;

/// The attribute of that number, from 1.
///
/// # Safety
/// The descriptor must have it.
pub unsafe fn attribute(
    descriptor: pg_sys::TupleDesc,
    number: i16,
) -> *mut pg_sys::FormData_pg_attribute {
    let index = usize::from(number.unsigned_abs()).saturating_sub(1);
    // SAFETY: the caller promises that the descriptor has that many.
    unsafe {
        #[cfg(pre_pg18)]
        return (*descriptor).attrs.as_mut_ptr().add(index);
        #[cfg(not(pre_pg18))]
        pg_sys::TupleDescAttr(descriptor, index as i32)
    }
}

/// Ids and column numbers of catalogs whose headers the bindings leave out.
pub mod catalog {
    use pgrx::pg_sys::Oid;

    /// An id that the server's headers fix.
    const fn fixed(id: u32) -> Oid {
        Oid::from_u32(id)
    }

    /// `pg_constraint`.
    pub const CONSTRAINTS: Oid = fixed(2606);
    /// Its index on `(conrelid, contypid, conname)`.
    pub const CONSTRAINTS_BY_RELATION: Oid = fixed(2665);
    /// Its index on `oid`.
    pub const CONSTRAINTS_BY_ID: Oid = fixed(2667);
    /// `pg_attrdef`.
    pub const DEFAULTS: Oid = fixed(2604);
    /// Its index on `(adrelid, adnum)`.
    pub const DEFAULTS_BY_COLUMN: Oid = fixed(2656);
    /// `pg_depend`.
    pub const DEPENDENCIES: Oid = fixed(2608);
    /// Its index on `(classid, objid, objsubid)`.
    pub const DEPENDENCIES_BY_DEPENDER: Oid = fixed(2673);
    /// Its index on `(refclassid, refobjid, refobjsubid)`.
    pub const DEPENDENCIES_BY_REFERENCE: Oid = fixed(2674);
    /// `pg_sequence`.
    pub const SEQUENCES: Oid = fixed(2224);
    /// Its index on `seqrelid`.
    pub const SEQUENCES_BY_RELATION: Oid = fixed(5002);
    /// `pg_inherits`.
    pub const INHERITANCE: Oid = fixed(2611);
    /// Its index on `inhparent`.
    pub const INHERITANCE_BY_PARENT: Oid = fixed(2187);
    /// Its index on `(inhrelid, inhseqno)`.
    pub const INHERITANCE_BY_CHILD: Oid = fixed(2680);
    /// `pg_partitioned_table`.
    pub const PARTITIONED: Oid = fixed(3350);
    /// Its column `partrelid`.
    pub const PARTITIONED_RELATION: u32 = 1;
    /// `pg_ts_config`.
    pub const TEXT_SEARCH_CONFIGURATIONS: Oid = fixed(3602);
    /// `pg_publication_rel`.
    pub const PUBLICATION_RELATIONS: Oid = fixed(6106);
    /// Its index on `(prrelid, prpubid)`.
    pub const PUBLICATION_RELATIONS_BY_RELATION: Oid = fixed(6113);

    /// `pg_auth_members`.
    pub const MEMBERSHIPS: Oid = fixed(1261);
    /// Its index on `(member, roleid)`.
    pub const MEMBERSHIPS_BY_MEMBER: Oid = fixed(2695);

    /// Columns of `pg_auth_members`.
    pub mod membership {
        /// `member`; PostgreSQL 16 put `oid` before all others.
        pub const MEMBER: u32 = if cfg!(pre_pg16) { 2 } else { 3 };
    }

    /// Columns of `pg_constraint`.
    pub mod constraint {
        /// PostgreSQL 18 put `conenforced` before `convalidated`.
        const SHIFT: u32 = if cfg!(pre_pg18) { 0 } else { 1 };
        /// PostgreSQL 18 put `conperiod` before `conkey`.
        const KEY_SHIFT: u32 = if cfg!(pre_pg18) { 0 } else { 2 };
        /// `oid`.
        pub const OID: u32 = 1;
        /// `conname`.
        pub const NAME: u32 = 2;
        /// `contype`.
        pub const KIND: u32 = 4;
        /// `condeferrable`.
        pub const DEFERRABLE: u32 = 5;
        /// `convalidated`.
        pub const VALIDATED: u32 = 7 + SHIFT;
        /// `conrelid`.
        pub const RELATION: u32 = 8 + SHIFT;
        /// `contypid`.
        pub const DOMAIN: u32 = 9 + SHIFT;
        /// `conindid`.
        pub const INDEX: u32 = 10 + SHIFT;
        /// `conparentid`.
        pub const PARENT: u32 = 11 + SHIFT;
        /// `confrelid`.
        pub const REFERENCED: u32 = 12 + SHIFT;
        /// `confupdtype`.
        pub const ON_UPDATE: u32 = 13 + SHIFT;
        /// `confdeltype`.
        pub const ON_DELETE: u32 = 14 + SHIFT;
        /// `conkey`.
        pub const COLUMNS: u32 = 19 + KEY_SHIFT;
        /// `confkey`.
        pub const REFERENCED_COLUMNS: u32 = 20 + KEY_SHIFT;
        /// `conbin`.
        pub const TREE: u32 = 26 + KEY_SHIFT;
    }

    /// Columns of `pg_collation` that have other names in other versions, or are not in all.
    pub mod collation {
        /// `colliculocale`, `colllocale` since 17.
        pub const LOCALE: u32 = 10;
        /// `collicurules`, since 16.
        pub const RULES: Option<u32> = if cfg!(pre_pg16) { None } else { Some(11) };
    }

    /// Columns of `pg_range`.
    pub mod range {
        /// `rngcollation`.
        pub const COLLATION: u32 = 4;
    }

    /// Columns of `pg_attrdef`.
    pub mod default {
        /// `oid`.
        pub const OID: u32 = 1;
        /// `adrelid`.
        pub const RELATION: u32 = 2;
        /// `adnum`.
        pub const COLUMN: u32 = 3;
        /// `adbin`.
        pub const TREE: u32 = 4;
    }

    /// Columns of `pg_depend`.
    pub mod dependency {
        /// `classid`.
        pub const CLASS: u32 = 1;
        /// `objid`.
        pub const OBJECT: u32 = 2;
        /// `refclassid`.
        pub const REFERENCED_CLASS: u32 = 4;
        /// `refobjid`.
        pub const REFERENCED: u32 = 5;
        /// `refobjsubid`.
        pub const REFERENCED_SUB_OBJECT: u32 = 6;
        /// `deptype`.
        pub const KIND: u32 = 7;
    }

    /// Columns of `pg_sequence`.
    pub mod sequence {
        /// `seqrelid`.
        pub const RELATION: u32 = 1;
        /// `seqtypid`.
        pub const TYPE: u32 = 2;
        /// `seqstart`.
        pub const START: u32 = 3;
        /// `seqincrement`.
        pub const INCREMENT: u32 = 4;
        /// `seqmax`.
        pub const MAX: u32 = 5;
        /// `seqmin`.
        pub const MIN: u32 = 6;
        /// `seqcache`.
        pub const CACHE: u32 = 7;
        /// `seqcycle`.
        pub const CYCLE: u32 = 8;
    }

    /// Columns of `pg_inherits`.
    pub mod inheritance {
        /// `inhrelid`.
        pub const CHILD: u32 = 1;
        /// `inhparent`.
        pub const PARENT: u32 = 2;
    }

    /// Columns of `pg_publication_rel`.
    pub mod publication_relation {
        /// `prpubid`.
        pub const PUBLICATION: u32 = 2;
        /// `prrelid`.
        pub const RELATION: u32 = 3;
        /// `prqual`.
        pub const FILTER: u32 = 4;
        /// `prattrs`.
        pub const COLUMNS: u32 = 5;
    }
}
