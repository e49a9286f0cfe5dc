//! The migrations proxy before real servers.

mod extended;
mod security;
mod simple;
mod worker;
