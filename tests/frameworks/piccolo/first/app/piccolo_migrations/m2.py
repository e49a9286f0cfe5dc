from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import UUID, Integer, Text
from piccolo.table import Table

ID = "2024-01-02T00:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = ""


class Raw(Table):
    pass


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    manager.add_column(
        table_class_name="Items",
        tablename="items",
        column_name="extra",
        db_column_name="extra",
        column_class_name="Text",
        column_class=Text,
        params={"null": True, "default": None},
    )

    async def run():
        await Raw.raw("CREATE INDEX items_value_idx ON items (value)")

    manager.add_raw(run)
    return manager
