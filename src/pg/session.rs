//! The session: who calls, which state the server is in, and the settings under which SQL is printed.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys;

/// Settings that change how the server prints expressions and values, and the value each is printed under.
const CANONICAL: [(&CStr, &CStr); 10] = [
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"DateStyle", c"ISO, YMD"),
    (c"IntervalStyle", c"postgres"),
    (c"TimeZone", c"UTC"),
    (c"extra_float_digits", c"1"),
    (c"bytea_output", c"hex"),
    (c"quote_all_identifiers", c"off"),
    (c"standard_conforming_strings", c"on"),
    (c"lc_monetary", c"C"),
    (c"xmlbinary", c"base64"),
];

/// Settings that change besides what statements mean which the publisher printed.
const REPLAYED: [(&CStr, &CStr); 3] = [
    (c"array_nulls", c"on"),
    (c"transform_null_equals", c"off"),
    (c"xmloption", c"content"),
];

/// The settings of the session as they were; put back when dropped, or by the abort of the transaction.
struct Settings {
    nest_level: i32,
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: ends the nest level that `canonical` began. While a server error unwinds, the abort does it.
        if !std::thread::panicking() {
            unsafe { pg_sys::AtEOXact_GUC(true, self.nest_level) };
        }
    }
}

impl Settings {
    /// Sets each setting until the guard is dropped.
    fn with(values: &[(&CStr, &CStr)]) -> Settings {
        Settings::of(values, pg_sys::GucContext::PGC_USERSET)
    }

    /// Sets settings that only superusers may set. The caller must be one.
    fn as_superuser(values: &[(&CStr, &CStr)]) -> Settings {
        Settings::of(values, pg_sys::GucContext::PGC_SUSET)
    }

    fn of(values: &[(&CStr, &CStr)], context: pg_sys::GucContext::Type) -> Settings {
        // SAFETY: names and values are valid settings; the nest level is closed by Drop.
        unsafe {
            let settings = Settings {
                nest_level: pg_sys::NewGUCNestLevel(),
            };
            for (name, value) in values {
                let current = pg_sys::GetConfigOption(name.as_ptr(), true, false);
                if !current.is_null() && CStr::from_ptr(current) == *value {
                    continue;
                }
                pg_sys::set_config_option(
                    name.as_ptr(),
                    value.as_ptr(),
                    context,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
            settings
        }
    }
}

/// What became of the settings in the innermost [`printing`].
enum Printing {
    /// There is none.
    Outside,
    /// Nothing was printed yet.
    NotYet,
    /// They are set, and put back when this is dropped.
    Set(#[allow(dead_code, reason = "dropped at the end")] Settings),
}

thread_local! {
    static PRINTING: RefCell<Printing> = const { RefCell::new(Printing::Outside) };
}

/// Runs `body` so that what the server prints in it depends on nothing but the catalog. Most tables are read without
/// having the server print anything, and settings take longer to change than that: they wait for [`prints`].
pub fn printing<T>(body: impl FnOnce() -> T) -> T {
    /// Puts back what was there, also when an error passes.
    struct Before(Option<Printing>);
    impl Drop for Before {
        fn drop(&mut self) {
            let before = self.0.take().unwrap_or(Printing::Outside);
            // The settings are put back outside of the borrow: that runs hooks of the server's.
            drop(PRINTING.replace(before));
        }
    }
    let _before = Before(Some(PRINTING.replace(Printing::NotYet)));
    body()
}

/// The server is about to print, or to read what it printed: sets what that depends on, for as long as the innermost
/// [`printing`] lasts.
pub fn prints() {
    let is_first = PRINTING.with_borrow(|printing| match printing {
        Printing::NotYet => true,
        Printing::Set(_) => false,
        Printing::Outside => {
            debug_assert!(false, "printed under the settings of the session");
            false
        }
    });
    if is_first {
        let settings = Settings::with(&CANONICAL);
        PRINTING.set(Printing::Set(settings));
    }
}

/// Runs `body` under those settings from the start.
pub fn canonical<T>(body: impl FnOnce() -> T) -> T {
    printing(|| {
        prints();
        body()
    })
}

/// Runs `body` under settings by which statements and values mean what the publisher meant, whatever is set for this
/// session or database; nothing is found on a search path, and no function of an ordinary role is called.
pub fn replaying<T>(body: impl FnOnce() -> T) -> T {
    canonical(|| {
        let _settings = Settings::with(&REPLAYED);
        super::stranger::refused(body)
    })
}

/// The transaction may write from here on, whatever `default_transaction_read_only` says of this database: that is for
/// those who would write themselves, and a worker brings what is written elsewhere.
pub fn write_all_the_same() {
    // SAFETY: sets a variable that every transaction sets anew when it begins; who asks is in a worker's transaction.
    unsafe { pg_sys::XactReadOnly = false };
}

/// Another role's identity, taken for a while.
pub struct Become {
    user: pg_sys::Oid,
    context: i32,
}

impl Become {
    fn role(role: pg_sys::Oid, flags: u32) -> Become {
        let mut before = Become {
            user: pg_sys::Oid::INVALID,
            context: 0,
        };
        // SAFETY: remembers what is put back by Drop; an abort resets both as well.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut before.user, &mut before.context);
            pg_sys::SetUserIdAndSecContext(role, before.context | flags as i32);
        }
        before
    }
}

impl Drop for Become {
    fn drop(&mut self) {
        // SAFETY: puts back what was read.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}

/// The identity of the extension's owner, and a search path on which nothing of a user's lies.
pub struct Elevated {
    _user: Become,
    _settings: Settings,
}

/// Become the owner of the extension until the guard is dropped. The caller's identity must have been checked before.
/// An error where there is no extension, and so no role to become.
pub fn elevate() -> Result<Elevated, crate::error::Error> {
    let owner = super::names::extension_owner(super::names::own_extension());
    if owner == pg_sys::Oid::INVALID {
        return Err(crate::error::Error::internal(
            "extension \"electric\" has no owner",
        ));
    }
    Ok(Elevated {
        _settings: Settings::with(&CANONICAL[..1]),
        _user: Become::role(owner, pg_sys::SECURITY_LOCAL_USERID_CHANGE),
    })
}

/// The identity of a table's owner, and a search path on which nothing of a user's lies.
pub struct AsOwner {
    _user: Become,
    _settings: Settings,
}

/// Become the owner of a table until the guard is dropped, for what must be evaluated of what belongs to the table; `None`
/// if it is gone. The other settings stay: the values of rows that are there came about under them.
pub fn as_owner(table: pg_sys::Oid) -> Option<AsOwner> {
    let owner = super::relation::owner(table)?;
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    Some(AsOwner {
        _settings: Settings::with(&CANONICAL[..1]),
        _user: Become::role(owner, flags),
    })
}

/// Whether the caller owns the table, as a member of its owner and a superuser do.
pub fn acts_as_owner(table: pg_sys::Oid) -> bool {
    super::relation::owner(table).is_some_and(has_privileges_of)
}

/// The role that calls.
pub fn user() -> pg_sys::Oid {
    // SAFETY: reads a variable.
    unsafe { pg_sys::GetUserId() }
}

/// The role that the session is of: who logged in, or was chosen by SET SESSION AUTHORIZATION.
pub fn session_user() -> pg_sys::Oid {
    // SAFETY: reads a variable.
    unsafe { pg_sys::GetSessionUserId() }
}

/// Whether the caller owns this database, or is a superuser.
pub fn owns_database() -> bool {
    // SAFETY: reads a variable.
    let database = unsafe { pg_sys::MyDatabaseId };
    super::compat::owns(pg_sys::DatabaseRelationId, database, user())
}

/// Whether the script of an extension runs, and it is ours.
pub fn in_own_script() -> bool {
    // SAFETY: reads variables; looks up the catalog only inside an extension script.
    unsafe {
        pg_sys::creating_extension
            && pg_sys::CurrentExtensionObject == super::names::own_extension()
    }
}

unsafe extern "C-unwind" {
    // `xact.c` and `xlog.c`, without pgrx' wrapper: they raise no errors, and every command asks them twice.
    #[allow(clashing_extern_declarations)]
    fn IsTransactionState() -> bool;
    #[allow(clashing_extern_declarations)]
    fn RecoveryInProgress() -> bool;
}

/// Whether this backend may act at all: no standby, no pg_upgrade, no parallel worker.
pub fn may_act() -> bool {
    // SAFETY: reads variables.
    unsafe {
        !pg_sys::IsBinaryUpgrade
            && pg_sys::ParallelWorkerNumber < 0
            && IsTransactionState()
            && !RecoveryInProgress()
    }
}

/// Whether the transaction may write.
pub fn may_write() -> bool {
    // SAFETY: reads a variable.
    unsafe { !pg_sys::XactReadOnly }
}

/// Whether the session loads what pg_dump wrote. No session says so, but what pg_dump sets before anything else hardly
/// anybody else sets: functions unchecked, and not one schema to find things in. It takes who can load such a dump.
pub fn loads_dump() -> bool {
    // SAFETY: reads variables; the path is a nul-terminated string once settings are there.
    let is_set = unsafe {
        let path = pg_sys::namespace_search_path;
        // pg_dump says `set_config('search_path', '', false)`; SET search_path = '' leaves a pair of quotes.
        !pg_sys::check_function_bodies
            && !path.is_null()
            && matches!(CStr::from_ptr(path).to_bytes(), b"" | b"\"\"")
    };
    is_set && may_load_dump()
}

/// Whether a superuser, or the owner of the extension, has logged in. A restore takes on other roles by SET ROLE or SET SESSION
/// AUTHORIZATION, which does not count against it; what a function does as somebody else does not count for it.
fn may_load_dump() -> bool {
    // SAFETY: reads variables.
    let (logged_in, chosen) =
        unsafe { (pg_sys::GetAuthenticatedUserId(), pg_sys::GetOuterUserId()) };
    user() == chosen
        && (is_superuser_role(logged_in)
            || logged_in == super::names::extension_owner(super::names::own_extension()))
}

/// Makes any other setting with that prefix an error.
pub fn reserve_settings(prefix: &CStr) {
    // SAFETY: the server copies the prefix.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) }
}

/// Whether the role is a superuser.
pub fn is_superuser_role(role: pg_sys::Oid) -> bool {
    // SAFETY: looks up a cache.
    unsafe { pg_sys::superuser_arg(role) }
}

/// Whether the caller has the privileges of the role.
pub fn has_privileges_of(role: pg_sys::Oid) -> bool {
    // SAFETY: looks up caches.
    unsafe { pg_sys::has_privs_of_role(user(), role) }
}

/// Whether the caller is a superuser.
pub fn is_superuser() -> bool {
    // SAFETY: looks up a cache.
    unsafe { pg_sys::superuser() }
}

/// Raises the server's own error in a read-only transaction, on a standby, or in a parallel query.
pub fn prevent_if_read_only(what: &CStr) {
    // SAFETY: raises an error or does nothing.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(what.as_ptr());
        pg_sys::PreventCommandIfParallelMode(what.as_ptr());
        pg_sys::PreventCommandDuringRecovery(what.as_ptr());
    }
}

/// Raises the server's own error on a standby.
pub fn prevent_in_recovery(what: &CStr) {
    // SAFETY: raises an error or does nothing.
    unsafe { pg_sys::PreventCommandDuringRecovery(what.as_ptr()) }
}

/// The id of the role of that name.
pub fn role_of_name(name: &str) -> Option<pg_sys::Oid> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: looks up a cache.
    let id = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (id != pg_sys::Oid::INVALID).then_some(id)
}

/// The first attribute of a role that lets it do what ordinary roles may not.
pub fn special_attribute(role: pg_sys::Oid) -> Option<&'static str> {
    use pg_sys::*;
    let attributes = [
        (Anum_pg_authid_rolsuper, "SUPERUSER"),
        (Anum_pg_authid_rolbypassrls, "BYPASSRLS"),
        (Anum_pg_authid_rolcreaterole, "CREATEROLE"),
        (Anum_pg_authid_rolcreatedb, "CREATEDB"),
        (Anum_pg_authid_rolreplication, "REPLICATION"),
    ];
    let cache = SysCacheIdentifier::AUTHOID;
    super::cached::cached(cache, role.into(), |row| {
        let mut attributes = attributes.into_iter();
        attributes.find(|(column, _)| row.bool(*column))
    })
    .flatten()
    .map(|(_, name)| name)
}

/// Whether the role is a member of another.
pub fn is_member_of_any(role: pg_sys::Oid) -> bool {
    use super::compat::catalog::{MEMBERSHIPS, MEMBERSHIPS_BY_MEMBER, membership};
    use super::heap::{Key, scan};
    let key = Key::oid(membership::MEMBER, role);
    !scan(MEMBERSHIPS, MEMBERSHIPS_BY_MEMBER, &[key], |_| ()).is_empty()
}

/// The name of this database.
pub fn database_name() -> String {
    // SAFETY: looks up a cache; the result is a copy.
    unsafe {
        let name = pg_sys::get_database_name(pg_sys::MyDatabaseId);
        if name.is_null() {
            return String::new();
        }
        super::names::from_server(CStr::from_ptr(name).to_bytes())
    }
}

/// Become a role, for whom nothing of the session's is in reach: neither another role, nor temporary objects.
pub fn become_role(role: pg_sys::Oid) -> Become {
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    Become::role(role, flags)
}

/// Runs `body` without a word to the client or the log that is no error.
pub fn silently<T>(body: impl FnOnce() -> T) -> T {
    const SILENT: [(&CStr, &CStr); 2] = [
        (c"client_min_messages", c"error"),
        (c"log_min_messages", c"error"),
    ];
    let _settings = Settings::as_superuser(&SILENT);
    body()
}

/// From here to the end of the command, errors and views show this in place of its text.
pub fn show_instead(text: &'static CStr) {
    // SAFETY: the server sets the variable anew for each command, and copies what it reports.
    unsafe {
        pg_sys::debug_query_string = text.as_ptr();
        pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, text.as_ptr());
    }
}

/// Whether the statement that the client sent is a CALL.
pub fn client_calls() -> bool {
    // SAFETY: reads variables; the portal lives as long as its statement runs.
    unsafe {
        let portal = pg_sys::ActivePortal;
        !portal.is_null() && (*portal).commandTag == pg_sys::CommandTag::CMDTAG_CALL
    }
}
