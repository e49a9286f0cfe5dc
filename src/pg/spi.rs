//! SQL that we issue ourselves: utility commands and the rare query of the API, never the path of a migration.

use pgrx::spi::Spi;

use crate::error::Error;

/// Runs a command. Its own errors pass on as they are.
pub fn run(sql: &str) -> Result<(), Error> {
    Spi::run(sql).map_err(|error| Error::internal(error.to_string()))
}
