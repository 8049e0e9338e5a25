"""A store with flipped bytes, cut off, or without its log: it is told; only what is lost is paid again."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from disasters.outcome import differences
from disasters.point import Point, dice
from disasters.world import World

SCENARIO = "damaged_store"
KINDS = ("value", "bytes", "page", "truncated", "header", "lost log", "empty")
_VALUES = 5


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """The kinds of damage in turn, each before a build over the build that is there."""
    world.undisturbed()
    for number in range(wanted) if only is None else [only]:
        kind = KINDS[number % len(KINDS)]
        point = Point(SCENARIO, number, kind)
        world.fresh()
        if kind == "lost log":
            _lose_log(world, point, dice(seed, SCENARIO, number))
        else:
            world.build()
            _damage(world.project / ".datakit/results.sqlite", kind, dice(seed, SCENARIO, number))
        _go_on(world, point)
        yield point


def _damage(path: Path, kind: str, draw: random.Random) -> None:
    if kind == "value":
        with sqlite3.connect(path) as db:
            keys = [key for (key,) in db.execute("SELECT key FROM results")]
            for key in draw.sample(keys, _VALUES):
                (value,) = db.execute("SELECT value FROM results WHERE key=?", (key,)).fetchone()
                at = draw.randrange(len(value))
                value = value[:at] + bytes([value[at] ^ 1 << draw.randrange(8)]) + value[at + 1 :]
                db.execute("UPDATE results SET value=? WHERE key=?", (value, key))
        return
    data = bytearray(path.read_bytes())
    match kind:
        case "bytes":
            for _ in range(8):
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case "page":
            at = draw.randrange(len(data) // 4096) * 4096
            data[at : at + 4096] = draw.randbytes(4096)
        case "truncated":
            del data[draw.randrange(len(data)) :]
        case "header":
            data[:100] = draw.randbytes(100)
        case _:
            data.clear()
    path.write_bytes(data)


def _lose_log(world: World, point: Point, draw: random.Random) -> None:
    """A build is killed while it is asking, and the store's log goes."""
    process = world.start()
    world.server.alarm = (len(world.server.asked) + draw.randrange(4, 20), process.kill)
    process.wait()
    world.server.settle()
    for path in (world.project / ".datakit").glob("results.sqlite-*"):
        path.unlink()


def _go_on(world: World, point: Point) -> None:
    """The build that finds the damage, which its card tells, and another that finds none."""
    before = len(world.server.asked)
    ended = world.build("--force")
    if not point.expect(ended.code == 0, f"the next build ended with {ended.code}: {ended.words[-800:]}"):
        return
    point.expect("Traceback" not in ended.words, "a traceback")
    asked = Counter(world.server.asked[before:])
    point.count(made_again=len(asked))
    point.expect(asked.total() == len(asked), "a call was made twice")
    if point.what == "value":
        point.expect(len(asked) <= _VALUES, f"{_VALUES} results were damaged, {len(asked)} calls made again")
    if point.what != "lost log":
        told = "damaged" in ended.words or "has no bytes" in ended.words
        point.expect(told or not asked, f"{len(asked)} calls were made again without a word")
    count = len(world.server.asked)
    ended = world.build("--force")
    point.expect(ended.code == 0, f"the build after ended with {ended.code}: {ended.words[-800:]}")
    point.expect(len(world.server.asked) == count, "what was made again was not stored")
    point.faults += differences(world.undisturbed().outcome, world.outcome())
