use std::error::Error;

use diesel::{Connection, pg::PgConnection};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut connection = PgConnection::establish(&std::env::var("DATABASE_URL")?)?;
    let migrations = FileBasedMigrations::from_path("migrations")?;
    connection.run_pending_migrations(migrations)?;
    Ok(())
}
