//! The replica's book of migration records: whatever arrives must continue it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::database::CommandRow;

/// What is known of the records so far.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    migrations: BTreeMap<i64, String>,
    last_command: i64,
    last_migration_used: i64,
    hash: String,
}

impl Ledger {
    /// A migration begins: its id follows the last one, its version is new.
    pub fn begin(&mut self, id: i64, version: &str) -> Result<()> {
        let last = self.migrations.last_key_value().map_or(0, |(id, _)| *id);
        ensure!(id == last + 1, "migration {id} follows {last}");
        self.name(id, version)
    }

    /// A migration gets its (final) version.
    pub fn name(&mut self, id: i64, version: &str) -> Result<()> {
        let taken = self
            .migrations
            .iter()
            .find(|(other, taken)| **other != id && *taken == version);
        if let Some((other, _)) = taken {
            bail!("version {version:?} of migration {id} is that of migration {other}");
        }
        self.migrations.insert(id, version.to_owned());
        Ok(())
    }

    /// A command: its id follows, its migration is known and not an earlier one, its hash continues the chain.
    pub fn command(&mut self, command: &CommandRow) -> Result<()> {
        let id = command.id;
        ensure!(
            id == self.last_command + 1,
            "command {id} follows {}",
            self.last_command
        );
        let migration = command.migration_id;
        ensure!(
            self.migrations.contains_key(&migration),
            "command {id} is of unknown migration {migration}"
        );
        ensure!(
            migration >= self.last_migration_used,
            "command {id} is of migration {migration}, after one of {}",
            self.last_migration_used
        );
        let expected = link(&self.hash, &command.op);
        ensure!(
            command.hash == expected,
            "command {id} breaks the chain: its hash is {}, expected {expected}",
            command.hash
        );
        let word = command
            .op
            .get("op")
            .and_then(Value::as_str)
            .unwrap_or_default();
        ensure!(
            word == command.command,
            "command {id} is {:?}, its op says {word:?}",
            command.command
        );
        self.last_command = id;
        self.last_migration_used = migration;
        self.hash.clone_from(&command.hash);
        Ok(())
    }

    /// The version of a migration.
    pub fn version(&self, migration: i64) -> Option<&str> {
        self.migrations.get(&migration).map(String::as_str)
    }

    /// The last command's id, 0 before the first.
    pub fn last_command(&self) -> i64 {
        self.last_command
    }

    /// The end of the chain.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

/// Checks a whole history as read from the tables.
pub fn verify(migrations: &[(i64, String)], commands: &[CommandRow]) -> Result<Ledger> {
    let mut ledger = Ledger::default();
    for (id, version) in migrations {
        ledger.begin(*id, version)?;
    }
    for command in commands {
        ledger.command(command)?;
    }
    Ok(ledger)
}

/// The hash of a command: sha256 in hex over the previous hash and the op.
pub fn link(previous: &str, op: &Value) -> String {
    let mut text = previous.to_owned();
    canonical(op, &mut text);
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// JSON with sorted keys and no blanks, whatever features serde_json was built with.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            out.push('{');
            for (i, (key, item)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(item, out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Reads the text form of a one-dimensional `text[]`.
pub fn parse_text_array(text: &str) -> Result<Vec<String>> {
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let inner = inner.with_context(|| format!("not an array: {text:?}"))?;
    let (mut items, mut item, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = inner.chars();
    if inner.is_empty() {
        return Ok(items);
    }
    while let Some(character) = characters.next() {
        match character {
            '\\' => item.push(
                characters
                    .next()
                    .context("array text ends in a backslash")?,
            ),
            '"' => quoted = !quoted,
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    ensure!(!quoted, "array text ends in a quotation: {text:?}");
    items.push(item);
    Ok(items)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn array_texts_are_read() {
        let text = r#"{"a, \"b\" \\ {c}",plain,""}"#;
        assert_eq!(
            parse_text_array(text).unwrap(),
            [r#"a, "b" \ {c}"#, "plain", ""]
        );
        assert!(parse_text_array("{}").unwrap().is_empty());
        assert!(parse_text_array("{\"a}").is_err());
    }

    #[test]
    fn the_chain_is_over_sorted_keys_without_blanks() {
        // echo -n 'abc{"a":[1,{"c":"é","d":null}],"b":true}' | sha256sum
        let op = json!({"b": true, "a": [1, {"d": null, "c": "é"}]});
        assert_eq!(
            link("abc", &op),
            "4f40f918df882135701633bc112a1e9fecd438fb1d859d9a9f6fdc0b976495ba"
        );
    }

    #[test]
    fn a_gap_and_a_broken_link_are_noticed() {
        let op = json!({"op": "add_column"});
        let command = CommandRow {
            id: 1,
            migration_id: 1,
            command: "add_column".into(),
            relation: "public.t".into(),
            query: String::new(),
            postgres: vec![],
            sqlite: vec![],
            hash: link("", &op),
            op,
        };
        let migrations = [(1, "v1".to_owned())];
        assert!(verify(&migrations, std::slice::from_ref(&command)).is_ok());
        assert!(verify(&[], std::slice::from_ref(&command)).is_err());
        let late = CommandRow {
            id: 2,
            ..command.clone()
        };
        assert!(verify(&migrations, &[late]).is_err());
        let forged = CommandRow {
            hash: "00".into(),
            ..command
        };
        assert!(verify(&migrations, &[forged]).is_err());
    }
}
