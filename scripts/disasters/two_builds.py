"""Two builds at once on one folder or one store, one killed or not: both end well, each call is paid once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from disasters.outcome import differences, outcome
from disasters.point import Point, dice
from disasters.world import CONCURRENCY, NAME, PATIENCE_S, World

SCENARIO = "two_builds"
KINDS = ("one folder", "one store", "one folder, one killed", "one store, one killed")
_OTHER = "twin"


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """The kinds in turn, the second build begun at a random moment of the first."""
    seconds = world.undisturbed().seconds
    for number in range(wanted) if only is None else [only]:
        point = Point(SCENARIO, number, KINDS[number % len(KINDS)])
        world.fresh()
        world.write_recipe(_OTHER)
        draw = dice(seed, SCENARIO, number)
        names = [NAME, NAME if "folder" in point.what else _OTHER]
        later = draw.choice((0.0, 0.0, draw.uniform(0, 0.6)))
        kill_after = draw.uniform(0.2, 0.8) * seconds if "killed" in point.what else None
        _together(world, point, names, later * seconds, kill_after)
        yield point


def _together(
    world: World, point: Point, names: list[str], later_s: float, kill_after_s: float | None
) -> None:
    before = len(world.server.asked)
    logs = [world.folder / f"said-{number}" for number in range(2)]
    first = _start(world, names[0], logs[0])
    time.sleep(later_s)
    second = _start(world, names[1], logs[1])
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        first.kill()
    codes = [process.wait(PATIENCE_S) for process in (first, second)]
    words = [log.read_text("utf-8", errors="replace") for log in logs]
    for code, text in zip(codes, words, strict=True):
        point.expect("Traceback" not in text, f"a traceback: {text[-900:]}")
        waits = names[0] == names[1] and code != 0 and "another" in text
        point.expect(code in (0, -9) or waits, f"exit code {code}: {text[-500:]}")
    for name in dict.fromkeys(names):
        ended = _start(world, name, logs[0]).wait(PATIENCE_S)
        point.expect(
            ended == 0, f"the build of {name} after both ended with {ended}: {logs[0].read_text()[-500:]}"
        )
    world.server.settle()
    asked = Counter(world.server.asked[before:])
    twice = asked.total() - len(asked)
    point.count(calls=asked.total(), paid_twice=twice)
    most = 0 if kill_after_s is None else CONCURRENCY
    point.expect(twice <= most, f"{twice} of {len(asked)} calls were paid twice, {most} may be")
    if any("exit code" in fault for fault in point.faults):
        return
    both = outcome(world.project, NAME)
    mine = {name: value for name, value in both.items() if f"data_cards/{_OTHER}" not in name}
    point.faults += differences(world.undisturbed().outcome, mine)


def _start(world: World, name: str, log: Path) -> subprocess.Popen[bytes]:
    with open(log, "wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "datakit.cli", "build", f"recipes/{name}.yaml"],
            cwd=world.project,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=world.environment(),
        )
