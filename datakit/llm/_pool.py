"""Whose turn it is: calls queue for the endpoints of a model, and each goes as soon as one may take it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from datakit.core.errors import DatakitError
from datakit.llm._endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to make one call."""

    endpoint: Endpoint
    tokens: float
    """What the call may use at most."""
    is_probe: bool


@dataclass(slots=True)
class _Waiter:
    future: asyncio.Future[Slot]
    tokens: float
    avoid: Endpoint | None


class Pool:
    """The endpoints of one model. Only calls that may go hold a slot; the others wait here in order."""

    def __init__(self, endpoints: Sequence[Endpoint], most_open: int) -> None:
        self.endpoints, self._most_open = list(endpoints), most_open
        self._queue: deque[_Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._clock = 0.0
        self._halted: DatakitError | None = None

    @property
    def needs_tokens(self) -> bool:
        """Whether some endpoint limits tokens."""
        return any(endpoint.limiter.needs_tokens for endpoint in self.endpoints)

    async def turn(self, tokens: float, avoid: Endpoint | None = None) -> Slot:
        """The right to call an endpoint now; `back` must follow. Another than `avoid` if there is one.

        Raises StopProvider when no endpoint is left, and whatever `halt` was given.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future(), tokens, avoid)
        self._queue.append(waiter)
        self.pump()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and not waiter.future.exception():
                self.back(waiter.future.result(), None)
            raise

    def back(self, slot: Slot, used: float | None) -> None:
        """The call came back; `used` tokens count, or none when it is None."""
        slot.endpoint.limiter.back(slot.tokens, used)
        if slot.is_probe:
            slot.endpoint.circuit.probed()
        self.pump()

    def halt(self, error: DatakitError) -> None:
        """No further call goes: those that wait for their turn end with `error`."""
        self._halted = self._halted or error
        self.pump()

    def others(self, than: Endpoint) -> bool:
        """Whether another endpoint may take the call."""
        return any(e is not than and e.out is None and not e.circuit.is_open for e in self.endpoints)

    def pump(self) -> None:
        """Sends as many of those who wait as the endpoints can take, and sets the clock for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        while self._queue:
            waiter = self._queue[0]
            if waiter.future.done():  # cancelled
                self._queue.popleft()
                continue
            error = self._halted or self._end(now)
            if error is not None:
                self._queue.popleft()
                waiter.future.set_exception(error)
                continue
            if sum(endpoint.limiter.open for endpoint in self.endpoints) >= self._most_open:
                return
            endpoint = self._pick(now, waiter.avoid)
            if endpoint is None:
                self._set_timer(now)
                return
            self._queue.popleft()
            slot = Slot(endpoint, waiter.tokens, endpoint.take(now, waiter.tokens))
            self._clock = max(endpoint.share_used, self._clock)
            endpoint.share_used = self._clock + 1 / endpoint.weight
            waiter.future.set_result(slot)

    def _pick(self, now: float, avoid: Endpoint | None) -> Endpoint | None:
        """Of the endpoints that can take a call the one that has had least of its share."""
        ready = [
            endpoint
            for endpoint in self.endpoints
            if endpoint.out is None and (at := endpoint.ready_at()) is not None and at <= now
        ]
        return min(ready, key=lambda e: (e is avoid, max(e.share_used, self._clock)), default=None)

    def _end(self, now: float) -> DatakitError | None:
        """Why no endpoint is left, when that is so."""
        alive = [e for e in self.endpoints if e.out is None]
        if not alive:
            return self.endpoints[0].out
        if all(endpoint.circuit.given_up(now) for endpoint in alive):
            return alive[0].down()
        return None

    def _set_timer(self, now: float) -> None:
        times = [e.ready_at() for e in self.endpoints if e.out is None]
        due = [at for at in times if at is not None]
        if due:
            delay = max(min(due) - now, 0.0) + 0.0005
            self._timer = asyncio.get_running_loop().call_later(delay, self.pump)
