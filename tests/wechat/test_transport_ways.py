"""The transport on its way: TLS, proxies, and what the environment may and may not change."""

from __future__ import annotations

import ssl

import pytest

from notify_platform.wechat.transport import Reply

from .exchanges import TOKEN, closed_port, failure_of, over_tls, post, resets_after_head, says
from .raw_server import Connection, Serve, answer, answering

# --- TLS -------------------------------------------------------------------------------------------------------------


def test_a_trusted_certificate_is_taken_and_its_connection_kept(
    serving, transport_to, certificate, monkeypatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serving(over_tls(certificate))
    url = server.url.replace("http:", "https:")
    transport = transport_to(url)
    assert [post(transport, url).status for _ in range(2)] == [200, 200]
    assert server.connections == 1


def test_a_certificate_nobody_vouches_for_sends_nothing(serving, transport_to, certificate) -> None:
    server = serving(over_tls(certificate))
    url = server.url.replace("http:", "https:")
    failure = failure_of(transport_to(url), url)
    assert failure.body_began is False
    assert str(failure).startswith("SSLError: SSLCertVerificationError")
    assert server.requests == []


def test_a_certificate_of_another_host_sends_nothing(serving, transport_to, certificate, monkeypatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = serving(over_tls(certificate))
    url = f"https://localhost:{server.port}"
    assert failure_of(transport_to(url), url).body_began is False
    assert server.requests == []


@pytest.mark.parametrize("serve", [Connection.reset, Connection.close, lambda link: link.send(b"plain text\r\n")])
def test_a_failed_handshake_sends_nothing(serving, transport_to, serve: Serve) -> None:
    server = serving(serve)
    url = server.url.replace("http:", "https:")
    assert failure_of(transport_to(url), url).body_began is False


# --- proxies ---------------------------------------------------------------------------------------------------------


def test_an_explicit_proxy_is_used_and_wins_over_the_environment(serving, transport_to, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", "*")
    proxy = serving(answering(b"{}"))
    transport = transport_to("http://wechat.example", proxy_url=proxy.url)
    assert post(transport, "http://wechat.example").status == 200
    assert proxy.requests[0].line == f"POST http://wechat.example/send?access_token={TOKEN} HTTP/1.1"


def test_the_proxy_of_the_environment_is_read_once(serving, transport_to, monkeypatch) -> None:
    proxy = serving(answering(b"{}"))
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    transport = transport_to("http://wechat.example")
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    assert post(transport, "http://wechat.example").status == 200


def test_no_proxy_is_honoured(serving, transport_to, monkeypatch) -> None:
    server = serving(answering(b"{}"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert post(transport_to(server.url), server.url).status == 200


@pytest.mark.parametrize("serve", [says(answer(b"no", status="403 Forbidden")), resets_after_head, Connection.reset])
def test_a_proxy_that_opens_no_tunnel_sends_nothing(serving, transport_to, monkeypatch, serve: Serve) -> None:
    proxy = serving(serve)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    transport = transport_to("https://wechat.example")
    assert failure_of(transport, "https://wechat.example").body_began is False


def test_a_tunnel_is_opened_without_showing_the_address_to_the_proxy(
    serving, transport_to, certificate, monkeypatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    tunnels: list[str] = []

    def serve(connection: Connection) -> None:
        head = connection.read_head()
        assert head is not None
        tunnels.append(head[0])
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.start_tls(context)
        answering(b"{}")(connection)

    proxy = serving(serve)
    transport = transport_to("https://127.0.0.1:1234", proxy_url=proxy.url)
    assert [post(transport, "https://127.0.0.1:1234").status for _ in range(2)] == [200, 200]
    assert [line.rsplit(" ", 1)[0] for line in tunnels] == ["CONNECT 127.0.0.1:1234"]


def test_a_proxy_that_wants_a_login_is_an_answer(serving, transport_to) -> None:
    proxy = serving(says(answer(b"", status="407 Proxy Authentication Required")))
    transport = transport_to("http://wechat.example", proxy_url=proxy.url)
    assert post(transport, "http://wechat.example") == Reply(status=407, body=b"")


def test_netrc_adds_no_login(serving, transport_to, monkeypatch, tmp_path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password geheim\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serving(answering(b"{}"))
    post(transport_to(server.url), server.url)
    assert "authorization" not in server.requests[0].headers
