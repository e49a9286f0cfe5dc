//! Everything that touches the server's memory: each `unsafe` of the extension is in here, behind safe functions.
#![allow(unsafe_code)]

pub mod access;
pub mod attributes;
pub mod collation;
pub mod compat;
pub mod condition;
pub mod deparse;
pub mod entry;
pub mod event;
pub mod expression;
pub mod functions;
pub mod heap;
pub mod hook;
pub mod jsonb;
pub mod known;
pub mod locks;
pub mod memory;
pub mod names;
pub mod options;
pub mod publisher;
pub mod relation;
pub mod restated;
mod row;
pub mod script;
pub mod session;
pub mod spi;
pub mod subscription;
pub mod subtransaction;
pub mod touched;
pub mod tree;
pub mod types;
pub mod version;
pub mod worker;
pub mod written;
pub mod xact;
