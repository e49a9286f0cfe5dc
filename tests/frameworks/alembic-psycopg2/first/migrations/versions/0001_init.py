import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision, down_revision = "0001", None


def upgrade():
    op.create_table(
        "items",
        sa.Column("id", postgresql.UUID(), primary_key=True),
        sa.Column("value", sa.Text()),
    )
    op.execute("SELECT electric.enable('items')")


def downgrade():
    op.drop_table("items")
