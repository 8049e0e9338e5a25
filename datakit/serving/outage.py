"""A server that is gone: noticed, waited for a little, started once more where it is ours, told in the end.

The rule. A connection that is lost makes one look at the server, whoever lost it. While it answers the look,
the record is asked again as after any fault. While it does not, everybody waits, for `PATIENCE_S` at most: so
long a supervisor may take to start it again, and no tries of a record are used up by it. A server that we
started is then started once more. After that it is gone. One that answers the look and nothing else is gone
when `LOST` records in a row were given up with no answer between them, or had none within the longest wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.core.errors import DatakitError, StopProvider
from datakit.core.regular_files import read_end

PATIENCE_S = 5.0
"""How long a server may be away."""
LOST = 3
"""Records in a row, with no answer between them, after which a server that lists its models is gone too."""
_LOOK_S, _LOOKS_WAIT_S = 0.5, 10.0
"""Time between two looks; longest wait for one."""
_LINES, _TAIL_BYTES = 15, 20_000
_REMEDY = "Start it again and run the same command: it goes on with what had no answer."


class ServerGone(StopProvider):
    """The server that was asked does not answer any more. What it answered is kept."""


@dataclass
class Outage:
    """The absences of one server. Used on one event loop."""

    address: str
    look: Callable[[], Awaitable[bool]]
    """Whether the server answers at this moment."""
    revive: Callable[[], Path | None] | None = None
    """Starts a server of ours again at the same address and returns its log when it is healthy; it may take
    minutes. Raises DatakitError when it cannot."""
    log: Path | None = None
    """What a server of ours prints."""
    _lost: set[Hashable] = field(default_factory=set)
    """Records without an answer since the last one that came."""
    _looking: asyncio.Task[bool] | None = None

    def answered(self) -> None:
        """The server gave an answer."""
        self._lost.clear()

    async def lost(self, record: Hashable, why: str) -> bool:
        """A record had no answer; whether a server of ours was started anew, so that it can be asked again.

        Raises ServerGone when it is one too many.
        """
        self._lost.add(record)
        if len(self._lost) < LOST:
            return False
        return await self._shared(
            self._start_again, f"{len(self._lost)} records in a row had no answer, the last one: {why}"
        )

    async def wait(self, why: str) -> bool:
        """Returns when the server answers; whether it was away. Raises ServerGone."""
        return await self._shared(self._back, why)

    async def _shared(self, work: Callable[[str], Coroutine[Any, Any, bool]], why: str) -> bool:
        """What one task finds out for all that lost the server meanwhile."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(work(why))
        return await asyncio.shield(self._looking)

    def gone(self, why: str) -> ServerGone:
        """The error of a server that is gone, with the last lines of its log where it is ours."""
        lines = last_lines(self.log) if self.log is not None else []
        told = f"\n  The end of its log ({self.log}):\n    " + "\n    ".join(lines) if lines else ""
        return ServerGone(f"the server at {self.address} is gone: {why}", _REMEDY + told)

    def close(self) -> None:
        """Ends a look that nobody waits for any more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _back(self, why: str) -> bool:
        if await self._answers():
            return False
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            await asyncio.sleep(_LOOK_S)
            if await self._answers():
                return True
        return await self._start_again(why)

    async def _start_again(self, why: str) -> bool:
        if self.revive is None:
            raise self.gone(why)
        revive, self.revive = self.revive, None
        try:
            self.log = await asyncio.to_thread(revive) or self.log
        except DatakitError as error:
            raise self.gone(f"{why}; it could not be started again: {error}") from error
        if not await self._answers():
            raise self.gone(f"{why}; it does not answer after a new start either")
        self._lost.clear()
        return True

    async def _answers(self) -> bool:
        """One that takes the connection and is slow is there."""
        try:
            return await asyncio.wait_for(self.look(), _LOOKS_WAIT_S)
        except (TimeoutError, asyncio.TimeoutError):  # noqa: UP041 (two errors in Python 3.10)
            return True


def last_lines(log: Path) -> list[str]:
    """The end of a log; nothing where it cannot be read."""
    try:
        text = read_end(log, _TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-_LINES:]
