"""What the engine and the clients of one build share while calls are under way: who waits, and for what."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class CallStats:
    """How the calls of a build stand. Empty in a worker process: calls are made in the engine's own."""

    in_flight: int = 0
    """Calls under way."""
    waiting: int = 0
    """Records that failed once and wait for their next try. They hold no slot: others are sent meanwhile."""
    message: str = ""
    """What a client that answers late has to say, for the progress line."""
    elsewhere: str = ""
    """What other builds ask at this moment, whose answers are waited for; for the progress line too."""
    news: str = ""
    """A line that is told once, such as where the work is done."""
    is_storing: bool = False
    """Answers were handed out that may not be in the store yet: nobody may throw their source away."""
    batches_away: int = 0
    """Batches that go on at the provider when this process ends."""
    to_run: dict[str, int] = field(default_factory=dict)
    """Commands that somebody must run, and the requests that wait for each."""
    unanswered: dict[str, int] = field(default_factory=dict)
    """Why requests whose file somebody ran have no answer all the same, and how many of each."""
    kept: list[str] = field(default_factory=list)
    """Files of such answers that hold failures, where they were put."""
    _listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None] | None) -> None:
        """Has `listener` called when a record begins to wait, so that another can be started."""
        self._listener = listener

    def tell(self, text: str) -> None:
        """Shows how things stand while no answer comes."""
        self.message = text
        if self._listener is not None:
            self._listener()

    def tell_elsewhere(self, text: str) -> None:
        """Shows what is waited for that other builds ask; "" when nothing is any more."""
        self.elsewhere = text
        if self._listener is not None:
            self._listener()

    @contextmanager
    def aside(self) -> Any:
        """Around the wait of a record between two tries."""
        self.waiting += 1
        if self._listener is not None:
            self._listener()
        try:
            yield
        finally:
            self.waiting -= 1

    def __reduce__(self) -> tuple[type[CallStats], tuple[()]]:
        return CallStats, ()
