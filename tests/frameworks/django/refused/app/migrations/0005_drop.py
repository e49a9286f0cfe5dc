from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("app", "0004_later")]
    operations = [migrations.RemoveField("Item", "value")]
