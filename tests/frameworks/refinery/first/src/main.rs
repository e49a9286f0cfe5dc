use postgres::{Client, NoTls};
use refinery::{Runner, load_sql_migrations};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut client = Client::connect(&std::env::var("DATABASE_URL")?, NoTls)?;
    let migrations = load_sql_migrations("migrations")?;
    Runner::new(&migrations).run(&mut client)?;
    Ok(())
}
