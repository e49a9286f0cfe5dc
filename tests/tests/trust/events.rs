//! Functions for events, frames of commands, and who writes the tables of the extension.
