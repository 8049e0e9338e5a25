#!/usr/bin/env python
"""Puts builds through disasters and says which promise broke.

    python scripts/chaos.py                                # every scenario with 8 points, some minutes
    python scripts/chaos.py --only kills --points 200      # the long run
    python scripts/chaos.py --only kills --seed 7 --point 12   # one point again
    python scripts/chaos.py --only soak=3000               # records of the soak
    python scripts/chaos.py --only kills=5 --only disk_full=4 --json

Each build is the real command in a process of its own, over a project with pictures, OCR, model calls,
training and serving configuration and a card; the model is tests/support/loopback.py. A table ends the run.
Exit code 1 when a promise broke; then the project lies in --keep, and the command that repeats the point is
printed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

if TYPE_CHECKING:
    from disasters.point import Point
    from disasters.world import World

SCENARIOS = ("kills", "signals", "disk_full", "damaged_store", "two_builds", "edited_inputs", "soak")
RECORDS = 300
"""Of the soak, where no number is given."""


def main() -> int:
    """Runs the scenarios; 1 when a promise broke."""
    arguments = _arguments()
    from disasters.world import Server, World

    points: list[Point] = []
    server = Server()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, server:
        for point in _points(World(Path(folder), server), arguments):
            points.append(point)
            if not arguments.json:
                print(_line(point), flush=True)
    if arguments.json:
        print(json.dumps([point.as_json() for point in points], ensure_ascii=False, indent=2))
    else:
        print(_table(points))
    return int(any(point.faults for point in points))


def _arguments() -> argparse.Namespace:
    words, examples = (__doc__ or "").split("\n\n", 1)
    parser = argparse.ArgumentParser(
        description=words, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", type=_scenario, metavar="SCENARIO[=POINTS]", help="; ".join(SCENARIOS)
    )
    parser.add_argument("--points", type=int, default=8, help="disasters of a scenario (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of all chance (default: 0)")
    parser.add_argument("--point", type=int, help="this point of the scenario alone")
    parser.add_argument(
        "--keep", type=Path, default=Path("chaos-failed"), help="where failing projects are kept"
    )
    parser.add_argument("--json", action="store_true", help="print the points as JSON")
    return parser.parse_args()


def _scenario(text: str) -> tuple[str, int | None]:
    """Name and number of points of `kills=5`."""
    name, _, number = text.partition("=")
    if name not in SCENARIOS:
        raise argparse.ArgumentTypeError(f"there is no scenario {name}; there are {', '.join(SCENARIOS)}")
    return name, int(number) if number else None


def _points(world: World, arguments: argparse.Namespace) -> Iterator[Point]:
    """The points of the chosen scenarios; the project of one that failed is kept."""
    for scenario, number in arguments.only or [(name, None) for name in SCENARIOS]:
        module = importlib.import_module(f"disasters.{scenario}")
        wanted = number or (RECORDS if scenario == "soak" else arguments.points)
        for point in module.points(world, arguments.seed, wanted, arguments.point):
            size = f"={wanted}" if scenario == "soak" else f" --point {point.number}"
            point.repeat = f"python scripts/chaos.py --seed {arguments.seed} --only {scenario}{size}"
            if point.faults:
                target = arguments.keep.resolve() / f"{scenario}-{arguments.seed}-{point.number}"
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(world.folder, target, symlinks=True)
                point.folder = str(target)
            yield point


def _line(point: Point) -> str:
    if point.skipped:
        return f"{point.scenario} {point.number}  skipped: {point.skipped}"
    lines = [f"{point.scenario} {point.number}  {'BROKEN' if point.faults else 'held'}  {point.what}"]
    lines += [f"    {fault}" for fault in point.faults]
    if point.faults:
        lines += [f"    kept in {point.folder}", f"    again: {point.repeat}"]
    return "\n".join(lines)


def _table(points: list[Point]) -> str:
    """A row for each scenario: points, how many held, the sums of its figures."""
    lines = ["", f"{'scenario':<15}{'points':>7}{'held':>6}  figures"]
    for scenario in dict.fromkeys(point.scenario for point in points):
        tried = [point for point in points if point.scenario == scenario and not point.skipped]
        figures: dict[str, float] = {}
        for point in tried:
            for name, value in point.figures.items():
                before = figures.get(name, 0)
                figures[name] = max(before, value) if name.endswith("most") else before + value
        shown = ", ".join(f"{name.replace('_', ' ')} {value:,.6g}" for name, value in figures.items())
        held = sum(not point.faults for point in tried)
        lines.append(f"{scenario:<15}{len(tried):>7}{held:>6}  {shown or 'skipped'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
