"""The way to one address with the standard library alone, for machines that have a bundle and no aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

from datakit.llm._faults import Fault
from datakit.llm._wire import MOST_REPLY_BYTES, Body, Reply, Wire, in_utf8, too_large

_CHUNK_BYTES = 1 << 16


class PlainConnection(Wire):
    """A thread and a connection for each request in flight; no proxy is asked.

    No end of the process waits for these threads, as it does for those of a pool: a server may never answer.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        secrets: Sequence[str] = (),
        threads: int = 32,
    ) -> None:
        super().__init__(url, headers, timeout_s=timeout_s, secrets=secrets)
        # A proxy of the environment must not get between this machine and itself.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        # One more, so that somebody can look whether the server lives while all others wait for it.
        self._free = asyncio.Semaphore(threads + 1)

    async def post(self, body: Body) -> Reply | Fault:
        return await self._sent(urllib.request.Request(self.url, body.data, self._headers))

    async def get(self, url: str) -> Reply | Fault:
        return await self._sent(urllib.request.Request(url, None, self._headers))

    async def close(self) -> None:
        """Nothing is kept between two requests."""

    async def _sent(self, request: urllib.request.Request) -> Reply | Fault:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Reply | Fault] = loop.create_future()

        def work() -> None:
            reply: Reply | Fault | Exception
            try:
                reply = self._reply(request)
            except Exception as error:
                reply = error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answered, reply)

        async with self._free:
            threading.Thread(target=work, name="datakit-http", daemon=True).start()
            return await answered

    def _reply(self, request: urllib.request.Request) -> Reply | Fault:
        until = time.monotonic() + self._timeout_s
        try:
            try:
                response = self._opener.open(request, timeout=self._timeout_s)
            except urllib.error.HTTPError as error:  # a reply like any other
                response = error
            with response:
                data = bytearray()
                while chunk := response.read(_CHUNK_BYTES):
                    data += chunk
                    if len(data) > MOST_REPLY_BYTES:
                        return too_large()
                    if time.monotonic() > until:
                        raise TimeoutError
                missing = response.headers.get("Content-Length")
                if missing is not None and missing.isdigit() and len(data) < int(missing):
                    raise http.client.IncompleteRead(bytes(data), int(missing) - len(data))
                charset = response.headers.get_content_charset()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, headers, in_utf8(bytes(data), charset))
        except urllib.error.URLError as error:
            cause = error.reason if isinstance(error.reason, OSError) else error
            return self.lost(cause, "unreachable" if request.data is None else "connection_lost")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return self.lost(error)


def _settle(answered: asyncio.Future[Reply | Fault], reply: Reply | Fault | Exception) -> None:
    if answered.done():
        return  # cancelled
    if isinstance(reply, Exception):
        answered.set_exception(reply)
    else:
        answered.set_result(reply)
