"""Passing a push of WeChat on to whoever else waits for it: the same bytes there, the same answer back.

WeChat waits five seconds for an answer and then sends the push again, three times in all. So nothing is tried twice
here, and nothing is waited for longer than WeChat waits for us.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

from notify_platform.wechat.transport import Reply, RequestsTransport, TransportFailure

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 3.0
# Receivers of the usual kind hang up on an idle connection after two to five seconds.
IDLE_SECONDS: Final = 1.0
# WeChat takes a short text or an envelope; a longer answer is some page that went astray.
MAX_ANSWER_BYTES: Final = 64 * 1024
# Tells a relay that was told to pass pushes on to itself.
MARK: Final = "X-Passed-On-By"


class NotPassedOn(Exception):
    """The receiver gave no answer that can be passed back. The text says why, and holds no address."""


def pass_on(url: str, *, query: str, body: bytes, content_type: str) -> Reply:
    """POST a push to ``url`` as it came and return the answer, whatever its status; redirects are not followed.

    Raises ``NotPassedOn``. Must not be called inside a transaction.
    """
    headers = {"Content-Type": content_type, MARK: "notify_platform"}
    try:
        address = urlsplit(url)
        whole = address._replace(query="&".join(filter(None, [address.query, query])), fragment="").geturl()
        answer = _transport(_origin(address)).exchange(method="POST", url=whole, params={}, body=body, headers=headers)
    except TransportFailure as failure:
        raise NotPassedOn(str(failure)) from None
    except ValueError:
        raise NotPassedOn("the address is none") from None
    if answer.status not in range(HTTPStatus.OK, 600) or len(answer.body) > MAX_ANSWER_BYTES:
        raise NotPassedOn(f"a strange answer: status {answer.status}, {len(answer.body)} bytes")
    return answer


def _origin(address: SplitResult) -> str:
    return f"{address.scheme}://{address.netloc}"


@lru_cache(maxsize=16)
def _transport(origin: str) -> RequestsTransport:
    return RequestsTransport(
        base_url=origin, connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, idle_seconds=IDLE_SECONDS
    )
