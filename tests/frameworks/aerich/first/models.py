from tortoise import fields, models


class Item(models.Model):
    id = fields.UUIDField(primary_key=True)
    value = fields.TextField(null=True)

    class Meta:
        table = "items"
