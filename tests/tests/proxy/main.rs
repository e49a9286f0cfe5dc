//! The migrations proxy before real servers.

mod crash;
mod extended;
mod passthrough;
mod security;
mod simple;
mod worker;
