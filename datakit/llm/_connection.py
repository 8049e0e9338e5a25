"""The way to one address: the provider gives address and headers, aiohttp carries.

At 64 calls in flight with pictures of 100 KB the `openai` package's own transport takes four to fifteen times
the CPU (measured 2026-11).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Self

from datakit.llm._client_setup import (
    check_address,
    check_certificates,
    check_headers,
    check_key,
    is_socks,
    proxy_of,
)
from datakit.llm._faults import Fault
from datakit.llm._proxy_faults import AUTHENTICATION, proxy_fault, refused_by_proxy, socks_errors
from datakit.llm._wire import MOST_REPLY_BYTES, Body, Reply, Wire, in_utf8, too_large
from datakit.llm.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import aiohttp


class Connection(Wire):
    """Connections to one endpoint, opened when they are needed.

    Made only where requests can leave the machine: raises UserError for an address, a header, a proxy or
    certificates that cannot be used.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        secrets: Sequence[str] = (),
        by_proxy: bool = True,
    ) -> None:
        super().__init__(url, headers, timeout_s=timeout_s, secrets=secrets)
        self._session: aiohttp.ClientSession | None = None
        check_address(url)
        check_headers(self._headers)
        check_certificates(url)
        self._proxy = proxy_of(url) if by_proxy else None

    @classmethod
    def of(cls, provider: Provider) -> Self:
        """Connections to a provider's address. Raises UserError where its key is not set, or is no key."""
        check_key(provider.key_name, provider.key)
        own, extra = provider.headers(), provider.extra_headers()
        extra_names = {name.lower() for name in extra}
        kept = {name: value for name, value in own.items() if name.lower() not in extra_names}
        return cls(
            provider.url,
            {**kept, **extra},
            timeout_s=provider.settings.timeout_s,
            secrets=provider.secrets(),
        )

    async def post(self, body: Body) -> Reply | Fault:
        payload = _payload_class()(body)
        return await self._replied(
            lambda session: session.post(self.url, data=payload, proxy=self._http_proxy), "connection_lost"
        )

    async def get(self, url: str) -> Reply | Fault:
        return await self._replied(lambda session: session.get(url, proxy=self._http_proxy), "unreachable")

    async def _replied(
        self,
        request: Callable[[aiohttp.ClientSession], AbstractAsyncContextManager[aiohttp.ClientResponse]],
        no_connection: str,
    ) -> Reply | Fault:
        """The reply to a request; `no_connection` is the reason where nobody takes the connection."""
        import aiohttp

        try:
            async with request(self._open()) as response:
                if self._proxy is not None and response.status == AUTHENTICATION:
                    return refused_by_proxy(self._proxy)
                data = bytearray()
                async for chunk in response.content.iter_any():
                    data += chunk
                    if len(data) > MOST_REPLY_BYTES:
                        return too_large()
                return Reply(response.status, response.headers, in_utf8(bytes(data), response.charset))
        except aiohttp.ClientConnectorCertificateError as error:
            return self.safe(_untrusted(self.mask(str(error))))
        except _lost_by(aiohttp.ClientError) as error:
            fault = None if self._proxy is None else proxy_fault(error, self._proxy, no_connection)
            if fault is not None:
                return self.safe(fault)
            is_connection = isinstance(error, aiohttp.ClientConnectorError)
            return self.lost(error, no_connection if is_connection else "connection_lost")

    @property
    def _http_proxy(self) -> str | None:
        return None if is_socks(self._proxy) else self._proxy

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            connector: aiohttp.BaseConnector
            if self._proxy is not None and is_socks(self._proxy):
                from aiohttp_socks import ProxyConnector

                # socks5h, socks4a: names are the proxy's to look up
                scheme, _, place = self._proxy.partition("://")
                connector = ProxyConnector.from_url(
                    f"{scheme.rstrip('ha')}://{place}",
                    rdns=scheme[-1] in "ha" or None,
                    limit=0,
                    keepalive_timeout=60,
                )
            else:
                connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _lost_by(client_error: type[Exception]) -> tuple[type[Exception], ...]:
    """The errors of a call without a reply; a timeout is an OSError."""
    return client_error, OSError, ValueError, *socks_errors()


def _untrusted(error: object) -> Fault:
    """A certificate that this machine does not trust: no other try will."""
    return Fault("stop", "certificate", str(error)[:300])


_CHUNK_BYTES = 1 << 16


@cache
def _payload_class() -> type[aiohttp.Payload]:
    """A Body as aiohttp writes it: by chunks, so that a slow connection keeps no second copy of it."""
    from aiohttp import Payload
    from aiohttp.abc import AbstractStreamWriter

    class Once(Payload):
        _value: Body

        @property
        def size(self) -> int:
            return self._value.size

        def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
            return self._value.data.decode(encoding, errors)

        async def write(self, writer: AbstractStreamWriter) -> None:
            await self.write_with_length(writer, None)

        async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
            data = memoryview(self._value.data)
            for at in range(0, len(data), _CHUNK_BYTES):
                await writer.write(data[at : at + _CHUNK_BYTES])
            self._value.data = b""

    return Once
