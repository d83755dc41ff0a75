"""The yardstick's settings: the same database and secrets, one address, and nothing in between."""

from notify_platform.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.bare"
MIDDLEWARE = []
