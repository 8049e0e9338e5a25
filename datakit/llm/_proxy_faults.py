"""What went wrong at the proxy between here and a server, told as the proxy's and not as the server's."""

from __future__ import annotations

import asyncio
import importlib.util
from functools import cache
from typing import TYPE_CHECKING

from datakit.llm._client_setup import shown_proxy
from datakit.llm._faults import Fault

if TYPE_CHECKING:
    import aiohttp

AUTHENTICATION = 407
"""Status by which a proxy refuses whoever asks."""


@cache
def socks_errors() -> tuple[type[Exception], ...]:
    """Errors of aiohttp-socks, which are none of aiohttp's; empty where it is not installed."""
    if importlib.util.find_spec("aiohttp_socks") is None:
        return ()
    from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

    return ProxyConnectionError, ProxyError, ProxyTimeoutError


def refused_by_proxy(proxy: str, words: str = "HTTP 407") -> Fault:
    """The proxy does not take the name and the password, or wants some."""
    return Fault("stop", "proxy", f"the proxy {shown_proxy(proxy)} refuses the credentials: {words}")


def proxy_fault(error: BaseException, proxy: str, reason: str) -> Fault | None:
    """The fault of a call that the proxy lost; None for an error that is not the proxy's."""
    import aiohttp

    words, shown = _words(error), f"the proxy {shown_proxy(proxy)}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status == AUTHENTICATION:
            return refused_by_proxy(proxy, words)
        return Fault("again", reason, f"{shown} does not pass requests on: {words}")
    if isinstance(error, aiohttp.ClientConnectorError) and _is_at(error, proxy):
        return Fault("again", reason, f"{shown} cannot be reached: {words}")
    if not isinstance(error, socks_errors()):
        return None
    kind = type(error).__name__
    if kind == "ProxyError" and "authentication" in words.lower():
        return refused_by_proxy(proxy, words)
    what = {
        "ProxyConnectionError": "cannot be reached",
        "ProxyTimeoutError": "does not answer in time",
    }.get(kind, "does not pass requests on")
    return Fault("again", reason, f"{shown} {what}: {words}")


def _is_at(error: aiohttp.ClientConnectorError, proxy: str) -> bool:
    """Whether the connection that failed was the one to the proxy."""
    place = f"{error.host}:{error.port}"
    return isinstance(error, _proxy_connection_error()) or shown_proxy(proxy).endswith(f"//{place}")


def _proxy_connection_error() -> type[Exception]:
    from aiohttp import ClientProxyConnectionError

    return ClientProxyConnectionError


def _words(error: BaseException) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status} {error.message}".strip()
    if isinstance(error, asyncio.TimeoutError):
        return "no answer in time"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return (str(cause) or type(error).__name__)[:300]
