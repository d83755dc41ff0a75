"""The courier on its way: TLS, proxies, what the environment may and may not change, and a process of its own."""

from __future__ import annotations

import multiprocessing
import ssl
import subprocess

import pytest

from notify_platform.wechat.courier import courier_for
from notify_platform.wechat.transport import Reply, TransportFailure
from templates_app.models import MiniProgram

from .exchanges import (
    OK,
    TOKEN,
    closed_port,
    deliver,
    deliver_all,
    lost,
    over_tls,
    resets_after_body,
    resets_after_head,
    says,
)
from .raw_server import Connection, Serve, answer, answering

# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_trusted_certificate_is_taken_and_its_connection_kept(
    serving, courier_to, certificate, monkeypatch, tmp_path, kind: str
) -> None:
    trusted = certificate
    if kind == "folder":
        trusted = tmp_path
        (tmp_path / "own.pem").write_bytes(certificate.read_bytes())
        subprocess.run(["openssl", "rehash", tmp_path], check=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    server = serving(over_tls(certificate))
    url = server.url.replace("http:", "https:")
    assert deliver_all(courier_to(url, concurrency=1), url, keys=range(3)) == dict.fromkeys(range(3), OK)
    assert server.connections == 1


def test_a_certificate_nobody_vouches_for_sends_nothing(serving, courier_to, certificate) -> None:
    server = serving(over_tls(certificate))
    url = server.url.replace("http:", "https:")
    failure = lost(courier_to(url), url)
    assert (failure.body_began, str(failure)) == (False, "libcurl: peer failed verification")
    assert server.requests == []


def test_a_certificate_of_another_host_sends_nothing(serving, courier_to, certificate, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serving(over_tls(certificate))
    url = f"https://localhost:{server.port}"
    assert lost(courier_to(url), url).body_began is False
    assert server.requests == []


@pytest.mark.parametrize("serve", [Connection.reset, Connection.close, lambda link: link.send(b"plain text\r\n")])
def test_a_failed_handshake_sends_nothing(serving, courier_to, serve: Serve) -> None:
    server = serving(serve)
    url = server.url.replace("http:", "https:")
    assert lost(courier_to(url), url).body_began is False


def test_a_kept_tls_connection_that_dies_after_the_body_is_not_tried_again(
    serving, courier_to, certificate, monkeypatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(connection: Connection) -> None:
        connection.start_tls(context)
        connection.read_request()
        connection.send(answer())
        resets_after_body(connection)

    server = serving(serve)
    url = server.url.replace("http:", "https:")
    courier = courier_to(url)
    deliver(courier, url)
    assert lost(courier, url).body_began is True
    assert len(server.requests) == 2


# --- proxies ---------------------------------------------------------------------------------------------------------


def test_an_explicit_proxy_is_used_and_wins_over_the_environment(serving, courier_to, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", "*")
    proxy = serving(answering(b"{}"))
    courier = courier_to("http://wechat.example", proxy_url=proxy.url)
    assert deliver(courier, "http://wechat.example") == OK
    assert proxy.requests[0].line == f"POST http://wechat.example/send?access_token={TOKEN} HTTP/1.1"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_read_once(serving, courier_to, monkeypatch, name: str) -> None:
    proxy = serving(answering(b"{}"))
    monkeypatch.setenv(name, proxy.url)
    courier = courier_to("http://wechat.example")
    monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert deliver(courier, "http://wechat.example") == OK


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_is_honoured(serving, courier_to, monkeypatch, name: str) -> None:
    server = serving(answering(b"{}"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv(name, "127.0.0.1")
    assert deliver(courier_to(server.url), server.url) == OK


def test_a_proxy_set_later_is_not_taken(serving, courier_to, monkeypatch) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}")
    assert deliver(courier, server.url) == OK


@pytest.mark.parametrize("serve", [says(answer(b"no", status="403 Forbidden")), resets_after_head, Connection.reset])
def test_a_proxy_that_opens_no_tunnel_sends_nothing(serving, courier_to, monkeypatch, serve: Serve) -> None:
    proxy = serving(serve)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    courier = courier_to("https://wechat.example")
    assert lost(courier, "https://wechat.example").body_began is False


def test_a_tunnel_is_opened_without_showing_the_address_to_the_proxy(
    serving, courier_to, certificate, monkeypatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    heads: list[tuple[str, dict[str, str]]] = []

    def serve(connection: Connection) -> None:
        head = connection.read_head()
        assert head is not None
        heads.append(head)
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.start_tls(context)
        answering(b"{}")(connection)

    proxy = serving(serve)
    courier = courier_to("https://127.0.0.1:1234", proxy_url=proxy.url.replace("//", "//anna:ge%3Aheim@"))
    assert [deliver(courier, "https://127.0.0.1:1234") for _ in range(2)] == [OK, OK]
    ((line, headers),) = heads
    assert line == "CONNECT 127.0.0.1:1234 HTTP/1.1"
    assert headers == {
        "host": "127.0.0.1:1234",
        "proxy-authorization": "Basic YW5uYTpnZTpoZWlt",
        "proxy-connection": "Keep-Alive",
    }
    assert "proxy-authorization" not in proxy.requests[0].headers


def test_a_proxy_that_wants_a_login_is_an_answer(serving, courier_to) -> None:
    proxy = serving(says(answer(b"", status="407 Proxy Authentication Required")))
    courier = courier_to("http://wechat.example", proxy_url=proxy.url)
    assert deliver(courier, "http://wechat.example") == Reply(status=407, body=b"")


@pytest.mark.parametrize(
    "proxy_url",
    ["http://nowhere.invalid:3128", "nonsense://a", f"http://127.0.0.1:{closed_port()}"],
    ids=["unknown host", "nonsense", "closed port"],
)
def test_a_proxy_that_is_not_there_sends_nothing(courier_to, proxy_url: str) -> None:
    courier = courier_to("http://wechat.example", proxy_url=proxy_url)
    failure = lost(courier, "http://wechat.example")
    assert failure.body_began is False
    assert [name for name in ("nowhere", "127.0.0.1", "wechat") if name in str(failure)] == []


def test_netrc_adds_no_login(serving, courier_to, monkeypatch, tmp_path) -> None:
    for name in (".netrc", "netrc"):
        (tmp_path / name).write_text("machine 127.0.0.1 login anna password geheim\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serving(answering(b"{}"))
    deliver(courier_to(server.url), server.url)
    assert "authorization" not in server.requests[0].headers


def test_a_courier_for_a_mini_program_takes_its_proxy(serving, settings) -> None:
    settings.WECHAT_API_BASE_URL = "http://wechat.example"
    proxy = serving(answering(b"{}"))
    courier = courier_for(MiniProgram(proxy_url=proxy.url), concurrency=1)
    assert deliver(courier, settings.WECHAT_API_BASE_URL) == OK
    courier.close()


# --- processes -------------------------------------------------------------------------------------------------------


def test_a_forked_process_posts_on_connections_of_its_own(serving, courier_to) -> None:
    server = serving(answering(b"{}"))
    courier = courier_to(server.url)
    first = deliver(courier, server.url)

    def in_the_child(answers: multiprocessing.SimpleQueue[Reply | TransportFailure]) -> None:
        answers.put(deliver(courier_to(server.url), server.url))

    forked = multiprocessing.get_context("fork")
    answers = forked.SimpleQueue()
    child = forked.Process(target=in_the_child, args=(answers,))
    child.start()
    in_child = answers.get()
    child.join(10)
    assert [first, in_child, deliver(courier, server.url)] == [OK] * 3
    assert server.connections == 2
