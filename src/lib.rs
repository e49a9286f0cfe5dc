//! Electric for Postgres: schema migrations that travel with the rows.
//!
//! This file wires the modules together; see docs/architecture.md for how a statement flows through them.
#![deny(missing_docs, unsafe_code)]
#![allow(
    clippy::result_large_err,
    reason = "errors carry all that a client shows; they are rare and never hot"
)]

use pgrx::prelude::*;

mod api;
mod capture;
mod catalog;
mod error;
mod follow;
mod frameworks;
mod history;
mod limits;
mod native;
mod permissions;
mod pg;
mod precheck;
mod proxy;
mod publication;
mod settings;
mod store;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod version;
mod watch;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/tables.sql", name = "tables", bootstrap);
extension_sql_file!(
    "../sql/frameworks.sql",
    name = "frameworks",
    requires = ["tables"]
);
extension_sql_file!(
    "../sql/functions.sql",
    name = "functions",
    requires = ["tables", "frameworks"]
);
extension_sql_file!(
    "../sql/triggers.sql",
    name = "triggers",
    requires = ["functions"]
);
extension_sql_file!(
    "../sql/privileges.sql",
    name = "privileges",
    requires = ["triggers"],
    finalize
);

/// Called once by the server when it loads the library, in the postmaster or in a backend.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pg::backtrace::never();
    settings::init();
    pg::hook::init();
    pg::access::init();
    pg::stranger::init();
    pg::touched::init();
    pg::written::init();
    pg::xact::init();
    pg::worker::init();
}

/// What `cargo pgrx test` asks of the crate.
#[cfg(test)]
pub mod pg_test {
    /// Nothing to prepare.
    pub fn setup(_options: Vec<&str>) {}

    /// The library is preloaded, and logical decoding possible.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![
            "shared_preload_libraries = 'electric'",
            "wal_level = logical",
        ]
    }
}
