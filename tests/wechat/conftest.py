"""Servers and transports that end with the test."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notify_platform.wechat.courier import Courier
from notify_platform.wechat.transport import RequestsTransport

from .raw_server import RawServer, Serve


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own proxy settings out."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def serving() -> Iterator[Callable[[Serve], RawServer]]:
    """Start servers that stop when the test ends."""
    started: list[RawServer] = []

    def start(serve: Serve) -> RawServer:
        server = RawServer(serve).__enter__()
        started.append(server)
        return server

    yield start
    for server in started:
        server.__exit__(None, None, None)


@pytest.fixture
def transport_to() -> Iterator[Callable[..., RequestsTransport]]:
    """Make transports with short timeouts that are closed when the test ends."""
    made: list[RequestsTransport] = []

    def make(url: str, **options: object) -> RequestsTransport:
        times = {"connect_timeout": 2.0, "read_timeout": 2.0}
        transport = RequestsTransport(base_url=url, **{**times, **options})  # type: ignore[arg-type]
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def courier_to() -> Iterator[Callable[..., Courier]]:
    """Make couriers with short timeouts that are closed when the test ends."""
    made: list[Courier] = []

    def make(url: str, **options: object) -> Courier:
        times = {"connect_timeout": 2.0, "read_timeout": 2.0}
        courier = Courier(base_url=url, **{**times, **options})  # type: ignore[arg-type]
        made.append(courier)
        return courier

    yield make
    for courier in made:
        courier.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate of its own for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path
