import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade():
    op.add_column("items", sa.Column("later", sa.Integer(), server_default="7"))
