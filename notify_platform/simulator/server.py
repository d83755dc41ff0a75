"""The simulator over real HTTP: a threading server that writes every reply with one send."""

from __future__ import annotations

import ipaddress
import logging
import os
import select
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qsl

from notify_platform.simulator.calls import Call, Reply, Silence, encoded
from notify_platform.simulator.control import SimulatorControl
from notify_platform.simulator.dispatch import Dispatcher
from notify_platform.simulator.phones import Phones, is_of_a_phone
from notify_platform.simulator.pushes import Pusher
from notify_platform.simulator.settings import Settings
from notify_platform.simulator.steering import PREFIX, Steering
from notify_platform.simulator.world import World

LOOPBACK = "127.0.0.1"
PUSH_WORKERS = 4
BACKLOG = 256
BIGGEST_BODY = 64 * 1024 * 1024  # a bulk of users is large; WeChat's own limit is not documented
LOOK_AGAIN_MS = 200
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST

logger = logging.getLogger(__name__)


class _Server(ThreadingHTTPServer):
    """Threads are daemons; the open connections are known, so that stopping ends them all."""

    daemon_threads = True
    request_queue_size = BACKLOG

    def __init__(self, address: tuple[str, int], *, world: World, pusher: Pusher) -> None:
        self.dispatcher = Dispatcher(world, pusher)
        self.steering = Steering(world, pusher)
        self.phones = Phones(world, pusher)
        self.stopping = Event()
        self._open: set[socket.socket] = set()
        self._open_lock = Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as the base class does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong; a client that leaves is nothing wrong."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            logger.error("the simulator failed on a request", exc_info=error)

    def end_connections(self) -> None:
        """Wake every thread that waits for its client."""
        self.stopping.set()
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was faster


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: a line a request would cost more than the request."""

    def _answer(self) -> None:
        call = self._call()
        if call is None:
            self.close_connection = True
            self._write(Reply(encoded({"error": {"code": "length", "message": "send a Content-Length"}}), status=411))
            return
        ending = self._ending(call)
        if isinstance(ending, Silence):
            self._fall_silent(ending)
        else:
            self._write(ending)

    def _ending(self, call: Call) -> Reply | Silence:
        """Ask whoever the path belongs to; the control API and the phones are for this machine only."""
        is_steering, is_of_phone = call.path.startswith(PREFIX), is_of_a_phone(call.path)
        if not is_steering and not is_of_phone:
            return self.server.dispatcher.answer(call)
        if not ipaddress.ip_address(call.client_ip).is_loopback:
            return Reply(encoded({"error": {"code": "loopback", "message": "only from this machine"}}), status=403)
        return self.server.steering.answer(call) if is_steering else self.server.phones.answer(call)

    def _call(self) -> Call | None:
        """Read the request, or return None when its length is not told."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > BIGGEST_BODY:
            return None
        raw = self.rfile.read(int(length))
        path, _, query = self.path.partition("?")
        values = dict(reversed(parse_qsl(query, keep_blank_values=True)))
        return Call(self.command, path, values, raw, self.client_address[0], query, self.headers)

    def _write(self, reply: Reply) -> None:
        further = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        head = (
            f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}\r\n"
            f"Content-Type: {reply.content_type}\r\n{further}"
            f"Content-Length: {len(reply.body)}\r\n"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n"
        )
        self.connection.sendall(head.encode("ascii") + reply.body)

    def _fall_silent(self, silence: Silence) -> None:
        """Reset the connection, or wait without a word until the client leaves or the server stops."""
        self.close_connection = True
        if not silence.reset:
            self._wait_for_the_client_to_leave()
            return
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        # Closed here and now: the base class would say goodbye with a FIN first, which is no reset.
        os.close(self.connection.detach())

    def _wait_for_the_client_to_leave(self) -> None:
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        while not self.server.stopping.is_set():
            if poll.poll(LOOK_AGAIN_MS) and not self.connection.recv(4096):
                return


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that listens: its base URL, and a client of its control API."""

    url: str
    control: SimulatorControl


@contextmanager
def start_simulator(
    *,
    host: str = LOOPBACK,
    port: int = 0,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    push_workers: int = PUSH_WORKERS,
) -> Iterator[RunningSimulator]:
    """Run a simulator in threads of this process until the block ends.

    ``port`` 0 takes a free one; ``settings`` are changes to ``Settings``, kept over a reset. Raises ``OSError`` when
    the address cannot be had and ``ValueError`` for an unknown setting.
    """
    world = World(seed=seed, settings=Settings().changed(settings or {}))
    pusher = Pusher(world, workers=push_workers)
    try:
        with _Server((host, port), world=world, pusher=pusher) as server:
            thread = Thread(target=server.serve_forever, name="simulator", kwargs={"poll_interval": 0.05}, daemon=True)
            thread.start()
            url = f"http://{server.server_name}:{server.server_port}"
            try:
                with SimulatorControl(url) as control:
                    yield RunningSimulator(url, control)
            finally:
                server.shutdown()
                server.end_connections()
                thread.join()
    finally:
        pusher.stop()
