"""The way to the endpoint is looked at before anything is asked; what is wrong is its owner's to mend."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import Exit, UserError
from datakit.core.outcome import Retry
from datakit.core.settings import LlmSettings
from datakit.llm._client_setup import joined, proxy_of
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.reachability import unreachable
from datakit.llm.request import Completion, Request
from tests.support.loopback import KEY, Loopback

REMOTE = "https://models.example.org/v1"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


def ask(**settings: Any) -> Any:
    async def go() -> Any:
        client = Client(Calls(LlmSettings(max_retries=0, **settings)))
        try:
            return await client.complete(Request("[id:a]", (), AnswerSchema.line("description"), 0.3, 100))
        finally:
            await client.close()

    return asyncio.run(go())


def fault(**settings: Any) -> UserError:
    """Why nothing can be asked, as the look before a build tells it."""
    (error,) = unreachable(LlmSettings(max_down_s=0.0, **settings), lambda _: None)
    assert error.exit_code == Exit.PROVIDER
    assert error.remedy
    return error


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:7890", "socks://127.0.0.1:7890", "nonsense://x"])
def test_server_on_this_machine_is_asked_past_any_proxy(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    assert unreachable(LlmSettings(base_url=server.url), lambda _: None) == []
    assert isinstance(ask(base_url=server.url), Completion)


@pytest.mark.parametrize(
    ("variable", "proxy", "words"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:7890", "ALL_PROXY names a SOCKS proxy (socks5://127.0.0.1:7890)"),
        ("ALL_PROXY", "socks://127.0.0.1:7890", "ALL_PROXY names a proxy of an unknown kind"),
        ("HTTPS_PROXY", "socks5h://me:secret@127.0.0.1:7890", "HTTPS_PROXY names a SOCKS proxy"),
        ("HTTPS_PROXY", "http://127.0.0.1:x", "HTTPS_PROXY is no address of a proxy"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:21", "HTTPS_PROXY names a proxy of an unknown kind"),
    ],
)
def test_proxy_that_cannot_be_used_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str, words: str
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "aiohttp_socks" else find(name)
    )
    monkeypatch.setenv(variable, proxy)
    error = fault(base_url=REMOTE)
    assert words in error.message
    assert "NO_PROXY=models.example.org" in error.remedy
    assert "secret" not in str(error)


def test_proxy_without_a_scheme_speaks_http_and_all_proxy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:7890")
    assert proxy_of(REMOTE) == "http://127.0.0.1:7890"
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert proxy_of(REMOTE) == "http://127.0.0.1:1"
    monkeypatch.setenv("NO_PROXY", "example.org")
    assert proxy_of(REMOTE) is None


@contextlib.contextmanager
def talker(*words: bytes) -> Iterator[int]:
    """The port of a server that says these words, each after it has heard something, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        for word in words:
                            connection.recv(1 << 16)
                            connection.sendall(word)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


CREDENTIALS = "refuses the credentials"
REFUSES = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
BUSY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("url", [REMOTE, REMOTE.replace("https:", "http:")])
@pytest.mark.parametrize(
    ("scheme", "says", "words"),
    [
        ("socks5", None, "cannot be reached"),
        ("socks4", None, "cannot be reached"),
        ("http", None, "cannot be reached"),
        ("https", None, "cannot be reached"),
        ("socks5", (b"\x05\xff",), CREDENTIALS),
        ("socks5", (b"\x05\x02", b"\x01\x01"), CREDENTIALS),
        ("http", (REFUSES,), CREDENTIALS),
        ("socks5h", (b"HTTP/1.1 400 Bad Request\r\n\r\n",), "does not pass requests on"),
    ],
)
def test_proxy_that_fails_is_named_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, scheme: str, says: tuple[bytes, ...] | None, words: str, url: str
) -> None:
    with talker(*(says or ())) as port:
        place = f"127.0.0.1:{port if says is not None else 9}"
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:secret-4711@{place}")
        if scheme == "socks4":
            url = url.replace("models.example.org", "192.0.2.1")  # it takes no names
        error = fault(base_url=url)
        assert f"the proxy {scheme}://{place} {words}" in str(error)
        assert "is down" not in str(error)
        assert "secret-4711" not in str(error)
        outcome = ask(base_url=url) if words != CREDENTIALS else None
        assert outcome is None or (
            isinstance(outcome, Retry) and f"the proxy {scheme}://{place}" in outcome.detail
        )


def test_proxy_whose_name_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("socks5", "http"):
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://no-such-host.invalid:1080")
        assert f"the proxy {scheme}://no-such-host.invalid:1080 cannot be reached" in str(
            fault(base_url=REMOTE)
        )


def test_proxy_that_cannot_reach_the_server_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with talker(BUSY) as port:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        error = fault(base_url=REMOTE)
        assert f"the proxy http://127.0.0.1:{port} does not pass requests on: HTTP 502" in str(error)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("sk-secret-4711\r", "begins or ends with a line end"),
        ("sk-secret-4711\n", "begins or ends with a line end"),
        (" sk-secret-4711", "begins or ends with white space"),
        ("sk-secret\r\n-4711", "holds a control character"),
        ("sk-secret 4711", "holds a control character or white space"),
        ("sk-secret\x01-4711", "holds a control character"),
        ("“sk-secret-4711”", "holds `“` (U+201C)"),
        ("sk-secret\u200b-4711", "holds a control character"),
    ],
)
def test_key_that_no_request_can_carry_is_told_and_never_shown(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    error = fault(base_url=server.url, api_key_env="MY_KEY")
    assert "MY_KEY" in error.message
    assert words in error.message
    assert "secret" not in str(error)
    assert server.count == 0


def test_header_with_a_line_end_is_named_without_its_value(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKET", "secret\r\nX-Other: 1")
    error = fault(base_url=server.url, extra_headers={"X-Pass": "${TICKET}"})
    assert "the header `X-Pass` cannot be sent" in error.message
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8000/v1", "localhost", "http://host:port/v1", "ftp://a/v1", "http://a/v1\r"],
)
def test_address_that_is_none_is_shown(address: str) -> None:
    error = fault(base_url=address)
    assert "is no address of a server" in error.message
    assert address.strip() in error.message


def test_certificates_that_cannot_be_read_are_told_with_their_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert "No such file" in fault(base_url=REMOTE).message
    (tmp_path / "none.pem").write_text("no certificate")
    assert "it holds no certificate in PEM" in fault(base_url=REMOTE).message
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    assert "SSL_CERT_DIR" in fault(base_url=REMOTE).message


def test_certificate_that_is_not_trusted_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from datakit.llm import _connection
    from datakit.llm._evidence import Evidence

    refused = _connection._untrusted(ssl.SSLCertVerificationError("self-signed certificate"))
    assert Evidence().ends(refused) is refused


@pytest.mark.parametrize(
    ("path", "posted"),
    [
        ("/v1?api-version=2024-10-21&x=a%20b", "/v1/chat/completions?api-version=2024-10-21&x=a%20b"),
        ("/v1/?tag=&tag=2", "/v1/chat/completions?tag=&tag=2"),
        ("/v1/chat/completions?k=v", "/v1/chat/completions?k=v"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
    ],
)
def test_query_of_the_address_goes_with_every_request(server: Loopback, path: str, posted: str) -> None:
    address = server.url.removesuffix("/v1") + path
    assert isinstance(ask(base_url=address), Completion)
    assert [call.path for call in server.calls] == [posted]


def test_deployment_of_azure_is_asked_with_its_own_header_under_any_provider(server: Loopback) -> None:
    address = server.url.removesuffix("/v1") + "/openai/deployments/gpt-4o-mini?api-version=2024-10-21"
    assert isinstance(ask(base_url=address, provider="openai"), Completion)
    (call,) = server.calls
    assert call.path == "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21"


def test_path_goes_between_an_address_and_its_query() -> None:
    assert joined("http://a:1/v1/?k=v", "/models") == "http://a:1/v1/models?k=v"
    assert joined("http://a:1", "/models") == "http://a:1/models"
