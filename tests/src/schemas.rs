//! The JSON Schemas of the documentation, and what must be valid by them.

use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use jsonschema::{Registry, Validator};
use serde_json::Value;

const INTROSPECTION: &str = include_str!("../../docs/schemas/introspection.json");
const OP: &str = include_str!("../../docs/schemas/op.json");
/// Where the files would lie, so that one can refer to the other.
const BASE: &str = "json-schema:///";

fn validator(text: &str) -> Result<Validator> {
    let schema: Value = serde_json::from_str(text)?;
    let registry = Registry::new()
        .add(
            format!("{BASE}introspection.json"),
            serde_json::from_str::<Value>(INTROSPECTION)?,
        )?
        .prepare()?;
    jsonschema::options()
        .with_registry(&registry)
        .with_base_uri(format!("{BASE}schema.json"))
        .build(&schema)
        .context("the schema itself")
}

fn valid(by: &'static OnceLock<Result<Validator>>, text: &str, value: &Value) -> Result<()> {
    let validator = match by.get_or_init(|| validator(text)) {
        Ok(validator) => validator,
        Err(error) => bail!("{error:#}"),
    };
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    bail!("{}\n{value:#}", errors.join("\n"))
}

/// Whether it is what `electric.introspect()` may say.
pub fn introspection(value: &Value) -> Result<()> {
    static VALIDATOR: OnceLock<Result<Validator>> = OnceLock::new();
    valid(&VALIDATOR, INTROSPECTION, value)
}

/// Whether it is an `op` of a DDL command.
pub fn op(value: &Value) -> Result<()> {
    static VALIDATOR: OnceLock<Result<Validator>> = OnceLock::new();
    valid(&VALIDATOR, OP, value)
}
