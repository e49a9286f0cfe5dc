//! The schema model of Electric for Postgres, free of any server: shapes of tables, the changes between them, the
//! rules that say which may happen, and how each is written down for Postgres and for SQLite.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(
    clippy::result_large_err,
    reason = "errors carry all that a client shows; they are rare and never hot"
)]

pub mod bounded;
pub mod change;
pub mod diagram;
pub mod dialect;
pub mod diff;
pub mod expression;
pub mod framework;
pub mod harmless;
pub mod hash;
pub mod identity;
pub mod jsonb;
pub mod model;
pub mod names;
pub mod op;
pub mod order;
pub mod permissions;
pub mod policy;
pub mod refusal;
pub mod remains;
pub mod value;
