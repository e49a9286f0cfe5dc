from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("app", "0002_more")]
    operations = [AddIndexConcurrently("Item", models.Index(fields=["extra"], name="items_extra_idx"))]
