"""Whether it is worth asking again about an answer that could not be used: not where it never helped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FIRST = 20
"""Second tries of one kind, of which none helped, after which no further one is paid for."""


@dataclass
class SecondTry:
    """One that is under way. Whoever made it says how it ended; when nobody does, it shows nothing."""

    failed_for: str | None = None
    """Why its answer cannot be used either; "" when it can."""


@dataclass
class _Kind:
    open: int = 0
    helped: bool = False
    failed: Counter[str] = field(default_factory=Counter)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def is_futile(self) -> bool:
        return not self.helped and self.failed.total() >= FIRST


class SecondTries:
    """The second tries of one step, by kind. Used on one event loop.

    Before one has helped, no more than the first twenty are under way: the others wait for what those show.
    """

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        """Told the kind, and the reason for which most failed, when a kind turns out to be futile."""
        self._kinds: dict[str, _Kind] = {}

    async def worth(self, kind: str) -> bool:
        """Whether to ask again; then `under_way` must follow at once."""
        state = self._kinds.setdefault(kind, _Kind())
        while not state.helped and not state.is_futile and state.open + state.failed.total() >= FIRST:
            waiter = asyncio.get_running_loop().create_future()
            state.waiting.append(waiter)
            await waiter
        return not state.is_futile

    @contextmanager
    def under_way(self, kind: str) -> Iterator[SecondTry]:
        """Around a second try."""
        state, this = self._kinds[kind], SecondTry()
        state.open += 1
        try:
            yield this
        finally:
            state.open -= 1
            was_futile = state.is_futile
            if this.failed_for:
                state.failed[this.failed_for] += 1
            elif this.failed_for is not None:
                state.helped = True
            if state.is_futile and not was_futile:
                self._say(kind, state.failed.most_common(1)[0][0])
            waiting, state.waiting = state.waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
