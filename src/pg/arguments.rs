//! The arguments of a call from SQL: of the types that the library expects, and no larger than it takes.

use std::ffi::c_void;

use pgrx::{FromDatum, pg_sys};

use super::cached::{CachedRow, cached};
use super::entry::Call;
use super::names;
use crate::error::{Error, SqlState};

/// So many bytes may a text have that is given to a function; an array of names in all.
pub const MOST_TEXT: usize = 1 << 20;

/// How a function is declared in SQL.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// The types of its arguments.
    pub arguments: &'static [pg_sys::Oid],
    /// The type of its result.
    pub result: pg_sys::Oid,
    /// SETOF.
    pub is_set: bool,
}

impl Call {
    /// The call, if the function is declared as the library expects. What is called as a trigger has no arguments, and
    /// its result is for the server alone.
    ///
    /// # Safety
    /// `fcinfo` must be that of the running call.
    pub unsafe fn checked(
        fcinfo: pg_sys::FunctionCallInfo,
        signature: &'static Signature,
    ) -> Result<Call, Error> {
        let is_trigger = matches!(
            signature.result,
            pg_sys::TRIGGEROID | pg_sys::EVENT_TRIGGEROID
        );
        // SAFETY: as the caller promises. The server keeps `fn_extra` for the function alone, which has no other use for it.
        unsafe {
            let call = Call::new(fcinfo, signature.arguments);
            if is_trigger && call.is_by_trigger() {
                return Ok(call);
            }
            let function = (*fcinfo).flinfo;
            let known: *mut c_void = (&raw const *signature).cast_mut().cast();
            if function.is_null() || (*function).fn_extra != known {
                let id = match function.is_null() {
                    true => pg_sys::Oid::INVALID,
                    false => (*function).fn_oid,
                };
                declared(id, signature)?;
                (*function).fn_extra = known;
            }
            let given = usize::try_from((*fcinfo).nargs).unwrap_or(0);
            if given < signature.arguments.len() {
                return Err(other_declaration((*function).fn_oid));
            }
            Ok(call)
        }
    }

    /// The datum of an argument of one of those types; `None` for NULL.
    fn datum(&self, n: usize, types: &[pg_sys::Oid]) -> Result<Option<pg_sys::Datum>, Error> {
        if !self
            .types()
            .get(n)
            .is_some_and(|declared| types.contains(declared))
        {
            return Err(Error::internal(format!("argument {n} is of another type")));
        }
        // SAFETY: a call has as many arguments as its types, as was checked when it began.
        Ok(unsafe {
            let given = (*self.fcinfo()).args.as_ptr().add(n);
            (!(*given).isnull).then_some((*given).value)
        })
    }

    /// How many bytes a text, or an array, has; `None` for NULL. Nothing is copied.
    pub fn length(&self, n: usize) -> Result<Option<usize>, Error> {
        let types = [
            pg_sys::TEXTOID,
            pg_sys::TEXTARRAYOID,
            pg_sys::REGCLASSARRAYOID,
        ];
        let datum = self.datum(n, &types)?;
        // SAFETY: all those types are of variable length; their header tells it, wherever the rest is.
        Ok(datum.map(|datum| unsafe {
            pg_sys::toast_raw_datum_size(datum).saturating_sub(pg_sys::VARHDRSZ)
        }))
    }

    /// Refuses what is larger than the library takes.
    fn fits(&self, n: usize, what: &str) -> Result<(), Error> {
        match self.length(n)? {
            Some(length) if length > MOST_TEXT => Err(Error::new(
                SqlState::of_code("54000"),
                format!("{what} given to {} is too large", self.function()),
            )
            .detail(format!(
                "It has {length} bytes; at most {MOST_TEXT} are taken."
            ))
            .hint("Give it in parts.")),
            _ => Ok(()),
        }
    }

    /// A `text`; `None` for NULL. Errors: 54000 for one that is too large, before it is copied.
    pub fn text(&self, n: usize) -> Result<Option<String>, Error> {
        self.fits(n, "text")?;
        let datum = self.datum(n, &[pg_sys::TEXTOID])?;
        // SAFETY: the argument is a text, which is unpacked and then read as the bytes that it has.
        Ok(datum.map(|datum| unsafe {
            let text = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            names::from_server(pgrx::varlena_to_byte_slice(text))
        }))
    }

    /// A `text[]`; `None` for NULL. Errors: as [`Call::text`], for all of it.
    pub fn texts(&self, n: usize) -> Result<Option<Vec<Option<String>>>, Error> {
        self.fits(n, "array")?;
        let datum = self.datum(n, &[pg_sys::TEXTARRAYOID])?;
        // SAFETY: the argument is an array of texts.
        Ok(datum.and_then(|datum| unsafe { Vec::from_datum(datum, false) }))
    }

    /// A `boolean`; `None` for NULL.
    pub fn boolean(&self, n: usize) -> Result<Option<bool>, Error> {
        let datum = self.datum(n, &[pg_sys::BOOLOID])?;
        Ok(datum.map(|datum| datum.value() != 0))
    }

    /// A `regclass`; `None` for NULL.
    pub fn relation(&self, n: usize) -> Result<Option<pg_sys::Oid>, Error> {
        let datum = self.datum(n, &[pg_sys::REGCLASSOID])?;
        // SAFETY: the argument is an id.
        Ok(datum.and_then(|datum| unsafe { pg_sys::Oid::from_datum(datum, false) }))
    }

    /// A `regclass[]`; `None` for NULL. Errors: as [`Call::text`], for all of it.
    pub fn relations(&self, n: usize) -> Result<Option<Vec<Option<pg_sys::Oid>>>, Error> {
        self.fits(n, "array")?;
        let datum = self.datum(n, &[pg_sys::REGCLASSARRAYOID])?;
        // SAFETY: the argument is an array of ids.
        Ok(datum.and_then(|datum| unsafe { Vec::from_datum(datum, false) }))
    }

    /// The function that is called, as a user would write it.
    pub(super) fn function(&self) -> String {
        // SAFETY: a call has its function, as was checked when it began.
        let id = unsafe { (*(*self.fcinfo()).flinfo).fn_oid };
        shown(id)
    }
}

fn shown(function: pg_sys::Oid) -> String {
    let described = names::described(pg_sys::ProcedureRelationId, function);
    described.map_or_else(|| "a function".to_owned(), |(_, name)| name)
}

fn other_declaration(function: pg_sys::Oid) -> Error {
    Error::new(
        SqlState::of_code("42P13"),
        format!(
            "{} is not declared as the library \"electric\" expects",
            shown(function)
        ),
    )
    .detail("The types of its arguments or of its result are others.")
    .hint("ALTER EXTENSION electric UPDATE;")
}

/// Refuses a function that is declared otherwise, by an earlier version of the extension or by hand.
fn declared(function: pg_sys::Oid, signature: &Signature) -> Result<(), Error> {
    use pg_sys::{Anum_pg_proc_proargtypes, Anum_pg_proc_proretset, Anum_pg_proc_prorettype};
    let is_it = cached(
        pg_sys::SysCacheIdentifier::PROCOID,
        function.into(),
        |row: &CachedRow| {
            row.oids(Anum_pg_proc_proargtypes) == signature.arguments
                && row.oid(Anum_pg_proc_prorettype) == signature.result
                && row.bool(Anum_pg_proc_proretset) == signature.is_set
        },
    );
    match is_it {
        Some(true) => Ok(()),
        _ => Err(other_declaration(function)),
    }
}
