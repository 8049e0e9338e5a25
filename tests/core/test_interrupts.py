"""Ctrl-C is told as itself, at whatever moment of a runner it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from datakit.core.interrupts import interruptible


async def _forever() -> None:
    await asyncio.sleep(60)


async def _ends_with(events: list[str]) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        events.append("closed")


@pytest.mark.fault(
    "Ctrl-C at the moment when the event loop takes over signals",
    "it is an interrupt like any other",
    kind="signals",
)
def test_interrupt_before_the_runner_counts_signals_is_an_interrupt() -> None:
    """The moment between `signal.signal` and the count's start, hit exactly."""
    handlers: list[Any] = []

    def at_a_call(_: Any, event: str, function: Any) -> None:
        if event == "c_return" and getattr(function, "__name__", "") == "signal" and not handlers:
            handlers.append(signal.getsignal(signal.SIGINT))
            os.kill(os.getpid(), signal.SIGINT)

    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
        sys.setprofile(at_a_call)
        try:
            with pytest.raises(KeyboardInterrupt):
                interruptible(runner, _forever())
        finally:
            sys.setprofile(None)
    assert handlers


@pytest.mark.fault("Ctrl-C in the middle of work", "what is open is closed first", kind="signals")
def test_interrupt_in_the_middle_closes_what_is_open_first() -> None:
    events: list[str] = []
    with asyncio.Runner() as runner:
        runner.get_loop().call_later(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            interruptible(runner, _ends_with(events))
    assert events == ["closed"]


def test_work_that_ends_gives_its_result() -> None:
    async def two() -> int:
        return 2

    with asyncio.Runner() as runner:
        assert interruptible(runner, two()) == 2


BESIDE = """\
import asyncio, os, signal
from datakit.core import interrupts
from datakit.core.interrupts import interruptible, uninterrupted
interrupts.begin()

def start():
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        while not interrupts.received():
            pass
    os.write(1, b"started\\n")

async def work():
    try:
        await asyncio.to_thread(start)
        await asyncio.sleep(60)
    finally:
        os.write(1, b"closed\\n")

with asyncio.Runner() as runner:
    try:
        interruptible(runner, work())
    except KeyboardInterrupt:
        os.write(1, b"interrupted\\n")
interrupts.end(0)
"""


def test_signal_at_a_start_in_a_thread_breaks_off_the_work_that_waits_for_it() -> None:
    done = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=False)
    assert sorted(done.stdout.split()) == ["closed", "interrupted", "started"], done.stderr
    assert done.returncode == 0
