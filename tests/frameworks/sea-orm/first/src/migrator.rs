use sea_orm_migration::prelude::*;

#[path = "m20240101_000001_init.rs"]
mod m20240101_000001_init;
#[path = "m20240102_000001_more.rs"]
mod m20240102_000001_more;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20240101_000001_init::Migration),
            Box::new(m20240102_000001_more::Migration),
        ]
    }
}
