//! `electric.set_migration_version` and `CALL electric.migration_version`.

use crate::error::{Error, SqlState};
use crate::pg::entry::{Call, Datum, void};
use crate::version;

/// `electric.set_migration_version(version text)`: names the migration of this transaction.
pub fn set_migration_version(call: &Call) -> Result<Datum, Error> {
    let wanted = version::given(call, 0)?.ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "a migration's version must not be null",
        )
    })?;
    version::set(&wanted)?;
    Ok(void())
}
