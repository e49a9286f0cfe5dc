//! SQL that we issue ourselves: utility commands and the rare query of the API, never the path of a migration.

use pgrx::datum::DatumWithOid;
use pgrx::spi::Spi;

use crate::error::Error;

/// Runs a command. Its own errors pass on as they are.
pub fn run(sql: &str) -> Result<(), Error> {
    Spi::run(sql).map_err(|error| Error::internal(error.to_string()))
}

/// The first column of a query's row, if it has one that is not NULL. The arguments are `$1` and so on.
pub fn value<T: pgrx::FromDatum + pgrx::IntoDatum>(
    sql: &str,
    arguments: &[&str],
) -> Result<Option<T>, Error> {
    let arguments: Vec<DatumWithOid> = arguments.iter().map(|a| (*a).into()).collect();
    Spi::get_one_with_args::<T>(sql, &arguments).or_else(|error| match error {
        pgrx::spi::SpiError::InvalidPosition => Ok(None),
        error => Err(Error::internal(error.to_string())),
    })
}
