use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::Database;

mod migrator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), DbErr> {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL says where to migrate");
    let database = Database::connect(url).await?;
    migrator::Migrator::up(&database, None).await
}
