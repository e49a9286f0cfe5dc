//! How far a subscriber is.

use serde_json::{Value, json};

use crate::error::Error;
use crate::pg::{session, spi};
use crate::store;

/// A subscription of this database.
pub struct Subscription {
    /// Its id.
    pub id: pgrx::pg_sys::Oid,
    enabled: bool,
}

/// The subscription of that name.
pub fn state(name: &str) -> Result<Option<Subscription>, Error> {
    const ROW: &str = "FROM pg_catalog.pg_subscription AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid \
         WHERE d.datname = pg_catalog.current_database() AND s.subname::text = $1";
    let Some(id) = spi::value(&format!("SELECT s.oid {ROW}"), &[name])? else {
        return Ok(None);
    };
    let enabled = spi::value(&format!("SELECT s.subenabled {ROW}"), &[name])?.unwrap_or(false);
    Ok(Some(Subscription { id, enabled }))
}

/// What `electric.status()` tells of the subscription; null where there is none.
pub fn status() -> Result<Value, Error> {
    let Some(name) = store::subscriptions::name()? else {
        return Ok(Value::Null);
    };
    let last_command = store::commands::last()?.id;
    let mut status = json!({
        "name": name, "enabled": false, "running": false, "errors": 0, "last_command": last_command, "tables": {},
        "blocked": [],
    });
    session::canonical(|| {
        let blocked = spi::value::<String>(BLOCKED, &[])?.unwrap_or_default();
        status["blocked"] = serde_json::from_str(&blocked)?;
        let Some(Subscription { id, enabled }) = state(&name)? else {
            return Ok(());
        };
        status["enabled"] = enabled.into();
        if let Some(text) = spi::value::<String>(PROGRESS, &[&id.to_u32().to_string()])?
            && let Value::Object(progress) = serde_json::from_str(&text)?
            && let Some(status) = status.as_object_mut()
        {
            status.extend(progress);
        }
        Ok::<_, Error>(())
    })?;
    Ok(status)
}

/// What is passed over, and why.
const BLOCKED: &str = "SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object( \
    'name', b.relation, 'reason', b.reason, 'command', b.command, 'since', b.since) ORDER BY b.relation), '[]')::text \
    FROM electric.blocked AS b";

/// How far the subscription with that id is, as the server's own views have it.
const PROGRESS: &str = "SELECT pg_catalog.json_build_object( \
    'running', EXISTS (SELECT FROM pg_catalog.pg_stat_subscription AS w WHERE w.subid = $1::oid AND w.relid IS NULL AND w.pid IS NOT NULL), \
    'errors', (SELECT s.apply_error_count + s.sync_error_count FROM pg_catalog.pg_stat_subscription_stats AS s WHERE s.subid = $1::oid), \
    'tables', (SELECT coalesce(pg_catalog.json_object_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), \
            CASE r.srsubstate WHEN 'i' THEN 'waiting' WHEN 'r' THEN 'ready' WHEN 'd' THEN 'copying' ELSE 'catching up' END \
            ORDER BY n.nspname, c.relname), '{}') \
        FROM pg_catalog.pg_subscription_rel AS r JOIN electric.electrified AS e ON e.relation::oid = r.srrelid \
        JOIN pg_catalog.pg_class AS c ON c.oid = r.srrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
        WHERE r.srsubid = $1::oid))::text";
