//! `jsonb` values from JSON text.
//!
//! The server's parser allocates for every token and sorts every object as it closes: for an op that took as long as
//! writing the rows of a record. Here serde builds the tree that the parser would hand on (`JsonbValue`, jsonb.h), and
//! the server writes its format from that. What has no place in such a tree is left to the server's parser.

use std::ffi::CString;
use std::fmt;

use pg_sys::{JsonbPair, JsonbValue, jbvType};
use pgrx::pg_sys;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A `jsonb` datum from JSON text; an error of the server (22P02 and the like) if it is none.
pub fn from_text(json: &str) -> pg_sys::Datum {
    let Ok(datum) = built(json) else {
        return parsed(json);
    };
    debug_assert_eq!(bytes(datum), bytes(parsed(json)), "{json}");
    datum
}

/// By the server's parser.
fn parsed(json: &str) -> pg_sys::Datum {
    let json = CString::new(json).unwrap_or_default();
    let argument = Some(pg_sys::Datum::from(json.as_ptr()));
    // SAFETY: jsonb_in takes a C string and returns a jsonb.
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[argument]) }
        .unwrap_or(pg_sys::Datum::from(0))
}

/// By way of a tree of ours.
fn built(json: &str) -> serde_json::Result<pg_sys::Datum> {
    if json.len() >= pg_sys::JENTRY_OFFLENMASK as usize {
        return Err(Error::custom("a part may be too long"));
    }
    let mut parts = Parts::default();
    let mut parser = serde_json::Deserializer::from_str(json);
    let mut tree = Node(&mut parts).deserialize(&mut parser)?;
    parser.end()?;
    if !matches!(tree.type_, jbvType::jbvArray | jbvType::jbvObject) {
        return Err(Error::custom("a scalar is kept in another way"));
    }
    // SAFETY: the tree is as the server's parser makes it; what it points to is in `json` and `parts`.
    let jsonb = unsafe { pg_sys::JsonbValueToJsonb(&mut tree) };
    Ok(pg_sys::Datum::from(jsonb))
}

/// The bytes of a value that was just made.
fn bytes(datum: pg_sys::Datum) -> &'static [u8] {
    // SAFETY: a complete value, which lasts as long as its memory context: longer than the comparison.
    unsafe { pgrx::varlena_to_byte_slice(datum.cast_mut_ptr()) }
}

/// What the nodes of a tree point to.
#[derive(Default)]
struct Parts {
    strings: Vec<Box<str>>,
    arrays: Vec<Vec<JsonbValue>>,
    objects: Vec<Vec<JsonbPair>>,
}

/// Makes the node for what comes next in the text.
struct Node<'p>(&'p mut Parts);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = JsonbValue;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<JsonbValue, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = JsonbValue;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON with whole numbers")
    }

    fn visit_unit<E: Error>(self) -> Result<JsonbValue, E> {
        Ok(node(jbvType::jbvNull))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<JsonbValue, E> {
        let mut node = node(jbvType::jbvBool);
        node.val.boolean = value;
        Ok(node)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<JsonbValue, E> {
        let mut node = node(jbvType::jbvNumeric);
        // SAFETY: makes a value in the current memory context.
        node.val.numeric = unsafe { pg_sys::int64_to_numeric(value) };
        Ok(node)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<JsonbValue, E> {
        self.visit_i64(i64::try_from(value).map_err(Error::custom)?)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<JsonbValue, E> {
        string(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<JsonbValue, E> {
        let value = Box::from(value);
        let node = string(&value);
        self.0.strings.push(value);
        node
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<JsonbValue, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = from.next_element_seed(Node(self.0))? {
            elements.push(element);
        }
        let mut node = node(jbvType::jbvArray);
        node.val.array.nElems = length(elements.len())?;
        node.val.array.elems = elements.as_mut_ptr();
        node.val.array.rawScalar = false;
        self.0.arrays.push(elements);
        Ok(node)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<JsonbValue, A::Error> {
        let mut pairs = Vec::with_capacity(16);
        while let Some(key) = from.next_key_seed(Node(self.0))? {
            let value = from.next_value_seed(Node(self.0))?;
            pairs.push(JsonbPair {
                key,
                value,
                order: 0,
            });
        }
        let mut pairs = in_order(pairs);
        if pairs.windows(2).any(|two| name(&two[0]) == name(&two[1])) {
            return Err(Error::custom("of equal keys the last one counts"));
        }
        let mut node = node(jbvType::jbvObject);
        node.val.object.nPairs = length(pairs.len())?;
        node.val.object.pairs = pairs.as_mut_ptr();
        self.0.objects.push(pairs);
        Ok(node)
    }
}

/// In the order of keys in jsonb: the shorter first, then by their bytes. Keys of canonical JSON are in the order of their
/// bytes already. Pairs are large: their places are put in order, and each is moved once.
fn in_order(pairs: Vec<JsonbPair>) -> Vec<JsonbPair> {
    let mut places: Vec<(usize, usize)> = pairs.iter().map(|pair| name(pair).0).zip(0..).collect();
    places.sort_unstable();
    let mut pairs: Vec<JsonbPair> = places.into_iter().map(|(_, at)| pairs[at]).collect();
    if !pairs.is_sorted_by(|one, other| name(one) <= name(other)) {
        pairs.sort_by(|one, other| name(one).cmp(&name(other)));
    }
    pairs
}

fn node(type_: jbvType::Type) -> JsonbValue {
    JsonbValue {
        type_,
        ..Default::default()
    }
}

fn string<E: Error>(value: &str) -> Result<JsonbValue, E> {
    if value.contains('\0') {
        return Err(Error::custom("the server's texts have no such character"));
    }
    let mut node = node(jbvType::jbvString);
    node.val.string.len = length(value.len())?;
    node.val.string.val = value.as_ptr().cast_mut().cast();
    Ok(node)
}

/// What a key is ordered by.
fn name(pair: &JsonbPair) -> (usize, &[u8]) {
    // SAFETY: keys are strings, and what they point to outlasts the tree.
    let bytes = unsafe {
        let key = pair.key.val.string;
        std::slice::from_raw_parts(key.val.cast::<u8>(), key.len as usize)
    };
    (bytes.len(), bytes)
}

fn length<E: Error>(length: usize) -> Result<i32, E> {
    i32::try_from(length).map_err(Error::custom)
}
