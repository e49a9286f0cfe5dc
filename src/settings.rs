//! The settings of the extension, one static each.

use std::cell::Cell;
use std::ffi::CString;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

use crate::pg::{entry, policy};

/// What `electric.policy` lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum Policy {
    /// Only what can never break a replica that is behind.
    #[name = c"additive"]
    Additive,
    /// Also what loosens a promise: DROP NOT NULL, DROP CONSTRAINT, wider types.
    #[name = c"compatible"]
    Compatible,
    /// Anything, recorded so that replicas fetch the table anew. For superusers.
    #[name = c"unrestricted"]
    Unrestricted,
}

/// The replica identity that `electric.enable` gives a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum ReplicaIdentity {
    /// Old rows whole: a consumer sees what a row was before.
    #[name = c"full"]
    Full,
    /// The primary key of old rows.
    #[name = c"default"]
    Default,
}

/// `additive`, because replicas may be behind for as long as a phone stays in a drawer. What it says is not what applies: see
/// [`policy_in_force`].
static POLICY: GucSetting<Policy> = GucSetting::<Policy>::new(Policy::Additive);

/// `electric_publication`, the name the earlier system used.
pub static PUBLICATION: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"electric_publication"));

/// `full`, so that a consumer can tell which columns an UPDATE changed.
pub static REPLICA_IDENTITY: GucSetting<ReplicaIdentity> =
    GucSetting::<ReplicaIdentity>::new(ReplicaIdentity::Full);

/// Empty. Reserved for conditions of grants, which see it as AUTH.user_id.
pub static USER_ID: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

/// 0: no proxy.
pub static PROXY_PORT: GucSetting<i32> = GucSetting::<i32>::new(0);

/// `localhost`, because what is not reached needs no defence.
pub static PROXY_LISTEN_ADDRESSES: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"localhost"));

/// Empty: where the server asks for no password the proxy lets nobody in.
pub static PROXY_PASSWORD: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c""));

/// 0: as many as the server takes.
pub static PROXY_MAX_CONNECTIONS: GucSetting<i32> = GucSetting::<i32>::new(0);

fn init_proxy() {
    GucRegistry::define_int_guc(
        c"electric.proxy_port",
        c"The port of the migrations proxy.",
        c"0: there is none. It needs the library in shared_preload_libraries.",
        &PROXY_PORT,
        0,
        65535,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"electric.proxy_listen_addresses",
        c"Where the migrations proxy listens.",
        c"Names and addresses, separated by commas; * is all.",
        &PROXY_LISTEN_ADDRESSES,
        GucContext::Sighup,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"electric.proxy_password",
        c"What the migrations proxy asks for where the server asks for nothing.",
        c"Without it connections that the server would trust are refused. The environment variable PG_PROXY_PASSWORD stands in for it.",
        &PROXY_PASSWORD,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY | GucFlags::NO_SHOW_ALL,
    );
    GucRegistry::define_int_guc(
        c"electric.proxy_max_connections",
        c"Sessions that the migrations proxy takes at a time.",
        c"0: as many as max_connections.",
        &PROXY_MAX_CONNECTIONS,
        0,
        262_143,
        GucContext::Sighup,
        GucFlags::default(),
    );
}

/// Registers the settings. A name that begins with `electric.` and is none of them is an error from here on.
pub fn init() {
    policy::define(
        c"Which changes of electrified tables are let through.",
        c"additive: only what takes nothing away from replicas that are behind; compatible: also what loosens a promise; unrestricted (superuser): anything, and replicas fetch the table anew.",
        &POLICY,
    );
    GucRegistry::define_string_guc(
        c"electric.publication",
        c"The publication that carries electrified tables and their migrations.",
        c"Created by the first electric.enable.",
        &PUBLICATION,
        // Tables are added to it with the rights of the extension's owner.
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"electric.replica_identity",
        c"The replica identity that electric.enable gives a table.",
        c"full: consumers see old rows whole; default: they see their primary key.",
        &REPLICA_IDENTITY,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"electric.user_id",
        c"The user that conditions of grants see as AUTH.user_id.",
        c"Reserved.",
        &USER_ID,
        GucContext::Userset,
        GucFlags::default(),
    );
    init_proxy();
    crate::pg::session::reserve_settings(c"electric");
}

/// The name of the publication.
pub fn publication() -> String {
    PUBLICATION
        .get()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "electric_publication".to_owned())
}

impl Policy {
    /// The setting's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Policy::Additive => "additive",
            Policy::Compatible => "compatible",
            Policy::Unrestricted => "unrestricted",
        }
    }
}

impl ReplicaIdentity {
    /// The setting's word for it.
    pub fn word(self) -> &'static str {
        match self {
            ReplicaIdentity::Full => "full",
            ReplicaIdentity::Default => "default",
        }
    }
}

thread_local! {
    /// Whether this session was told that its `unrestricted` does not count.
    static TOLD: Cell<bool> = const { Cell::new(false) };
}

/// The policy that applies. `unrestricted` is one that a superuser chose for the session, in the session: what came by a
/// configuration, or by somebody else's function, is none. Then `additive` applies, and the session is told once.
pub fn policy_in_force() -> Policy {
    match POLICY.get() {
        Policy::Unrestricted if !policy::is_own_choice() => {
            if !TOLD.replace(true) {
                entry::warning_in_full(
                    "electric.policy \"unrestricted\" does not count here: \"additive\" applies",
                    "It counts where a superuser set it in the session, and is the one who calls. Connection options, settings of roles, databases and functions, and the configuration file do not count.",
                    "As superuser: SET electric.policy = unrestricted;",
                );
            }
            Policy::Additive
        }
        policy => policy,
    }
}

/// The policy that applies: what is let through, and whether what is not is done all the same and recorded as such.
pub fn effective_policy() -> (electric_schema::policy::Policy, bool) {
    use electric_schema::policy::Policy as Rule;
    match policy_in_force() {
        Policy::Additive => (Rule::Additive, false),
        Policy::Compatible => (Rule::Compatible, false),
        Policy::Unrestricted => (Rule::Compatible, true),
    }
}
