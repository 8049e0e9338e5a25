"""Inputs edited during a build: it says so, or is wholly of the old or of the new ones."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from disasters.outcome import differences
from disasters.point import Point, dice
from disasters.world import NAME, World

SCENARIO = "edited_inputs"


def _labels(project: Path) -> None:
    _replace(project / "labels.yaml", "相机拍下的", "相机所拍的")


def _prompt(project: Path) -> None:
    _replace(project / "templates/classify.j2", "从下列类别", "请从以下类别")


def _question(project: Path) -> None:
    _replace(project / "templates/describe.j2", "请客观描述", "请如实描述")


def _recipe(project: Path) -> None:
    _replace(project / f"recipes/{NAME}.yaml", "max_repeat: 3", "max_repeat: 2")


def _source(project: Path) -> None:
    _replace(project / "data/rows.jsonl", '"id": "r1"', '"id": "r1x"')


def _general(project: Path) -> None:
    _replace(project / "data/general.json", "的", "之")


def _picture(project: Path) -> None:
    path = project / "data/3.jpg"
    with Image.open(path) as image:
        image.rotate(180).save(path.with_suffix(".part"), "JPEG")
    path.with_suffix(".part").replace(path)


def _picture_in_place(project: Path) -> None:
    with Image.open(project / "data/4.jpg") as image:
        image.load()
        image.rotate(180).save(project / "data/4.jpg", "JPEG")


EDITS: dict[str, Callable[[Path], None]] = {
    "labels": _labels,
    "the prompt's template": _prompt,
    "a question's template": _question,
    "the recipe": _recipe,
    "a source": _source,
    "general data": _general,
    "a picture, replaced": _picture,
    "a picture, written over": _picture_in_place,
}


def points(world: World, seed: int, wanted: int, only: int | None) -> Iterator[Point]:
    """The edits in turn, each at a random moment of a build over another."""
    seconds = world.undisturbed().seconds
    for number in range(wanted) if only is None else [only]:
        what, edit = list(EDITS.items())[number % len(EDITS)]
        point = Point(SCENARIO, number, "")
        world.undisturbed(edit)
        at = dice(seed, SCENARIO, number).uniform(0.05, 1)
        point.what = f"{what} edited at {at:.0%}"
        world.fresh()
        _edited(world, point, edit, at * seconds)
        yield point


def _edited(world: World, point: Point, edit: Callable[[Path], None], after_s: float) -> None:
    process = world.start()
    began = time.monotonic()
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        point.count(edited_meanwhile=1)
    edit(world.project)
    ended = world.end(process, began)
    if ended.code == 0:
        old = differences(world.undisturbed().outcome, world.outcome())
        new = differences(world.undisturbed(edit).outcome, world.outcome())
        point.count(old=not old, new=not new)
        point.expect(not old or not new, f"neither of the old inputs ({old[:2]}) nor of the new ({new[:2]})")
    else:
        told = "changed while" in ended.words or "edited" in ended.words or "left to retry" in ended.words
        point.count(told=told)
        known = ended.code in (1, 2, 3) and "Traceback" not in ended.words
        point.expect(known and told, f"ended with {ended.code}: {ended.words[-700:]}")
    ended = world.build()
    if point.expect(ended.code == 0, f"the build after it ended with {ended.code}: {ended.words[-700:]}"):
        point.faults += differences(world.undisturbed(edit).outcome, world.outcome())


def _replace(path: Path, old: str, new: str) -> None:
    """Edits a file as an editor does: the new text is written beside it and takes its name."""
    text = path.read_text("utf-8")
    assert old in text, f"{path} does not hold {old}"
    draft = path.with_suffix(".part")
    draft.write_text(text.replace(old, new), "utf-8")
    shutil.copymode(path, draft)
    draft.replace(path)
