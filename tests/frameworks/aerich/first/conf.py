import os

TORTOISE_ORM = {
    "connections": {"default": os.environ["DATABASE_URL"].replace("postgresql://", "asyncpg://")},
    "apps": {"models": {"models": ["models", "aerich.models"], "default_connection": "default"}},
}
