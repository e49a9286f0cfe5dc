from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.columns import UUID, Integer, Text
from piccolo.table import Table

ID = "2024-01-05T00:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = ""


class Raw(Table):
    pass


async def forwards():
    manager = MigrationManager(migration_id=ID, app_name="app", description=DESCRIPTION)

    manager.drop_column(
        table_class_name="Items", tablename="items", column_name="value", db_column_name="value"
    )
    return manager
