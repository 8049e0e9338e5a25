"""One endpoint with everything that is its own: address, dialect, limits, circuit, price."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from datakit.core.errors import StopProvider
from datakit.core.settings import LlmSettings
from datakit.llm._circuit import Circuit
from datakit.llm._client_setup import proxy_variable
from datakit.llm._connection import Connection
from datakit.llm._dialect import Dialect
from datakit.llm._evidence import OF_RECORD, Evidence, remedy_of
from datakit.llm._faults import SAID_200, Fault
from datakit.llm._pace import Limiter
from datakit.llm._wire import Body
from datakit.llm.answer import Answer
from datakit.llm.images import fits_as_it_is
from datakit.llm.providers import provider_of
from datakit.llm.request import Request, Turn

DOWN = frozenset({"server_error", "timed_out", "connection_lost", "body_malformed"})
"""Faults that count towards the circuit: nobody who makes sense is there."""


def trouble(address: str, last_fault: str) -> str:
    """What is wrong with an endpoint of which nothing but failures came. One that says 200 is not down, and
    one behind a proxy that is down need not be."""
    if last_fault.startswith(SAID_200):
        return f"{address} answers, but with nothing that could be used; the last: {last_fault}"
    if last_fault.startswith("the proxy "):
        return f"{address} cannot be reached: {last_fault}"
    return f"{address} is down; the last failure: {last_fault}"


class Endpoint:
    """An endpoint. Made and used on one event loop."""

    def __init__(
        self,
        settings: LlmSettings,
        *,
        weight: float = 1.0,
        most_open: int = 64,
        attempts: Counter[str],
        note: Callable[[str], None],
    ) -> None:
        self.settings, self.weight, self.attempts = settings, weight, attempts
        self.provider = provider_of(settings)
        self.price = self.provider.price()
        self.connection = Connection.of(self.provider)
        self.dialect = Dialect(self.provider, note, stream=settings.stream)
        self.limiter = Limiter(most_open, settings.max_requests_per_minute, settings.max_tokens_per_minute)
        self.circuit = Circuit(settings.max_down_s)
        self.evidence = Evidence()
        self.share_used = 0.0
        """Calls by weight so far, on the clock of its pool."""
        self.out: StopProvider | None = None
        """Why no call can succeed here any more: a wrong key, an unknown model."""
        self.last_fault = ""
        self._stopping: asyncio.Future[StopProvider] | None = None

    def ready_at(self) -> float | None:
        """The moment (time.monotonic) from which a call may go; None when another must come back first."""
        most = self.evidence.most_open
        if most is not None and self.limiter.open >= most:
            return None
        up, free = self.circuit.ready_at(), self.limiter.ready_at()
        return None if up is None or free is None else max(up, free)

    def take(self, now: float, tokens: float) -> bool:
        """A call of so many tokens at most goes; whether it is a probe."""
        self.limiter.sent(now, tokens)
        return self.circuit.sent()

    async def body(self, request: Request, further: Sequence[Turn]) -> Body:
        """The body of a request. Raises ImageProblem.

        Pictures that must be decoded are decoded beside the event loop. Files that are sent as they are are
        read at once: a hand-over to another thread costs more than reading 100 KB (0.37 ms, 2026-11).
        """
        most = self.settings.max_image_pixels
        if all(fits_as_it_is(path, most) for path in request.images):
            return Body(self.dialect.body(request, further))
        return Body(await asyncio.to_thread(self.dialect.body, request, further))

    async def send(self, body: Body) -> Answer | Fault:
        """The answer to one call, or what came of it."""
        sent_at = time.monotonic()
        reply = await self.connection.post(body)
        now = time.monotonic()
        if isinstance(reply, Fault):
            outcome: Answer | Fault = reply
        elif reply.status == 200:
            self.limiter.heard(self.provider.limits(reply.headers), now)
            outcome = self.provider.decode(reply.data)
        else:
            self.limiter.heard(self.provider.limits(reply.headers), now)
            outcome = self.provider.fault(reply.status, reply.headers, self.connection.scrubbed(reply.data))
        outcome = self.connection.clean(outcome)
        reason = outcome.reason if isinstance(outcome, Fault) else "answered"
        self.attempts[reason] += 1
        if isinstance(outcome, Fault):
            self.evidence.heard(outcome)
        elif not outcome.is_withheld:
            self.evidence.answered()
        if reason in DOWN:
            self.last_fault = outcome.detail if isinstance(outcome, Fault) else ""
            self.circuit.failed(now, sent_at, outcome.wait_s if isinstance(outcome, Fault) else None)
            self.limiter.overloaded(now, sent_at)
        else:
            self.circuit.answered()
        if reason == "rate_limited" and isinstance(outcome, Fault):
            self.limiter.throttled(now, sent_at, outcome.wait_s, "token" in outcome.detail.lower())
        elif reason == "answered":
            self.limiter.accepted(now)
        return outcome

    async def close(self) -> None:
        await self.connection.close()
        await self.provider.close()

    async def stop(self, fault: Fault) -> StopProvider:
        """Takes the endpoint out for good, and says why; looked into once, however many calls run into it."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stopped(fault))
        self.out = await asyncio.shield(self._stopping)
        return self.out

    @property
    def address(self) -> str:
        """For messages."""
        return self.connection.mask(self.provider.base_url)

    def down(self) -> StopProvider:
        """The error for an endpoint that stays down."""
        return StopProvider(
            trouble(self.address, self.last_fault),
            "What was answered is stored. Run the same command again when the endpoint is well.",
        )

    async def _stopped(self, fault: Fault) -> StopProvider:
        settings, address, provider = self.settings, self.address.rstrip("/"), self.provider
        if fault.reason == "key":
            return StopProvider(
                f"{address} refused the key. {fault.detail}",
                f"Put a valid key into {provider.key_name} and run the same command again.",
            )
        if fault.reason == "account":
            return StopProvider(
                f"{address} will not bill this account. {fault.detail}", "See its billing page."
            )
        if fault.reason == "model":
            offered = [self.connection.mask(name) for name in await provider.models()]
            remedy = f"It offers: {', '.join(offered)}." if offered else "It does not list its models."
            return StopProvider(
                f"{address} does not know the model {settings.model}. {fault.detail}",
                f"{remedy} Set llm.model.",
            )
        if fault.is_far:
            return StopProvider(
                f"{address} asks to come back in {(fault.wait_s or 0) / 60:,.0f} minutes. {fault.detail}",
                "What was answered is stored. Run the same command again then.",
            )
        if fault.reason == "proxy":
            variable, host = proxy_variable(self.connection.url), urlsplit(self.connection.url).hostname
            return StopProvider(
                f"{address} cannot be reached: {fault.detail}",
                f"Set {variable} to scheme://NAME:PASSWORD@HOST:PORT of your proxy, or NO_PROXY={host}.",
            )
        if fault.reason == "certificate":
            return StopProvider(
                f"the certificate of {address} is not trusted here. {fault.detail}",
                "Set SSL_CERT_FILE to the certificates of its owner, or mend the address.",
            )
        if fault.reason in OF_RECORD:
            also = f" or {provider.base_url_env}" if provider.base_url_env else ""
            return StopProvider(
                f"nothing answers at {self.connection.mask(self.connection.url)}. {fault.detail}",
                f"Check llm.base_url{also}; {provider.address_hint}",
            )
        return StopProvider(
            f"{address} refuses every request, and has taken none. {fault.detail}",
            f"{remedy_of(fault)} What was answered before is stored: run the same command again then.",
        )
