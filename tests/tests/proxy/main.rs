//! The migrations proxy before real servers.

mod extended;
mod simple;
