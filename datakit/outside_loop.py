"""Work in a thread of its own where an event loop runs, as in notebooks, and interrupts that reach it."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_LOOK_S = 0.2


def outside_loop(work: Callable[[], T], cancel: Callable[[], None]) -> T:
    """Runs `work` here, or in a thread of its own when an event loop is running (as in notebooks).

    An interrupt of the notebook calls `cancel` and waits until the thread has stopped, so that nothing is
    paid behind the user's back.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    box: list[Any] = []
    finished = threading.Event()  # Python 3.11 holds a thread whose `join` was interrupted to have ended

    def target() -> None:
        try:
            box.append((True, work()))
        except BaseException as error:  # raised again below, in the caller's thread
            box.append((False, error))
        finally:
            finished.set()

    # In the context of the caller, by which a notebook knows the cell that shows the progress.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(target,), name="datakit")
    try:
        with _interrupt_raises():  # from before it starts: work may be interrupted at once
            thread.start()
            while not finished.wait(_LOOK_S):  # a signal just before a wait begins is seen at its end only
                pass
    except KeyboardInterrupt:
        cancel()
        if thread.ident is not None:
            finished.wait()
        raise
    fine, value = box[0]
    if not fine:
        raise value
    result: T = value
    return result


@contextmanager
def _interrupt_raises() -> Iterator[None]:
    """Interrupts raise KeyboardInterrupt at once: the handler of asyncio would wait for the loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
