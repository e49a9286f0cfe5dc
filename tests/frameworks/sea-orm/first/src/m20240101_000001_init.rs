use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let items = Table::create()
            .table(Alias::new("items"))
            .col(ColumnDef::new(Alias::new("id")).uuid().primary_key())
            .col(ColumnDef::new(Alias::new("value")).text())
            .to_owned();
        manager.create_table(items).await?;
        let connection = manager.get_connection();
        connection.execute_unprepared("SELECT electric.enable('items')").await?;
        Ok(())
    }
}
