"""The handoff of every fold, one after the other: check, train, export, predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.kfold import KfoldFolder, KfoldRecord, edit_of
from datakit.core.errors import Exit, UserError
from datakit.core.record import VAL
from datakit.handoff.from_build import HomeRoad, ServeChanges
from datakit.handoff.handoff import Account, Handoff
from datakit.handoff.run_road import Wishes
from datakit.handoff.stages import CHECK, EXPORT, PREDICT, TRAIN
from datakit.handoff.status import read_status, status_lines
from datakit.recipe.recipe import Recipe
from datakit.run.manifest import is_current
from datakit.training.launch import Place

STAGES = (CHECK, TRAIN, EXPORT, PREDICT)
"""Without evaluate: the scores of folds are no scores of the recipe, and must not stand in its ledger."""


@dataclass(frozen=True)
class Machine:
    """With what the folds are trained, served and asked."""

    place: Place = field(default_factory=Place)
    serve: ServeChanges = field(default_factory=ServeChanges)
    wishes: Wishes = field(default_factory=Wishes)


def run_folds(
    folder: KfoldFolder, k: int, machine: Machine, command: str, say: Callable[[str], None]
) -> list[Account]:
    """The accounts of the handoffs; the last one tells of a failure, and no fold after it was begun.

    Records without an answer (exit 3) end nothing: the next fold goes on.
    """
    accounts = []
    for number in range(1, k + 1):
        say(f"fold-{number} of {k}")
        account = run_build(folder.fold(number), machine, command, say)
        accounts.append(account)
        if account.exit not in (Exit.FINE, Exit.PARTIAL):
            break
    return accounts


def run_build(build: Path, machine: Machine, command: str, say: Callable[[str], None]) -> Account:
    """The account of the handoff of one build to its answers.

    Stages whose inputs and outcome are unchanged are passed over, so the same call goes on after any
    interruption.
    """
    road = HomeRoad(
        build,
        command=command,
        place=machine.place,
        serve=machine.serve,
        wishes=_closed(machine.wishes, BuildFolder(build)),
    )
    return Handoff(road, say).go(only=STAGES)


def _closed(wishes: Wishes, build: BuildFolder) -> Wishes:
    """Asked for the probability of each label where answers are one of a set."""
    is_closed = build.labels is not None and build.answer_target.get("kind", "label") == "label"
    return replace(wishes, split=VAL, closed=wishes.closed or is_closed)


def check_trains(build: BuildFolder) -> None:
    """Raises UserError for a build that no handoff can take up."""
    if build.training_file is None:
        raise UserError(
            "the recipe has no `train:` section, so no fold can be trained",
            remedy="Add one, such as `train: {model: Qwen/Qwen2.5-VL-7B-Instruct, method: lora}`.",
        )


def status_of(
    folder: KfoldFolder, record: KfoldRecord, load: Callable[[int], Recipe], begin: str
) -> Iterator[str]:
    """How each fold stands, and the file of predictions, in lines. `load` gives the recipe of a fold."""
    for number in range(1, record.k + 1):
        yield f"fold-{number}: {_state(folder, number, record, load)}"
        yield from (f"  {line}" for line in handoff_lines(folder.fold(number)))
    yield _state_of_join(folder, record)
    yield f"Next: {begin}"


def _state(folder: KfoldFolder, number: int, record: KfoldRecord, load: Callable[[int], Recipe]) -> str:
    build = BuildFolder(folder.fold(number))
    if not build.is_finished:
        return "not built"
    recipe = load(number)
    if is_current(build, recipe, recipe.context(), record.limit):
        return "built, current"
    return (
        "stale: recipe, templates, labels or data were edited since it was built; the next run builds it "
        "anew, and trains and asks anew where its rows differ"
    )


def handoff_lines(build: Path) -> Iterator[str]:
    """How the newest handoff of a build stands."""
    runs = [path.parent for path in BuildFolder(build).runs.glob("*/status.json")] if build.is_dir() else []
    newest = max(runs, key=lambda run: (run / "status.json").stat().st_mtime_ns, default=None)
    if newest is None or read_status(newest) is None:
        yield "no handoff has run yet"
    else:
        yield from status_lines(newest)


def _state_of_join(folder: KfoldFolder, record: KfoldRecord) -> str:
    joined, path = record.joined, folder.predictions_file
    if joined is None:
        return "Out-of-fold predictions: not joined yet"
    if not path.is_file():
        return f"Out-of-fold predictions: joined, and {path} is gone; --join writes it again"
    lines = f"Out-of-fold predictions: {joined.predicted:,} of {joined.records:,} records in {path}"
    if edit := edit_of(path):
        lines += f"; the file {edit}"
    others = [
        name
        for name, content in joined.contents.items()
        if (manifest := BuildFolder(folder.path / name).find_manifest()) is None
        or manifest.content != content
    ]
    if others:
        lines += (
            f"; they are of other builds than {', '.join(others)} has now"
            if len(others) == 1
            else (f"; they are of other builds than {', '.join(others)} have now")
        )
    return lines
