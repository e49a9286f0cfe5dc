use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let items = Table::alter()
            .table(Alias::new("items"))
            .add_column(ColumnDef::new(Alias::new("extra")).text())
            .to_owned();
        manager.alter_table(items).await?;
        let index = Index::create()
            .name("items_value_idx")
            .table(Alias::new("items"))
            .col(Alias::new("value"))
            .to_owned();
        manager.create_index(index).await
    }
}
