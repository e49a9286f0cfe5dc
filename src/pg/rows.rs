//! The rows that a set-returning function gives, all at once.

use pgrx::pg_sys;

use super::compat;
use super::entry::Call;
use super::memory;
use super::value::Value;
use crate::error::Error;

/// Where the rows of a call go.
pub struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl Call {
    /// Where the rows of this call go: of a function that is declared SETOF, or TABLE with several columns.
    pub fn rows(&self, has_columns: bool) -> Result<Rows, Error> {
        let flags = match has_columns {
            true => 0,
            false => pg_sys::MAT_SRF_USE_EXPECTED_DESC,
        };
        // SAFETY: the running call; the server says where its result goes, and refuses where no set can go.
        unsafe {
            let result: *mut pg_sys::ReturnSetInfo = (*self.fcinfo()).resultinfo.cast();
            if !has_columns && (result.is_null() || (*result).expectedDesc.is_null()) {
                return Err(Error::new(
                    crate::error::SqlState::FeatureNotSupported,
                    "set-valued function called in context that cannot accept a set",
                ));
            }
            pg_sys::InitMaterializedSRF(self.fcinfo(), flags);
            Ok(Rows {
                store: (*result).setResult,
                descriptor: (*result).setDesc,
            })
        }
    }
}

impl Rows {
    /// Adds a row.
    pub fn add(&self, values: &[Value]) -> Result<(), Error> {
        pgrx::check_for_interrupts!();
        // SAFETY: the descriptor lasts as long as the call; as many values as it has columns, each of its column's type. They
        // are copied.
        unsafe {
            let width = usize::try_from((*self.descriptor).natts).unwrap_or(0);
            let fits = |(n, value): (usize, &Value)| {
                let number = i16::try_from(n + 1).unwrap_or(i16::MAX);
                value.fits((*compat::attribute(self.descriptor, number)).atttypid)
            };
            if values.len() != width || !values.iter().enumerate().all(fits) {
                return Err(Error::internal(
                    "a function is not declared with the columns that it gives",
                ));
            }
            memory::passing(|| {
                let datums = values.iter().map(|value| value.datum());
                let (mut datums, mut nulls): (Vec<pg_sys::Datum>, Vec<bool>) = datums
                    .map(|datum| (datum.unwrap_or(pg_sys::Datum::from(0)), datum.is_none()))
                    .unzip();
                pg_sys::tuplestore_putvalues(
                    self.store,
                    self.descriptor,
                    datums.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                );
            });
        }
        Ok(())
    }
}
