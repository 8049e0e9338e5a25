"""kill -9 at operations and moments: the next build goes on, equals an undisturbed one, pays nothing twice.

A point is a chain of kills of one build, each further on than the one before, and the build that finishes it.
In every second chain a build of another template stands there already, with its card and its store.
"""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from disasters.outcome import differences, torn
from disasters.point import Point, dice
from disasters.world import CONCURRENCY, NAME, PATIENCE_S, World, left_over

SCENARIO = "kills"
CALL = "call"
CHAIN = 8
_MOMENTS, _CALLS = 0.2, 0.2
"""The shares of kills at random moments and while calls are open; the others come before an operation."""
_MADE = ("build", "data_cards", ".datakit")


@dataclass(frozen=True)
class Kill:
    """Where a build is killed."""

    at: float
    """How far on, from 0 to 1, in an undisturbed build."""
    operation: str
    """Or `call`: the arrival of a question at the server."""
    count: int
    """Which of equal operations, from 1."""
    after_s: float = 0.0
    """A moment so long after the operation began; 0 for right before it."""

    def __str__(self) -> str:
        later = f" + {self.after_s * 1000:.0f} ms" if self.after_s else ""
        return f"{self.operation} {self.count}{later}"


@dataclass(frozen=True)
class Track:
    """What an undisturbed build does, from which kills are drawn."""

    operations: list[str]
    calls: int

    @property
    def calls_at(self) -> float:
        """How far on the calls begin: where the first answer is stored that is none of OCR."""
        stores = [
            at for at, operation in enumerate(self.operations) if operation.startswith("sql INSERT OR IGNORE")
        ]
        return (stores[0] if stores else 0) / len(self.operations)

    def kills(self, seed: int, chain: int, length: int) -> list[Kill]:
        """The kills of a chain in their order. Each kind of operation has its turn before any comes again."""
        kinds = sorted(set(self.operations))
        random.Random(seed).shuffle(kinds)
        draw = dice(seed, SCENARIO, chain)
        kills = []
        for number in range(chain * CHAIN, chain * CHAIN + length):
            if (chance := draw.random()) < _CALLS:
                count = draw.randrange(1, self.calls + 1)
                kills.append(Kill(self.calls_at + 0.1 * count / self.calls, CALL, count))
                continue
            kind = kinds[number % len(kinds)]
            places = [at for at, operation in enumerate(self.operations) if operation == kind]
            count = draw.randrange(len(places))
            after_s = draw.uniform(0.001, 0.4) if chance < _CALLS + _MOMENTS else 0
            kills.append(Kill(places[count] / len(self.operations), kind, count + 1, after_s))
        return sorted(kills, key=lambda kill: kill.at)


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """Chains until `wanted` builds were killed."""
    plain = world.undisturbed()
    tracks = [Track(plain.operations, plain.calls)]
    killed, chain = 0, 0 if only is None else only
    while killed < wanted:
        if chain % 2 and len(tracks) == 1:
            tracks.append(_track_over(world))
        point = Point(SCENARIO, chain, "")
        killed += _chain(world, point, tracks[chain % 2].kills(seed, chain, min(wanted, CHAIN)))
        yield point
        if only is not None:
            return
        chain += 1


def _track_over(world: World) -> Track:
    """The track of a build over one of another template, which is kept for the chains."""
    world.fresh()
    _edit(world.project)
    world.build()
    before = world.folder / "before"
    before.mkdir()
    for name in _MADE:
        subprocess.run(["cp", "-a", world.project / name, before], check=True)
    world.fresh()
    _lay_before(world)
    asked = len(world.server.asked)
    world.build()
    operations, over = world.operations(), world.outcome()
    if wrong := differences(world.undisturbed().outcome, over):
        raise SystemExit(f"a build over another differs from one from nothing: {wrong[:3]}")
    return Track(operations, len(world.server.asked) - asked)


def _edit(project: Path) -> None:
    template = project / "templates/reason.j2"
    template.write_text(template.read_text("utf-8") + "\n写得短一些。", "utf-8")


def _lay_before(world: World) -> None:
    """Puts store, build and card of the other template into a fresh project."""
    for name in _MADE:
        subprocess.run(["cp", "-a", world.folder / "before" / name, world.project], check=True)


def _chain(world: World, point: Point, kills: list[Kill]) -> int:
    """How many of the chain's builds were killed; what broke stands in the point."""
    is_over = point.number % 2 == 1
    world.fresh()
    if is_over:
        _lay_before(world)
    asked_before = len(world.server.asked)
    finished: list[tuple[int, set[str]]] = []
    passed: Counter[str] = Counter()
    killed: list[Kill] = []
    for kill in kills:
        asked = len(world.server.asked)
        code, survivors = _kill(world, kill, passed)
        passed.update([*world.operations(), *([CALL] * (len(world.server.asked) - asked))])
        point.expect(not survivors, f"processes outlived the kill at {kill}: {survivors}")
        if code == 0:
            point.count(not_reached=1)
            break
        if not point.expect(
            code == -signal.SIGKILL, f"before {kill} the build ended with {code}: {_said(world)}"
        ):
            break
        killed.append(kill)
        finished.append((len(world.server.asked), world.stored()))
        open_calls = len(set(world.server.asked[asked_before:]) - finished[-1][1])
        point.count(in_flight_most=open_calls)
        if is_over and (fault := torn(world.build_folder)):
            point.faults.append(f"no whole build stands after the kill at {kill}: {fault}")
    point.what = f"{'over a build' if is_over else 'from nothing'}, kill -9 at " + "; ".join(map(str, killed))
    point.count(kills=len(killed))
    _finish(world, point, asked_before, finished)
    return len(killed)


def _kill(world: World, kill: Kill, passed: Counter[str]) -> tuple[int, list[str]]:
    """The exit code of a build that is killed there, and what outlived it."""
    left = max(1, kill.count - passed[kill.operation])
    if kill.operation == CALL:
        process = world.start()
        world.server.alarm = (len(world.server.asked) + left, process.kill)
    else:
        process = world.start(at=(signal.SIGKILL, left, kill.after_s, kill.operation))
    code = process.wait(PATIENCE_S)
    world.server.alarm = None
    survivors = left_over(process.pid)
    world.server.settle()
    return code, survivors


def _finish(world: World, point: Point, asked_before: int, finished: list[tuple[int, set[str]]]) -> None:
    """The build that goes on, and one more that has nothing to do."""
    ended = world.build()
    world.server.settle()
    expected = world.undisturbed().outcome
    point.count(builds=1)
    if not point.expect(ended.code == 0, f"the next build ended with {ended.code}: {ended.words[-600:]}"):
        return
    point.faults += differences(expected, world.outcome())
    for count, answered in finished:
        again = answered & set(world.server.asked[count:])
        point.expect(not again, f"{len(again)} finished calls were made again")
    asked = Counter(world.server.asked[asked_before:])
    repeated = asked.total() - len(asked)
    point.count(repeated=repeated, calls=asked.total())
    most = CONCURRENCY * len(finished)
    point.expect(repeated <= most, f"{repeated} calls were repeated, {most} could be in flight")
    rest = [
        path.name for path in world.build_folder.parent.iterdir() if path.name not in (NAME, f".{NAME}.lock")
    ]
    rest += [str(path.name) for path in (world.project / "data_cards").rglob("*") if ".part" in path.name]
    point.expect(not rest, f"left over: {rest}")
    count = len(world.server.asked)
    again_ended = world.build()
    point.expect(again_ended.code == 0, f"a build with nothing to do ended with {again_ended.code}")
    point.expect(len(world.server.asked) == count, "a build with nothing to do made calls")
    point.faults += differences(expected, world.outcome())


def _said(world: World) -> str:
    return (world.folder / "said").read_text("utf-8", errors="replace")[-400:]
