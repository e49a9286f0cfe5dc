//! How large what comes from users may be. Everything is measured before it is copied or multiplied.

use crate::error::{Error, SqlState};

/// A text that is given to a function: 1 MiB.
pub const TEXT: usize = 1 << 20;

/// The version of a migration, a framework's too: 1,024 bytes. It is indexed, published and kept for good.
pub const VERSION: usize = 1024;

/// One record, that is `op`, `postgres`, `sqlite` and `query` together: 16 MiB.
pub const RECORD: usize = 16 << 20;

/// A definition or a value of the catalog that no record has room for. `what` is it, `bytes` long.
pub fn too_large(what: &str, bytes: usize) -> Error {
    Error::new(
        SqlState::ProgramLimitExceeded,
        format!("{what} is too large for replicas: {bytes} bytes"),
    )
    .detail(RULE)
    .hint(HINT)
}

/// The record of a command that changes `relation` is too large.
pub fn record(command: &str, relation: &str) -> Error {
    let of = if relation.is_empty() { "" } else { " of " };
    Error::new(
        SqlState::ProgramLimitExceeded,
        format!("the record of {command}{of}{relation} is larger than 16 MiB"),
    )
    .detail(RULE)
    .hint(HINT)
}

const RULE: &str = "Each change is one record, which replicas take as a whole: what changed and the table that results, in \
     both dialects, and the statement, 16 MiB together.";
const HINT: &str =
    "Make the default, check, list of labels or statement shorter; long values belong into rows.";
