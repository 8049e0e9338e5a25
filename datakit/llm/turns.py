"""Waits for questions that another build on the same result store asks at this moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from datakit.core.call_stats import CallStats
from datakit.core.sub_results import Turns

_LOOK_S = 0.1
_BUSY = 20
"""Looks take at most the twentieth part of the time, however many questions are waited for."""
_NAMED = 3
"""Processes that are named."""


class TurnQueue:
    """The questions of ours that others ask. Made and used on one event loop.

    Whoever waits has no call under way, holds no slot of the endpoint and asks nothing else meanwhile, so no
    two builds can wait for each other. A record that waits makes room for another.
    """

    def __init__(self, turns: Turns, stats: CallStats) -> None:
        self._turns, self._stats = turns, stats
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._look: asyncio.Task[None] | None = None

    async def take(self, question: bytes) -> None:
        """Returns when it is our turn to ask: at once, or when who asks has stored the answer, given it up or
        ended. Nobody else in this process may wait for the same question."""
        if self._turns.take(question):
            return
        future = self._waiting[question] = asyncio.get_running_loop().create_future()
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_until_all_have_it())
        try:
            with self._stats.aside():
                await future
        finally:
            self._waiting.pop(question, None)

    async def _look_until_all_have_it(self) -> None:
        pause_s = _LOOK_S
        try:
            while self._waiting:
                self._stats.tell_elsewhere(self._words())
                await asyncio.sleep(pause_s)
                began = time.perf_counter()
                for question, future in list(self._waiting.items()):
                    if not future.done() and self._turns.take(question):
                        future.set_result(None)
                await asyncio.sleep(0)  # whoever has it now leaves the queue
                pause_s = max(_LOOK_S, _BUSY * (time.perf_counter() - began))
        except Exception as error:  # whoever waits gets it, and the build tells it
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(error)
        finally:
            self._stats.tell_elsewhere("")

    def _words(self) -> str:
        count = len(self._waiting)
        pids = {self._turns.holder(question) for question in list(self._waiting)[:100]}
        return f"waits for {count:,} answer{'s' if count > 1 else ''} of {_builds(pids - {None})}"


def _builds(pids: Collection[int | None]) -> str:
    named = ", ".join(f"{pid}" for pid in sorted(pid for pid in pids if pid is not None)[:_NAMED])
    return f"{'another build' if len(pids) < 2 else 'other builds'}{f' (pid {named})' if named else ''}"
