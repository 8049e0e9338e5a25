"""A disk that fills up under build, store, cards or temporary files: it is told, and nothing is lost.

The folder is a small tmpfs (mounting needs root), between nothing and all of what an undisturbed build writes
there. Then the same disk gets room, and the next build goes on.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from disasters.outcome import Outcome, differences
from disasters.point import Point, dice
from disasters.world import CONCURRENCY, World

SCENARIO = "disk_full"
PLACES = ("build", ".datakit", "data_cards", "temp")
_ROOM = 256 << 20
_WORDS = ("no space is left", "No space left", "disk is full", "no space for the build")


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """The four places in turn."""
    if why := _no_mount(world.folder):
        yield Point(SCENARIO, 0, "", skipped=why)
        return
    world.undisturbed()
    world.fresh()
    world.build()
    sizes = {place: _bytes(world.project / place) for place in PLACES}
    elsewhere = _with_room(world)
    for number in range(wanted) if only is None else [only]:
        place = PLACES[number % len(PLACES)]
        share = dice(seed, SCENARIO, number).choice((0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97))
        size = max(int(sizes[place] * share) // 4096, 1) * 4096
        point = Point(SCENARIO, number, f"{size:,} bytes for {place}, which needs {sizes[place]:,}")
        world.fresh()
        with _mounted(world.project / place, size):
            _fill(world, point, place, elsewhere if place == "build" else world.undisturbed().outcome)
        yield point


def _with_room(world: World) -> Outcome:
    """The outcome where the build lies on a disk of its own: pictures are linked softly, and it says so."""
    world.fresh()
    with _mounted(world.project / "build", _ROOM):
        world.build()
        return world.outcome()


def _fill(world: World, point: Point, place: str, expected: Outcome) -> None:
    before = len(world.server.asked)
    ended = world.build()
    world.server.settle()
    answered, asked = world.stored(), len(world.server.asked)
    if ended.code != 0:
        point.count(full=1)
        point.expect(ended.code == 2, f"{place} full: exit code {ended.code}")
        point.expect("Traceback" not in ended.words, f"{place} full: a traceback\n{ended.words[-1500:]}")
        point.expect(
            any(word in ended.words for word in _WORDS), f"{place} full: no word of it\n{ended.words[-500:]}"
        )
    remount = ["mount", "-o", f"remount,size={_ROOM}", str(world.project / place)]
    subprocess.run(remount, check=True)
    ended = world.build()
    if not point.expect(
        ended.code == 0, f"with room the build ended with {ended.code}: {ended.words[-600:]}"
    ):
        return
    point.faults += differences(expected, world.outcome())
    again = answered & set(world.server.asked[asked:])
    point.expect(not again, f"{len(again)} finished calls were made again")
    counts = Counter(world.server.asked[before:])
    point.count(calls=counts.total(), repeated=counts.total() - len(counts))
    lost = counts.total() - len(counts)
    point.expect(lost <= 2 * CONCURRENCY, f"{lost} calls were repeated, {CONCURRENCY} were in flight")


def _no_mount(folder: Path) -> str:
    """Why no disk can be mounted here; "" when one can."""
    trial = folder / "trial"
    trial.mkdir(exist_ok=True)
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", trial], capture_output=True, text=True
    )
    if result.returncode:
        return f"no small disk can be mounted here ({result.stderr.strip()}); run it as root"
    subprocess.run(["umount", trial], check=True)
    return ""


@contextmanager
def _mounted(folder: Path, size: int) -> Iterator[None]:
    """A disk of that many bytes at a folder; its files are copied out before it goes."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield
    finally:
        copy = folder.with_name(f"{folder.name}.copy")
        shutil.copytree(folder, copy, symlinks=True)
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        copy.rename(folder)


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size + 4096 for path in folder.rglob("*"))
