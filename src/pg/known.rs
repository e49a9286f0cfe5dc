//! What was found out about relations of ours, kept until the server says that one of them, or a schema, changed.

use std::cell::RefCell;

use super::touched;

/// Values by what they were found by. There are few: one for each table and index of ours.
pub struct Known<K, V>(RefCell<(u64, Vec<(K, V)>)>);

impl<K: PartialEq, V: Copy> Known<K, V> {
    /// Nothing is known.
    pub const fn new() -> Self {
        Known(RefCell::new((0, Vec::new())))
    }

    /// The value that was found, or else is found now, by what cannot fail.
    pub fn find(&self, key: K, find: impl FnOnce() -> V) -> V {
        let found = self.get(key, || Ok::<V, std::convert::Infallible>(find()));
        match found {
            Ok(value) => value,
        }
    }

    /// The value that was found, or else is found now. `find` must tell [`touched::listen`] of the relations it is about; an
    /// error is not kept.
    pub fn get<E>(&self, key: K, find: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let heard = touched::heard();
        {
            let mut known = self.0.borrow_mut();
            if known.0 != heard {
                *known = (heard, Vec::new());
            }
            if let Some((_, value)) = known.1.iter().find(|(of, _)| *of == key) {
                return Ok(*value);
            }
        }
        let value = find()?;
        // What was heard meanwhile is of a later time than what was found, perhaps.
        if touched::heard() == heard {
            self.0.borrow_mut().1.push((key, value));
        }
        Ok(value)
    }
}
