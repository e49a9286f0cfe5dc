//! `electric.status()`.

use serde_json::json;

use crate::error::Error;
use crate::pg::entry::{self, Call, Datum};
use crate::settings::{self, REPLICA_IDENTITY};
use crate::store;

/// `electric.status()`: version, counts, publication and settings as jsonb.
pub fn status(_call: &Call) -> Result<Datum, Error> {
    let migration = store::migrations::last()?;
    let last = store::commands::last()?;
    let status = json!({
        "version": migration.as_ref().map(|m| m.version.clone()),
        "migration_id": migration.as_ref().map(|m| m.id),
        "hash": (!last.hash.is_empty()).then_some(last.hash),
        "tables": store::shapes::ids()?.len(),
        "commands": last.id,
        "extension_version": env!("CARGO_PKG_VERSION"),
        "publication": settings::publication(),
        "policy": settings::policy_in_force().word(),
        "replica_identity": REPLICA_IDENTITY.get().word(),
        "proxy": crate::proxy::status(),
        "subscriber": super::subscribe::status()?,
    });
    Ok(entry::jsonb(&status.to_string()))
}
