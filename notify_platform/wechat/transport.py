"""One HTTP exchange with WeChat, and the one question that matters when it fails: may the message have left?

A retry hidden in a library could deliver a message twice, so nothing here retries, follows or resends. Nothing here
puts an address into a text either: WeChat's addresses carry the access token.
"""

from __future__ import annotations

import logging
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from requests.adapters import _HostParams, _PoolKwargs

MAX_ANSWER_BYTES = 1024 * 1024
PIECE_BYTES = 64 * 1024
JSON_HEADERS = MappingProxyType({"Content-Type": "application/json; charset=utf-8"})
SECRET_PARAMETERS = re.compile(r"((?:access_token|secret|js_code)=)[\w%.~+-]*")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came. The body may hold a token or a session key, so ``repr`` leaves it out."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = field(default="", repr=False)


class TransportFailure(Exception):
    """No answer, or none that could be read.

    ``body_began``: a byte of the request's body may have left, so WeChat may have acted on it. False is a promise.
    """

    def __init__(self, reason: str, *, body_began: bool) -> None:
        """Store the reason: words about the failure, never an address."""
        super().__init__(reason)
        self.body_began = body_began


class Transport(Protocol):
    """What the gateway needs. One transport may serve many threads."""

    def exchange(self, *, method: str, url: str, params: Mapping[str, str], body: bytes | None) -> Reply:
        """Send one request and return its answer, whatever its status. Raises ``TransportFailure``, nothing else."""
        ...

    def close(self) -> None:
        """Close the connections that are not in use."""
        ...


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a server: the proxies as requests names them, and the file or folder of certificates to trust."""

    proxies: Mapping[str, str]
    certificates: str


def way_to(base_url: str, *, proxy_url: str = "") -> Way:
    """Return the way to a server, as the environment says (HTTPS_PROXY, HTTP_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE).

    ``proxy_url``: a proxy that wins over the environment's.
    """
    given = {"http": proxy_url, "https": proxy_url} if proxy_url else {}
    with requests.Session() as session:
        environment = session.merge_environment_settings(base_url, given, None, None, None)
    verify = environment["verify"]
    return Way(dict(environment["proxies"]), verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)


class _SecretsRedacted(logging.Filter):
    """urllib3 logs addresses: each request at DEBUG, and an answer with damaged headers at WARNING."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record without the values of secret parameters."""
        record.msg, record.args = SECRET_PARAMETERS.sub(r"\1***", record.getMessage()), ()
        return True


# Each by name: a logger's filter does not see what the loggers below it say.
for _name in ("connection", "connectionpool", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_SecretsRedacted())


class _NotedBody:
    """A request body that remembers whether anyone began to read it.

    It is read only once the connection stands and the headers are out. It cannot be rewound, so it cannot be resent.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self.began = False

    def __len__(self) -> int:
        return len(self._content)

    def __iter__(self) -> Iterator[bytes]:
        """requests takes a body for a stream only if it can be iterated over; urllib3 then calls ``read``."""
        while piece := self.read(PIECE_BYTES):
            yield piece

    def read(self, size: int = -1) -> bytes:
        self.began = True
        end = len(self._content) if size < 0 else self._position + size
        piece = self._content[self._position : end]
        self._position += len(piece)
        return piece


class _OneContextAdapter(HTTPAdapter):
    """An adapter whose connections share one TLS context: loading the certificates anew costs 37 ms each time."""

    def __init__(self, *, concurrency: int, context: ssl.SSLContext) -> None:
        self._context = context
        # max_retries=0 is none at all. pool_block: never more connections than asked for, WeChat resets the surplus.
        super().__init__(pool_connections=1, pool_maxsize=concurrency, max_retries=0, pool_block=True)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[_HostParams, _PoolKwargs]:
        host, pool = super().build_connection_pool_key_attributes(request, True, cert)
        pool["ssl_context"] = self._context
        return host, pool

    def cert_verify(self, conn: Any, url: str | bytes, verify: Any, cert: Any) -> None:
        """Leave the pool alone: it has its context, and a path set here would load the certificates again."""

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, proxy_ssl_context=self._context, **options)


class RequestsTransport:
    """Keep-alive connections to one host on ``requests``, for as many threads as ``concurrency``.

    ``proxy_url``: an explicit proxy; empty: HTTPS_PROXY, HTTP_PROXY and NO_PROXY (and a CA bundle from
    REQUESTS_CA_BUNDLE) are read once, here: asking the environment at each request costs 0.24 ms. Times are in seconds;
    ``idle_seconds`` must be shorter than the server's own patience with idle connections.
    """

    def __init__(
        self,
        *,
        base_url: str,
        proxy_url: str = "",
        concurrency: int = 20,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        idle_seconds: float = 30.0,
    ) -> None:
        """Resolve proxy and certificates; nothing connects yet."""
        way = way_to(base_url, proxy_url=proxy_url)
        self._proxies = way.proxies
        self._context = _context(way.certificates)
        self._concurrency = concurrency
        self._timeout = (connect_timeout, read_timeout)
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._adapter = self._new_adapter()
        self._retired = self._new_adapter()
        self._opened_at = time.monotonic()

    def exchange(
        self,
        *,
        method: str,
        url: str,
        params: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str] = JSON_HEADERS,
    ) -> Reply:
        """Send one request and return its answer, whatever its status. Raises ``TransportFailure``, nothing else.

        ``headers`` describe the body; without one there are none.
        """
        noted = None if body is None else _NotedBody(body)
        named = {} if body is None else dict(headers)
        try:
            request = requests.Request(method, url, params=dict(params), data=noted, headers=named).prepare()
            return self._answer_to(request)
        # ValueError: addresses and headers so broken that no layer below has a name for it.
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            reason = _reason(error)
        # Raised out here so that it does not carry the caught error along: its text holds the address.
        raise TransportFailure(reason, body_began=noted is not None and noted.began)

    def close(self) -> None:
        """Close the connections that are not in use; the transport may be used again."""
        with self._lock:
            self._adapter.close()
            self._retired.close()

    def _answer_to(self, request: requests.PreparedRequest) -> Reply:
        """Send without a Session: it would follow redirects, keep cookies and read the environment each time."""
        deadline = time.monotonic() + sum(self._timeout)
        response = self._fresh_adapter().send(request, stream=True, timeout=self._timeout, proxies=self._proxies)
        with response:
            # Given up unread its connection is closed; read to the end it would wait in the pool for the next message.
            if (response.raw.length_remaining or 0) > MAX_ANSWER_BYTES:
                raise _Unreadable("the answer is too long")
            pieces = bytearray()
            while piece := response.raw.read1(PIECE_BYTES, decode_content=True):
                pieces += piece
                if len(pieces) > MAX_ANSWER_BYTES:
                    raise _Unreadable("the answer is too long")
                # The read timeout starts anew with each byte; a lease does not.
                if time.monotonic() > deadline:
                    raise _Unreadable("the answer takes too long")
            content_type = response.headers.get("Content-Type", "")
            return Reply(status=response.status_code, body=bytes(pieces), content_type=content_type)

    def _fresh_adapter(self) -> HTTPAdapter:
        """Return the adapter, a new one when it is ``idle_seconds`` old: no connection can sit idle longer than that.

        A message written to a connection the server is just closing has an unknown fate. The last adapter is closed
        one turn later, when nobody can be in the middle of an exchange with it.
        """
        with self._lock:
            if time.monotonic() - self._opened_at > self._idle_seconds:
                self._retired.close()
                self._retired, self._adapter = self._adapter, self._new_adapter()
                self._opened_at = time.monotonic()
            return self._adapter

    def _new_adapter(self) -> HTTPAdapter:
        return _OneContextAdapter(concurrency=self._concurrency, context=self._context)


class _Unreadable(OSError):
    """An answer that is given up."""


def _context(certificates: str) -> ssl.SSLContext:
    if Path(certificates).is_dir():
        return ssl.create_default_context(capath=certificates)
    return ssl.create_default_context(cafile=certificates)


def _reason(error: BaseException) -> str:
    """Return what went wrong in words that hold no address: class names, and the operating system's own text."""
    if isinstance(error, _Unreadable):
        return str(error)
    root = error
    while (below := root.__cause__ or root.__context__) is not None:
        root = below
    words = [type(error).__name__, type(root).__name__]
    if isinstance(root, OSError) and isinstance(root.strerror, str):
        words.append(root.strerror)
    return ": ".join(dict.fromkeys(words))[:200]
