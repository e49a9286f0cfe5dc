import os
from urllib.parse import urlparse

url = urlparse(os.environ["DATABASE_URL"])
SECRET_KEY = "x"
INSTALLED_APPS = ["app"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path[1:],
        "USER": url.username,
        "PASSWORD": url.password,
        "HOST": url.hostname,
        "PORT": url.port,
    }
}
