"""The fast way out for messages: one thread, one libcurl, many connections. Every other call goes by ``Transport``.

A courier takes parcels and says of each what became of it: an answer, or none, and then whether the body may have left.
libcurl would POST a second time by itself when a kept connection dies under a message, and report success. Here it
cannot: it has to ask for the body piece by piece, and nobody can give it a piece twice (ADR 0015).
"""

from __future__ import annotations

import logging
import math
import os
import queue
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pycurl
from django.conf import settings
from requests.utils import select_proxy

from notify_platform.wechat.transport import JSON_HEADERS, MAX_ANSWER_BYTES, Reply, TransportFailure, way_to

if TYPE_CHECKING:
    from templates_app.models import MiniProgram

logger = logging.getLogger(__name__)

# libcurl's error codes by name: its own texts hold addresses.
ERRORS: Final = {
    code: name.removeprefix("E_").removeprefix("FTP_").replace("_", " ").lower()
    for name, code in vars(pycurl).items()
    if name.startswith("E_") and not name.startswith("E_MULTI_")
}
CLOSED: Final = "the courier is closed"
TOO_LATE: Final = "it could not leave in time"
# libcurl would add an Accept of its own, and ask before it sends a long body.
HEADERS: Final = [*(f"{name}: {value}" for name, value in JSON_HEADERS.items()), "Accept:", "Expect:"]
# Not on Windows: there a message given to a connection the server has just closed is lost without need.
CAN_POLL: Final = hasattr(select, "poll")
# select() cannot watch a socket whose number is above 1023: look at such ones now and then.
BLIND_WAIT_SECONDS: Final = 0.05

Options = Sequence[tuple[int, Any]]
Landed = Reply | TransportFailure


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message to post. ``key`` is whatever the sender knows it by; ``url`` holds the access token.

    It leaves no sooner than ``leaves_at`` and not at all after ``late_at`` (both ``time.monotonic``): whoever has slept
    through a lease must not post what may be somebody else's by now.
    """

    key: Any
    url: str = field(repr=False)
    body: bytes = field(repr=False)
    leaves_at: float = 0.0
    late_at: float = math.inf


class Courier:
    """Posts parcels to one host in the order they came and not before their time, at most ``concurrency`` at a time.

    ``landed`` gets the key of every parcel exactly once, with what became of it. ``proxy_url``: an explicit proxy;
    empty: the environment's, read once, here, as ``RequestsTransport`` reads it. Times are in seconds: a parcel is
    given up after ``connect_timeout`` + ``read_timeout``, not counting how long it waited its turn; ``idle_seconds``,
    whole ones, must be fewer than the server keeps an idle connection. Make it after a fork, and close it at the end.
    """

    def __init__(
        self,
        *,
        base_url: str,
        proxy_url: str = "",
        concurrency: int = 20,
        connect_timeout: float = 3.0,
        read_timeout: float = 10.0,
        idle_seconds: int = 30,
    ) -> None:
        """Resolve proxy and certificates; nothing connects yet."""
        self.landed: queue.SimpleQueue[tuple[Any, Landed]] = queue.SimpleQueue()
        way = way_to(base_url, proxy_url=proxy_url)
        self._options: Options = [
            *_options(proxy=select_proxy(base_url, way.proxies) or "", certificates=way.certificates),
            (pycurl.CONNECTTIMEOUT_MS, round(connect_timeout * 1000)),
            (pycurl.TIMEOUT_MS, round((connect_timeout + read_timeout) * 1000)),
            (pycurl.MAXAGE_CONN, idle_seconds),
        ]
        self._concurrency = concurrency
        self._waiting: deque[Parcel] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)

    def send(self, parcels: Iterable[Parcel]) -> None:
        """Take parcels over, without waiting for the network. After ``close`` they land at once, as not sent."""
        with self._lock:
            self._waiting.extend(parcels)
            if self._closed:
                self._hand_back(CLOSED)
                return
            if self._thread is None:
                self._start()
            self._ring()

    def recall(self) -> list[Parcel]:
        """Take back and return what has not left yet; it does not land."""
        with self._lock:
            recalled = list(self._waiting)
            self._waiting.clear()
        return recalled

    def close(self) -> None:
        """Wait for what flies; what still waits lands as not sent. Takes no longer than one parcel can."""
        with self._lock:
            self._closed = True
            self._hand_back(CLOSED)
            self._ring()
            thread = self._thread
        if thread:
            thread.join()
        self._bell.close()
        self._ear.close()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="courier", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            logger.exception("the courier got no thread")
            self._hand_back("the courier got no thread")
        else:
            self._thread = thread

    def _ring(self) -> None:
        # It may be ringing already, or nobody listens any more.
        with suppress(OSError):
            self._bell.send(b"!")

    def _hand_back(self, reason: str) -> None:
        while self._waiting:
            self.landed.put((self._waiting.popleft().key, TransportFailure(reason, body_began=False)))

    # --- in the courier's own thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        """Post until closed. Whatever breaks, all that was sent lands, and the next ``send`` starts anew."""
        riders: list[_Rider] = []
        reason = CLOSED
        try:
            kept: dict[int, select.poll] = {}
            riders += [_Rider(self._options, kept=kept) for _ in range(self._concurrency)]
            with _Road(riders, ear=self._ear) as road:
                self._post(road)
        except Exception as error:
            logger.exception("the courier broke down")
            reason = f"the courier broke down: {type(error).__name__}"
        finally:
            with self._lock:
                self._thread = None
                for rider in riders:
                    if rider.flies:
                        self.landed.put((rider.parcel.key, TransportFailure(reason, body_began=rider.began)))
                self._hand_back(reason)

    def _post(self, road: _Road) -> None:
        while True:
            while road.free and (parcel := self._next()):
                if time.monotonic() < parcel.late_at:
                    road.take(parcel)
                else:
                    self.landed.put((parcel.key, TransportFailure(TOO_LATE, body_began=False)))
            for landed in road.drive():
                self.landed.put(landed)
            if self._closed and not road.busy:
                return
            road.wait(patience=self._patience() if road.free else math.inf)

    def _next(self) -> Parcel | None:
        with self._lock:
            is_due = self._waiting and self._waiting[0].leaves_at <= time.monotonic()
            return self._waiting.popleft() if is_due else None

    def _patience(self) -> float:
        """Return in how many seconds the next parcel may leave."""
        with self._lock:
            return max(0.0, self._waiting[0].leaves_at - time.monotonic()) if self._waiting else math.inf


class _Road:
    """Connections to one host and the riders on them; for one thread alone."""

    def __init__(self, riders: Sequence[_Rider], *, ear: socket.socket) -> None:
        self.free = list(riders)
        self._rider_of = {rider.curl: rider for rider in riders}
        self._ear = ear
        self._multi = pycurl.CurlMulti()
        # By itself libcurl keeps fewer when there is little to do, and has to connect again when there is more.
        self._multi.setopt(pycurl.M_MAXCONNECTS, len(riders))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._multi.close()
        for curl in self._rider_of:
            curl.close()

    @property
    def busy(self) -> int:
        """How many riders are on their way."""
        return len(self._rider_of) - len(self.free)

    def take(self, parcel: Parcel) -> None:
        """Send a free rider off with it."""
        rider = self.free.pop()
        rider.load(parcel)
        self._multi.add_handle(rider.curl)

    def drive(self) -> Iterator[tuple[Any, Landed]]:
        """Go on as far as the network lets us; yield what has landed."""
        self._multi.perform()
        left = 1
        while left:
            left, answered, failed = self._multi.info_read()
            for curl, error in [*((curl, 0) for curl in answered), *((curl, error) for curl, error, _text in failed)]:
                rider = self._rider_of[curl]
                if rider.turned_back:
                    self._multi.remove_handle(curl)
                    rider.load(rider.parcel)
                    self._multi.add_handle(curl)
                    continue
                yield rider.parcel.key, rider.landed(error)
                rider.flies = False
                self._multi.remove_handle(curl)
                self.free.append(rider)

    def wait(self, *, patience: float) -> None:
        """Sleep until a socket is ready, the bell rings, libcurl wants to look at its clock, or for ``patience`` s."""
        milliseconds = self._multi.timeout()
        if milliseconds >= 0:
            patience = min(patience, milliseconds / 1000)
        reading, writing, _errors = self._multi.fdset()
        if len(reading) + len(writing) < self.busy:
            patience = min(BLIND_WAIT_SECONDS, patience)
        until = None if patience == math.inf else patience
        ready, _writing, _errors = select.select([self._ear, *reading], writing, [], until)
        if self._ear in ready:
            self._ear.recv(4096)


class _Rider:
    """One libcurl handle, for one parcel after another. It hands a body out once, and notes that it began to.

    ``kept``: what tells whether a kept connection has something to read, by its local port, for all riders of a road.
    """

    def __init__(self, options: Options, *, kept: dict[int, select.poll]) -> None:
        self.parcel = Parcel(None, "", b"")
        self.flies = self.began = self.turned_back = self._is_new = False
        self._position = 0
        self._answer = bytearray()
        self._kept = kept
        self.curl = pycurl.Curl()
        for option, value in options:
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._inspect)
        # No SEEKFUNCTION: what has been read cannot be read, and so not sent, again.
        self.curl.setopt(pycurl.READFUNCTION, self._read)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._write)

    def load(self, parcel: Parcel) -> None:
        """Get ready to send it."""
        last, self.parcel = self.parcel, parcel
        self.flies, self.began, self.turned_back, self._position = True, False, False, 0
        self._answer.clear()
        if parcel.url != last.url:
            self.curl.setopt(pycurl.URL, parcel.url)
        self.curl.setopt(pycurl.POSTFIELDSIZE, len(parcel.body))

    def landed(self, error: int) -> Landed:
        """Return what became of the parcel; ``error`` is libcurl's, 0 for none."""
        if error:
            return TransportFailure(self._reason(error), body_began=self.began)
        if self._is_new:
            self._keep()
        return Reply(status=self.curl.getinfo(pycurl.RESPONSE_CODE), body=bytes(self._answer))

    def _inspect(self, _ip: str, _own_ip: str, _port: int, own_port: int) -> int:
        """Turn back from a kept connection that has something to read: the server has closed it, or talks out of turn.

        libcurl itself looks once a second at most, and a message given to such a connection is lost without need.
        """
        link = self._kept.get(own_port)
        self._is_new = link is None
        self.turned_back = link is not None and bool(link.poll(0))
        if self.turned_back:
            del self._kept[own_port]
        verdict: int = pycurl.PREREQFUNC_ABORT if self.turned_back else pycurl.PREREQFUNC_OK
        return verdict

    def _keep(self) -> None:
        number = self.curl.getinfo(pycurl.ACTIVESOCKET)
        if number >= 0 and CAN_POLL:
            link = self._kept[self.curl.getinfo(pycurl.LOCAL_PORT)] = select.poll()
            link.register(number, select.POLLIN)

    def _reason(self, error: int) -> str:
        if len(self._answer) > MAX_ANSWER_BYTES:
            return "the answer is too long"
        words = ["libcurl", ERRORS.get(error, str(error))]
        if number := self.curl.getinfo(pycurl.OS_ERRNO):
            words.append(os.strerror(number))
        return ": ".join(words)

    def _read(self, size: int) -> bytes:
        self.began = True
        piece = self.parcel.body[self._position : self._position + size]
        self._position += len(piece)
        return piece

    def _write(self, piece: bytes) -> int:
        self._answer += piece
        # Fewer than there are: libcurl gives the answer up.
        return len(piece) if len(self._answer) <= MAX_ANSWER_BYTES else 0


def courier_for(mini_program: MiniProgram, *, concurrency: int) -> Courier:
    """Return a courier to WeChat for the mini-program, through its proxy."""
    base_url = settings.WECHAT_API_BASE_URL
    return Courier(base_url=base_url, proxy_url=mini_program.proxy_url, concurrency=concurrency)


def _options(*, proxy: str, certificates: str) -> Options:
    """Return what holds for every parcel; libcurl by itself follows nothing, keeps no cookie and reads no netrc."""
    file, folder = (None, certificates) if Path(certificates).is_dir() else (certificates, None)
    return [
        (pycurl.POST, 1),
        (pycurl.HTTPHEADER, HEADERS),
        (pycurl.USERAGENT, ""),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.NOSIGNAL, 1),
        # Both, even when empty: libcurl would ask the environment.
        (pycurl.PROXY, proxy),
        (pycurl.NOPROXY, ""),
        (pycurl.CAINFO, file),
        (pycurl.PROXY_CAINFO, file),
        (pycurl.CAPATH, folder),
        (pycurl.PROXY_CAPATH, folder),
    ]
