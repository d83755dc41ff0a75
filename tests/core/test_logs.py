"""What a line of the log looks like, and what never stands in one."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings

from notify_platform.core import logs

OPENID = "oAb3_-xYz9KLmnOPq12RstUVwx45"
TOKEN = "68_Jq7mE0vZ2xkT9bYc4WfLr8NhUoPaSdGi1KjQwErTyUiOpAsDfGhJkLzXcVbNm"
SECRET = "0f3c9a7be1d24685a0c7f9e2b4d61830"
AES_KEY = "kWxT3l+9Qz/VbN7mJ2hRfYc8pLsD4gAuEoI5tXqB1rM"
FERNET = "gAAAAABnQ2xvY2tzIGFyZSBub3QgdG8gYmUgdHJ1c3RlZA=="
HOSTILE = {
    "an openid": OPENID,
    "an openid in a key": f"callback:{OPENID}:1",
    "an access token": TOKEN,
    "a token in an address": f"https://api.weixin.qq.com/cgi-bin/x?access_token=abc123&openid={OPENID}",
    "an app secret": SECRET,
    "a short secret by its name": "secret=swordfish&appid=wx1",
    "a secret in JSON": '{"appid": "wx1", "secret": "sword fish", "force_refresh": false}',
    "a secret in a dict": "{'app_secret': 'sword fish'}",
    "a session key": "session_key: swordfish==",
    "a bearer": "Authorization: Bearer swordfish",
    "an API key": "Api-Key swordfish.swordfish",
    "an AES key": AES_KEY,
    "a ciphertext": FERNET,
    "a database's address": "postgres://notify:swordfish@10.0.0.5/notify",
}
NEVER = (OPENID, TOKEN, SECRET, AES_KEY, FERNET, "swordfish", "sword fish", "abc123")


def record(message: str, *args: object, error: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    trouble = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("notify_platform.x", logging.WARNING, __file__, 1, message, args, trouble)
    vars(made).update(fields)
    return made


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()], ids=["text", "json"])
def test_neither_the_words_nor_the_error_hold_a_secret(formatter: logging.Formatter, text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        line = formatter.format(record("it failed: %s", text, error=error))
    assert [secret for secret in NEVER if secret in line] == []
    assert "it failed" in line


def test_of_an_openid_the_tail_stays() -> None:
    assert logs.redact(f"{OPENID} said no") == "o…wx45 said no"


@pytest.mark.parametrize(
    "text",
    [
        "job 12 cannot be kept moving",
        "access token of wx0000000000000001 fetched, valid for 7200 s",
        "login at mini-program 3: token (40001)",
        'File "/srv/notify_platform/.venv/lib/python3.11/site-packages/django/db/models/query.py", line 113',
        "violates delivery_names_a_grant_exactly_while_it_holds_one",
        "invalid credential, access_token is invalid or not latest rid: 6745a1b2-3c4d5e6f-12345678",
    ],
)
def test_words_of_our_own_stay(text: str) -> None:
    assert logs.redact(text) == text


def test_a_line_for_a_machine_has_its_fields() -> None:
    with logs.about(request_id="abcdef0123456789", job=1):
        line = json.loads(logs.JsonFormatter().format(record("sent %d", 3, job=7, deliveries=[1, 2], mini_program=4)))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "notify_platform.x",
        "message": "sent 3",
        "request_id": "abcdef0123456789",
        "mini_program": 4,
        "job": 7,
        "deliveries": [1, 2],
    }


def test_a_line_for_a_person_says_what_it_is_about_and_stays_one_line() -> None:
    line = logs.TextFormatter().format(record("%s failed", "/a\nINFO forged", job=7))
    assert line.endswith(" WARNING notify_platform.x: /a\\nINFO forged failed (job 7)")
    assert "\n" not in line


def test_an_error_keeps_its_traceback() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        both = [each.format(record("x", error=error)) for each in (logs.TextFormatter(), logs.JsonFormatter())]
    assert both[0].splitlines()[-1] == "ValueError: no"
    assert json.loads(both[1])["error"].splitlines()[-1] == "ValueError: no"


def test_many_messages_are_told_in_short() -> None:
    line = json.loads(logs.JsonFormatter().format(record("x", deliveries=list(range(80)))))
    assert line["deliveries"] == [*range(logs.MOST_IDS), "… 80"]


def test_what_is_said_more_ends_with_what_surrounds_it() -> None:
    with logs.about(request_id="abcdef0123456789"):
        logs.add(mini_program=3)
        inside = json.loads(logs.JsonFormatter().format(record("x")))
    outside = json.loads(logs.JsonFormatter().format(record("x")))
    assert (inside["request_id"], inside["mini_program"]) == ("abcdef0123456789", 3)
    assert not {"request_id", "mini_program"} & set(outside)


@pytest.mark.parametrize("chosen", ["text", "json"])
def test_the_setting_chooses_and_everything_goes_the_same_way(chosen: str, spawn_settings) -> None:
    said = spawn_settings(
        "import logging\n"
        "for name in ('notify_platform.x', 'subscriptions.x', 'django.request', 'django-q', 'urllib3', 'axes'):\n"
        f"    logging.getLogger(name).error('%s', {OPENID!r})\n",
        LOG_FORMAT=chosen,
    )
    lines = said.splitlines()
    assert len(lines) == 6, "each line once"
    assert all("o…wx45" in line and OPENID not in line for line in lines)
    assert [line.startswith("{") for line in lines] == [chosen == "json"] * 6


@pytest.fixture
def spawn_settings():
    """Run a line of Python with Django set up in a process of its own; return what it wrote to stderr."""
    import os
    import subprocess

    def run(code: str, **env: str) -> str:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **env}
        whole = f"import django\ndjango.setup()\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", whole],
            cwd=django_settings.BASE_DIR,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    return run
