from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("app", "0001_init")]
    operations = [
        migrations.AddField("Item", "extra", models.TextField(null=True)),
        migrations.AddIndex("Item", models.Index(fields=["value"], name="items_value_idx")),
    ]
