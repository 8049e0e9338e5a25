"""Ctrl-C, SIGTERM and SIGHUP end a command alike: what is open is closed, and the exit code names the signal.

The first signal raises KeyboardInterrupt, or cancels what runs on an event loop. Where the command has not
ended `GRACE_S` later, because it is deep in a library or the library swallowed the exception, a thread ends
the process. (The same thread wakes the main one, which may wait for a lock while another was given the
signal.) That loses nothing that an orderly end would keep: answers are stored as they come, files are renamed
when they are whole, and worker processes end with their parent. Only a training is no such process: SIGHUP
leaves it alive, as SIGKILL does, and the next command attaches to it (training/supervise.py).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    import asyncio

_Result = TypeVar("_Result")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 1.5
"""A job scheduler or a container may kill two seconds after its first signal."""
_HEARD_S = 0.05
WORDS = "Interrupted. What was finished is stored: run the same command to go on."


class _Interrupts:
    """What has come so far. There is one for the process, as its signals are the process's."""

    number = 0
    """The first signal; 0 before it."""
    since = 0.0
    """When the time for an orderly end began to run."""
    is_due = False
    """Whether the work on the event loop is still to be broken off."""
    cancel: Callable[[], None] | None = None
    """Breaks off the work on an event loop, which must close its connections itself."""
    unhurried = 0
    pipe = -1
    """Wakes the thread that watches over the end."""


_state = _Interrupts()


def begin() -> None:
    """From here on a signal interrupts the work of this process. Called once, in the main thread.

    A signal that is ignored stays so: nohup wants it.
    """
    ears, _state.pipe = os.pipe()
    os.set_blocking(_state.pipe, False)
    signal.set_wakeup_fd(
        _state.pipe, warn_on_full_buffer=False
    )  # heard while a library keeps the main thread
    threading.Thread(target=_watch, args=(ears,), name="interrupts", daemon=True).start()
    sys.unraisablehook = _until_interrupted(sys.unraisablehook)
    threading.excepthook = _until_interrupted(threading.excepthook)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def end(code: int) -> NoReturn:
    """Ends the process with this exit code.

    No thread is waited for: one may wait for a name server, or for a disk. And Python takes its handlers of
    signals down before it ends, so that one that comes then would end a finished command as if it had failed.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a terminal that was closed takes no more words
            stream.flush()
    os._exit(code)


def received() -> int:
    """The signal that interrupts this process; 0 when none came."""
    return _state.number


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """The time for an orderly end does not run while this is open: a trainer lets go of its GPU first."""
    _state.unhurried += 1
    try:
        yield
    finally:
        _state.since = time.monotonic()
        _state.unhurried -= 1


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """A signal that comes while this is open raises KeyboardInterrupt at its end: for a step that would leave
    something behind, such as a started program that nobody knows yet. Beside work on an event loop, in a
    thread of its own, the signal breaks off that work instead."""
    before, _state.cancel = _state.cancel, lambda: None
    try:
        yield
    finally:
        _state.cancel = before
    if _state.is_due and before is not None:
        before()
    elif _state.is_due:
        _state.is_due = False
        raise KeyboardInterrupt


def interruptible(runner: asyncio.Runner, work: Coroutine[Any, Any, _Result]) -> _Result:
    """What the work gives. Raises KeyboardInterrupt at a signal, after the work was cancelled and has ended.

    A result that was there before the signal could break it off is given, and the next call raises.

    Where `begin` was not called, as in a notebook, the runner itself turns Ctrl-C into a cancellation, and
    that into KeyboardInterrupt unless the signal comes between its taking the signal over and its starting to
    count (seen with CPython 3.11): then CancelledError comes out. Nothing but a signal cancels the work given
    here, so it is that.
    """
    import asyncio

    loop, tasks = runner.get_loop(), list[asyncio.Task[Any]]()

    async def cancellable() -> _Result:
        if (task := asyncio.current_task()) is not None:
            tasks.append(task)
        if _state.is_due:
            raise asyncio.CancelledError
        return await work

    def cancel() -> None:
        for task in tasks:
            with contextlib.suppress(RuntimeError):  # the loop has come to its end by itself
                loop.call_soon_threadsafe(task.cancel)

    _state.cancel = cancel
    try:
        return runner.run(cancellable())
    except asyncio.CancelledError:
        _state.is_due = False
        raise KeyboardInterrupt from None
    finally:
        _state.cancel = None
        work.close()  # where it was never begun


def _interrupt(number: int, _: FrameType | None) -> None:
    if _state.number:
        return  # a second one must not break off what the first one began to end
    _state.number = number
    with contextlib.suppress(OSError):
        os.write(_state.pipe, bytes([number]))  # an event loop may have taken the wake-up for itself
    if logging := sys.modules.get("logging"):
        logging.disable()  # asyncio logs what becomes of connections that are broken off
    if _state.cancel is None:
        raise KeyboardInterrupt
    _state.is_due = True
    _state.cancel()


def _watch(ears: int) -> None:
    """Ends the process where it has not ended in time by itself."""
    number = next(number for number in iter(lambda: os.read(ears, 1)[0], None) if number in _SIGNALS)
    begun = time.monotonic()
    time.sleep(_HEARD_S)
    if not _state.number and (main := threading.main_thread().ident) is not None:
        signal.pthread_kill(main, number)  # only what reaches this very thread ends its wait for a lock
    while _state.unhurried or time.monotonic() - max(begun, _state.since) < GRACE_S:
        time.sleep(0.05)
    with contextlib.suppress(OSError):
        os.write(2, f"\n{WORDS}\n".encode())
    os._exit(128 + number)


def _until_interrupted(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The hook, which says nothing after a signal: whatever fails then fails because of it."""

    def told(args: Any) -> None:
        if not _state.number:
            hook(args)

    return told
