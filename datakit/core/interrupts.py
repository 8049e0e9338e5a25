"""Ctrl-C in work on an event loop: connections are closed, nothing runs on, and it is told as itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def interruptible(runner: asyncio.Runner, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What the work gives. Raises KeyboardInterrupt at Ctrl-C, after the work was cancelled and has ended.

    A Runner turns the signal into a cancellation, and that into KeyboardInterrupt unless the signal comes
    between its taking the signal over and its starting to count (seen with CPython 3.11): then CancelledError
    comes out. Nothing but the signal cancels the work given here, so it is that.
    """
    try:
        return runner.run(work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
