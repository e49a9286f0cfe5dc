from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("app", "0003_concurrently")]
    operations = [migrations.AddField("Item", "later", models.IntegerField(null=True, db_default=7))]
