"""A server of bare sockets: it can do what no well-behaved HTTP server does."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """One accepted connection, as the serving function sees it."""

    def __init__(self, server: RawServer, sock: socket.socket) -> None:
        self._server = server
        self._socket = sock

    def read_head(self) -> tuple[str, dict[str, str]] | None:
        """Read up to the empty line and not a byte further; None when the client has hung up."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            if not byte:
                return None
            head += byte
        line, *rest = head.decode("latin-1").split("\r\n")
        return line, {name.lower(): value for name, _, value in (row.partition(": ") for row in rest if row)}

    def read_request(self) -> Request | None:
        """Read a whole request and note it; None when the client has hung up."""
        head = self.read_head()
        if head is None:
            return None
        line, headers = head
        length, body = int(headers.get("content-length", "0")), b""
        while len(body) < length:
            piece = self._socket.recv(length - len(body))
            if not piece:
                return None
            body += piece
        request = Request(line, headers, body)
        self._server.requests.append(request)
        return request

    def send(self, *pieces: bytes) -> None:
        self._socket.sendall(b"".join(pieces))

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self._socket = context.wrap_socket(self._socket, server_side=True)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


Serve = Callable[[Connection], None]


class RawServer:
    """Runs ``serve`` for every connection, each in its own thread, until the ``with`` block ends."""

    def __init__(self, serve: Serve) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._serve = serve
        self._open: list[Connection] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RawServer:
        self._start(self._accept)
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection = Connection(self, sock)
            self._open.append(connection)
            self._start(lambda connection=connection: self._run(connection))

    def _run(self, connection: Connection) -> None:
        # A client that hangs up in the middle is half of what these servers are for.
        with suppress(OSError):
            self._serve(connection)
        connection.close()


def answer(body: bytes = b"{}", *, status: str = "200 OK", headers: str = "") -> bytes:
    """Return a complete HTTP answer that keeps the connection."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def answering(*bodies: bytes) -> Serve:
    """Return a serving function that answers every request, with each body once and the last one for ever."""
    left = list(bodies)

    def serve(connection: Connection) -> None:
        while connection.read_request() is not None:
            connection.send(answer(left.pop(0) if len(left) > 1 else left[0]))

    return serve
