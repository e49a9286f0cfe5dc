//! What `electric.introspect()` said after each migration, it must say of that version ever after.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use postgres::Client;
use serde_json::Value;

use crate::database::commands;
use crate::schemas;

/// Introspections by version.
#[derive(Debug, Default)]
pub struct Remembered(BTreeMap<String, Value>);

fn introspect(client: &mut Client, version: Option<&str>) -> Result<Value> {
    let row = client.query_one("SELECT electric.introspect($1)", &[&version])?;
    Ok(row.get(0))
}

impl Remembered {
    /// Remembers what is there now. No transaction may be open.
    pub fn note(&mut self, client: &mut Client) -> Result<()> {
        let now = introspect(client, None)?;
        if let Some(version) = now["version"].as_str() {
            let version = version.to_owned();
            if let Some(before) = self.0.insert(version.clone(), now.clone()) {
                ensure!(before == now, "version {version} changed:\n{before}\n{now}");
            }
        }
        Ok(())
    }

    /// Compares all that is remembered with the past that is told now.
    pub fn check(&self, client: &mut Client) -> Result<()> {
        for (version, expected) in &self.0 {
            let told = introspect(client, Some(version))?;
            ensure!(
                told == *expected,
                "introspection of version {version}: it was\n{expected}\nand is said to have been\n{told}"
            );
        }
        if let Some(last) = self.0.values().next_back() {
            schemas::introspection(last)?;
        }
        for command in commands(client) {
            schemas::op(&command.op)?;
        }
        Ok(())
    }
}
