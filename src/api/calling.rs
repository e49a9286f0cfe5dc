//! The call that runs, as it would be written: what records tell of it.
//!
//! A client that sends just a call, with literals, has its own words recorded. A call inside other code is written anew from
//! what it was given: around it may stand what is nobody else's business.

use electric_schema::names::{qualified, quote_literal};
use pgrx::pg_sys;

use crate::capture::record;
use crate::error::Error;
use crate::pg::literal::{self, Literal};
use crate::pg::{names, subtransaction, xact};

/// An argument of a call.
#[derive(Debug, Clone)]
pub enum Argument {
    /// NULL, or none.
    None,
    /// A table, as a regclass.
    Relation(pg_sys::Oid),
    /// A text.
    Text(String),
    /// An array of texts.
    Texts(Vec<String>),
    /// A text that names something in other words than ours: what was given, and how we say it.
    Named(Option<String>, String),
}

impl From<Option<String>> for Argument {
    fn from(text: Option<String>) -> Argument {
        text.map_or(Argument::None, Argument::Text)
    }
}

impl From<Option<Vec<String>>> for Argument {
    fn from(texts: Option<Vec<String>>) -> Argument {
        texts.map_or(Argument::None, Argument::Texts)
    }
}

impl From<Option<pg_sys::Oid>> for Argument {
    fn from(relation: Option<pg_sys::Oid>) -> Argument {
        relation.map_or(Argument::None, Argument::Relation)
    }
}

impl Argument {
    fn is(&self, literal: &Literal) -> bool {
        match (self, literal) {
            (Argument::None, Literal::Null) => true,
            (Argument::Relation(id), Literal::Text(name)) => {
                names::resolve_if_there(name) == Some(*id)
            }
            (Argument::Text(text), Literal::Text(written)) => text == written,
            (Argument::Texts(texts), Literal::Texts(written)) => texts == written,
            (Argument::Named(Some(given), _), Literal::Text(written)) => given == written,
            (Argument::Named(None, _), Literal::Null) => true,
            _ => false,
        }
    }

    fn written(&self) -> String {
        match self {
            Argument::None => "NULL".to_owned(),
            Argument::Relation(id) => {
                let (schema, name) = names::shown(*id);
                quote_literal(&qualified(&schema, &name))
            }
            Argument::Text(text) | Argument::Named(_, text) => quote_literal(text),
            Argument::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quote_literal(text)).collect();
                format!("ARRAY[{}]", texts.join(", "))
            }
        }
    }
}

/// A call of a function or procedure of ours.
pub struct Calling {
    verb: &'static str,
    function: &'static str,
    /// Those without a name are given by their place.
    arguments: Vec<(Option<&'static str>, Argument)>,
    /// The names of all arguments, in their order.
    names: &'static [&'static str],
}

impl Calling {
    /// `SELECT electric.function(…)`. `names` are those of the arguments in their order.
    pub fn function(function: &'static str, names: &'static [&'static str]) -> Calling {
        Calling {
            verb: "SELECT",
            function,
            arguments: Vec::new(),
            names,
        }
    }

    /// `CALL electric.procedure(…)`.
    pub fn procedure(procedure: &'static str, names: &'static [&'static str]) -> Calling {
        Calling {
            verb: "CALL",
            ..Calling::function(procedure, names)
        }
    }

    /// With this argument in the next place.
    pub fn with(mut self, argument: impl Into<Argument>) -> Calling {
        self.arguments.push((None, argument.into()));
        self
    }

    /// With this argument by its name, if it is not NULL.
    pub fn with_named(mut self, name: &'static str, argument: impl Into<Argument>) -> Calling {
        match argument.into() {
            Argument::None => {}
            argument => self.arguments.push((Some(name), argument)),
        }
        self
    }

    /// Runs `body` as what the call does.
    pub fn issues<T>(self, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let text = self.of_client().unwrap_or_else(|| self.written());
        record::issued(&text, body)
    }

    fn written(&self) -> String {
        let arguments = self.arguments.iter().map(|(name, argument)| match name {
            Some(name) => format!("{name} => {}", argument.written()),
            None => argument.written(),
        });
        let arguments: Vec<String> = arguments.collect();
        let (verb, function) = (self.verb, self.function);
        format!("{verb} electric.{function}({})", arguments.join(", "))
    }

    /// The client's own words, if they say this call.
    fn of_client(&self) -> Option<String> {
        // A parallel worker has no subtransactions; what it may not do is refused later.
        if xact::is_parallel() {
            return None;
        }
        let says = || {
            Some(
                literal::of_client()
                    .filter(|written| self.is(written))?
                    .text,
            )
        };
        match subtransaction::run(std::panic::AssertUnwindSafe(says)) {
            Ok(text) => text,
            Err(error) if error.is_about_session() => error.rethrow(),
            // It was parsed under other settings, or the like.
            Err(_) => None,
        }
    }

    fn is(&self, written: &literal::Written) -> bool {
        if written.name != ["electric", self.function] {
            return false;
        }
        // VARIADIC ARRAY['a', 'b'] is 'a', 'b'.
        let mut literals = written.arguments.clone();
        if written.is_variadic
            && let Some((None, Literal::Texts(texts))) = literals.pop()
        {
            literals.extend(texts.into_iter().map(|text| (None, Literal::Text(text))));
        }
        let mut left: Vec<(Option<&str>, &Argument)> = self
            .arguments
            .iter()
            .enumerate()
            .map(|(at, (name, argument))| (name.or_else(|| self.names.get(at).copied()), argument))
            .collect();
        for (at, (name, literal)) in literals.iter().enumerate() {
            let name = name.as_deref().or_else(|| self.names.get(at).copied());
            let meant = left
                .iter()
                .position(|(other, argument)| *other == name && argument.is(literal));
            match meant {
                Some(meant) => drop(left.remove(meant)),
                None if *literal == Literal::Null => {}
                None => return false,
            }
        }
        left.is_empty()
    }
}
