//! What is the extension's own is so by membership, never by name.

mod arguments;
mod damaged;
mod fake;
mod lock;
mod privileges;
