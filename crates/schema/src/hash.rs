//! The hash chain over the records: a replica can verify that it has them all, unchanged and in order.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// JSON with sorted keys and no blanks, as the chain hashes it. Characters beyond ASCII stay as they are.
pub fn canonical_json(value: &Value) -> String {
    // serde_json's maps are ordered by key (its `preserve_order` feature is off).
    value.to_string()
}

/// SHA-256 in hex over the previous hash (empty for the first) and the op's canonical JSON.
pub fn next(previous: &str, op: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hasher = Sha256::new();
    hasher.update(previous.as_bytes());
    hasher.update(op.as_bytes());
    let digits = hasher
        .finalize()
        .into_iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_whatever_the_order_of_writing() {
        let value = json!({"b": 1, "a": {"d": "ü", "c": [true, null]}});
        assert_eq!(
            canonical_json(&value),
            r#"{"a":{"c":[true,null],"d":"ü"},"b":1}"#
        );
    }

    #[test]
    fn the_first_hash_is_that_of_the_op_alone() {
        // printf '{"op":"x"}' | sha256sum
        assert_eq!(
            next("", r#"{"op":"x"}"#),
            "bd3a72a04dc49f98ff98061b0a10361c53327b4d72584c2d505f5817cc36abc3"
        );
    }

    #[test]
    fn each_hash_depends_on_the_one_before() {
        let op = r#"{"op":"x"}"#;
        assert_ne!(next("", op), next(&next("", op), op));
    }
}
