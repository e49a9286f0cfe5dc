import os
from urllib.parse import urlparse

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine

url = urlparse(os.environ["DATABASE_URL"])
DB = PostgresEngine(
    config={
        "database": url.path[1:],
        "user": url.username,
        "password": url.password,
        "host": url.hostname,
        "port": url.port,
    }
)
APP_REGISTRY = AppRegistry(apps=["app.piccolo_app"])
