from yoyo import step

__depends__ = {"0001_init"}
steps = [
    step("ALTER TABLE items ADD COLUMN extra text"),
    step("CREATE INDEX items_value_idx ON items (value)"),
]
