"""Ctrl-C and SIGTERM at operations and moments: exit 130 or 143, a sentence, and the next build goes on."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

from disasters.outcome import differences
from disasters.point import Point, dice
from disasters.world import World, left_over

SCENARIO = "signals"
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
_CHAIN = 3


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """One point for three signals and the build that finishes."""
    plain = world.undisturbed()
    for number in range(-(-wanted // _CHAIN)) if only is None else [only]:
        point = Point(SCENARIO, number, "")
        world.fresh()
        draw = dice(seed, SCENARIO, number)
        for at in sorted(draw.random() for _ in range(min(wanted, _CHAIN))):
            kind = draw.choice(list(_CODES))
            operation = plain.operations[int(at * len(plain.operations))] if draw.random() < 0.5 else ""
            place = operation or f"the moment at {at:.0%}"
            point.what += f"{kind.name} at {place}; "
            process = world.start(at=(kind, 1, 0, operation) if operation else (0, 0, 0, ""))
            if not _signal(world, point, process, kind, 0 if operation else at * plain.seconds, place):
                break
        _finish(world, point)
        yield point


def _signal(
    world: World,
    point: Point,
    process: subprocess.Popen[bytes],
    kind: signal.Signals,
    after_s: float,
    place: str,
) -> bool:
    """Whether the build ended by the signal; sends it after so many seconds, unless that is done already."""
    sent = None
    if after_s:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(kind)
            sent = time.monotonic()
    ended = world.end(process, time.monotonic())
    if sent is not None:
        point.count(seconds_most=time.monotonic() - sent)
    survivors = left_over(process.pid)
    point.expect(not survivors, f"processes outlived {kind.name} at {place}: {survivors}")
    if ended.code == 0:  # it came when everything was done
        return False
    point.count(signals=1)
    early = kind is signal.SIGTERM and ended.code == -kind  # before datakit is imported
    if not early:
        point.expect(ended.code == _CODES[kind], f"{kind.name} at {place}: exit code {ended.code}")
        point.expect(
            "Traceback" not in ended.words, f"{kind.name} at {place}: a traceback\n{ended.words[-900:]}"
        )
        point.expect(ended.code == 124 or "Interrupted" in ended.words, f"{kind.name} at {place}: no word")
    return True


def _finish(world: World, point: Point) -> None:
    ended = world.build()
    if point.expect(ended.code == 0, f"the next build ended with {ended.code}: {ended.words[-600:]}"):
        point.faults += differences(world.undisturbed().outcome, world.outcome())
