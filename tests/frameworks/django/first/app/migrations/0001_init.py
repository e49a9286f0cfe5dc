from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Item",
            [("id", models.UUIDField(primary_key=True)), ("value", models.TextField(null=True))],
            options={"db_table": "items"},
        ),
        migrations.RunSQL("SELECT electric.enable('items')", migrations.RunSQL.noop),
    ]
