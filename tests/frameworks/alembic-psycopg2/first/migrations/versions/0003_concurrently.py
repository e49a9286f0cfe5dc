from alembic import op

revision, down_revision = "0003", "0002"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("items_extra_idx", "items", ["extra"], postgresql_concurrently=True)
