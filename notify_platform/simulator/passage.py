"""The phone page's way to the platform.

A mini-program may call any server its operator names; a page in a browser may call only its own. So the simulator hands
on what is meant for the platform's public API, as it came, and nothing else.
"""

from __future__ import annotations

import re

import requests

from notify_platform.simulator.calls import Call, Reply, encoded

CONNECT_TIMEOUT_S = 3.0
READ_TIMEOUT_S = 20.0
LONGEST_ANSWER = 2 * 1024 * 1024
JSON = "application/json; charset=utf-8"

# No dots and no percent signs: an address cannot climb out of the API.
_PUBLIC = re.compile(r"/phone(?P<path>/api/v1/[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*/?)")
_HANDED_ON = ("Authorization", "Content-Type", "Accept", "Accept-Language")
_HANDED_BACK = ("Retry-After",)


def hand_on(call: Call, *, api_url: str) -> Reply:
    """Ask the platform at ``api_url`` and return its answer unchanged; what cannot be asked is an error of ours.

    Errors: 404 ``not_public``, 409 ``no_api_url``, 502 ``platform_unreachable``, 504 ``platform_silent``.
    """
    public = _PUBLIC.fullmatch(call.path)
    if public is None:
        return refusal(404, "not_public", "only the platform's /api/v1/ can be reached here")
    if not api_url:
        return refusal(409, "no_api_url", "the app's setup names no api_url")
    url = f"{api_url}{public['path']}"
    try:
        return _exchange(call, url=f"{url}?{call.query_string}" if call.query_string else url)
    except requests.Timeout:
        return refusal(504, "platform_silent", f"{api_url} did not answer in time")
    except requests.RequestException as error:
        return refusal(502, "platform_unreachable", f"{api_url} cannot be reached: {type(error).__name__}")


def refusal(status: int, code: str, message: str) -> Reply:
    """Return an error in the envelope of the platform's API."""
    return Reply(encoded({"error": {"code": code, "message": message, "fields": {}}}), status, JSON)


def _exchange(call: Call, *, url: str) -> Reply:
    headers = {name: call.headers[name] for name in _HANDED_ON if name in call.headers}
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no password of a .netrc in place of the user's token
        with session.request(
            call.method,
            url,
            data=call.raw,
            headers={"User-Agent": "notify-platform-phone", "Accept-Encoding": "identity", **headers},
            timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = answer.raw.read(LONGEST_ANSWER + 1, decode_content=True)
            if len(body) > LONGEST_ANSWER:
                return refusal(502, "platform_unreachable", "the answer is too long")
            back = {name: answer.headers[name] for name in _HANDED_BACK if name in answer.headers}
            return Reply(body, answer.status_code, answer.headers.get("Content-Type", JSON), back)
