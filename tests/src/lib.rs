//! The harness of the end-to-end tests: real servers, a real replication stream, a real SQLite replica.
//!
//! The tests are in `tests/`, a file per theme. `ELECTRIC_PG_CONFIG` names the server's `pg_config`; the extension must
//! be installed there (`cargo pgrx install`). `ELECTRIC_OTHER_PG_CONFIG` names one of another version, where there is one.
#![deny(missing_docs)]

pub mod cluster;
pub mod database;
pub mod errors;
pub mod fire;
pub mod hostile;
pub mod oracle;
pub mod pgoutput;
pub mod port;
pub mod proxy;
pub mod recipes;
pub mod replica;
pub mod replication;
pub mod schemas;
