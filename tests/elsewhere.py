"""Another database for this process, for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from environ import Env

PARTS = ("NAME", "HOST", "PORT", "USER", "PASSWORD")


@contextmanager
def elsewhere(url: str) -> Iterator[None]:
    """Let this process, and those it starts, use the database at ``url``, of the same vendor as its own."""
    before, old_url = dict(connection.settings_dict), os.environ.get("DATABASE_URL")
    connection.close()
    found = Env.db_url_config(url)
    connection.settings_dict.update({part: found.get(part, "") for part in PARTS})
    os.environ["DATABASE_URL"] = url
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
        if old_url is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = old_url
