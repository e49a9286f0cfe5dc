//! Electric for Postgres: schema migrations that travel with the rows.
//!
//! This file wires the modules together; see docs/architecture.md for how a statement flows through them.
#![deny(missing_docs, unsafe_code)]

use pgrx::prelude::*;

mod api;
mod capture;
mod catalog;
mod error;
mod pg;
mod publication;
mod settings;
mod store;
mod version;
mod watch;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/tables.sql", name = "tables", bootstrap);
extension_sql_file!(
    "../sql/functions.sql",
    name = "functions",
    requires = ["tables"]
);
extension_sql_file!(
    "../sql/triggers.sql",
    name = "triggers",
    requires = ["functions"],
    finalize
);

/// Called once by the server when it loads the library, in the postmaster or in a backend.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::init();
    pg::hook::init();
    pg::touched::init();
    pg::xact::init();
}
