import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade():
    op.add_column("items", sa.Column("extra", sa.Text()))
    op.create_index("items_value_idx", "items", ["value"])
