"""The project's settings with a test's environment: never a developer's .env, never the network."""

import os

os.environ["SECRET_KEY"] = "test-only"
os.environ["DEBUG"] = "False"
os.environ["CREDENTIALS_KEYS"] = "dGVzdHMtb25seS1rZXktMzItYnl0ZXMtbG9uZyEhISE="
os.environ["WECHAT_API_BASE_URL"] = "http://127.0.0.1:9"
os.environ["REDIS_URL"] = ""
os.environ["CONN_MAX_AGE"] = "0"
os.environ["PUBLIC_URL"] = "http://127.0.0.1:8000"
os.environ.setdefault(
    "DATABASE_URL", "sqlite:///" + os.path.join(os.path.dirname(__file__), "..", "var", "test.sqlite3")
)

from notify_platform.settings import *  # noqa: F403
from notify_platform.settings import DATABASES, VAR_DIR

LANGUAGE_CODE = "en"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: races and crashes need the database to be shared by processes.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "tests.sqlite3")}
