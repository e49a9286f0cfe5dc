use std::path::Path;

use sqlx::{Connection, PgConnection, migrate::Migrator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = PgConnection::connect(&std::env::var("DATABASE_URL")?).await?;
    let migrator = Migrator::new(Path::new("migrations")).await?;
    migrator.run(&mut connection).await?;
    Ok(())
}
