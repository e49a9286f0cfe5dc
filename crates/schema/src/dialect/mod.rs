//! The two dialects in which every change is written down, and how the types of Postgres are stored in SQLite.

pub mod postgres;
pub mod script;
pub mod sqlite;
pub mod types;
