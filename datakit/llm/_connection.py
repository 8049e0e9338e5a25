"""The way to one address: the `openai` package gives headers, types and the list of models, aiohttp carries.

At 64 calls in flight with pictures of 100 KB the package's own transport takes four to fifteen times the CPU
(measured 2026-11).
"""

from __future__ import annotations

import os
import urllib.parse
import urllib.request
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from datakit.core.errors import UserError
from datakit.core.settings import LlmSettings
from datakit.llm._faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp
    from openai import AsyncOpenAI

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from the server, whatever its status. Header names do not mind their case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Body:
    """The bytes of a request, let go as soon as the network has them: an answer may take minutes, and 512
    pictures of 100 KB are 70 MB."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)


class Connection:
    """Connections to one endpoint, opened when they are needed."""

    def __init__(self, settings: LlmSettings) -> None:
        self._timeout_s = settings.timeout_s
        self._face = face_of(settings)
        self.base_url = str(self._face.base_url)
        self.url = self.base_url.rstrip("/") + "/chat/completions"
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    async def post(self, body: Body) -> Reply | Fault:
        """The server's reply, or why there is none."""
        import aiohttp

        session = self._open()
        try:
            async with session.post(self.url, data=_payload_class()(body), proxy=self._proxy) as response:
                return Reply(response.status, response.headers, await response.read())
        except TimeoutError:
            return Fault("again", "timed_out", f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            words = str(error) or type(error).__name__
            return self.safe(Fault("again", "connection_lost", f"{type(error).__name__}: {words[:300]}"))

    async def offered(self) -> list[str]:
        """Names of the models that the endpoint lists; empty when it lists none."""
        from openai import OpenAIError

        try:
            found = await self._face.models.list(timeout=15)
        except OpenAIError:
            return []
        return sorted(model.id for model in found.data)[:50]

    def safe(self, fault: Fault) -> Fault:
        """Without the key, which some servers repeat in their messages."""
        key = self._face.api_key
        if key and len(key) > 3 and key in fault.detail:
            return replace(fault, detail=fault.detail.replace(key, "***"))
        return fault

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._face.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._proxy = _proxy(self.url)
            headers = {**self._face.default_headers, **self._face.auth_headers}
            plain = {name: value for name, value in headers.items() if isinstance(value, str)}
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers={**plain, "Content-Type": "application/json"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def face_of(settings: LlmSettings) -> AsyncOpenAI:
    """The `openai` client of an endpoint, which knows addresses, headers and types."""
    from openai import AsyncOpenAI

    base_url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or None
    key = os.environ.get(settings.api_key_env)
    if not key:
        if base_url is None:
            raise UserError(
                f"llm.provider is openai, but {settings.api_key_env} is not set",
                remedy=f"Set {settings.api_key_env}, or OPENAI_BASE_URL for a server without keys, or take "
                "llm.provider: offline.",
            )
        key = "none"  # servers of one's own, such as vLLM, ask for no key
    return AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=settings.timeout_s)


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


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for this address; never one for this machine itself."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if host in _LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)
