"""What the commands tell, as values: from the same code, and shown as the command prints it.

import datakit as dk
dk.plan("recipes/ecom_v3.yaml").cost_usd        # as `datakit plan`
dk.why("build/ecom_v3", "screen-0001").steps    # as `datakit why`
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.tasks import of_task
from datakit.cli.build_path import BuildPath
from datakit.opened_build import DataCard, OpenedBuild
from datakit.recipe.recipe import Recipe
from datakit.run.build import FULL, Options
from datakit.run.plan import Plan
from datakit.run.progress import Progress
from datakit.shown import Evaluations, ReviewPage, ShownBuild, ShownDiff, ShownPlan, ShownReport, ShownStory

T = TypeVar("T", bound=str | Path)


def build(
    recipe: str | Path | Recipe,
    *,
    overrides: str | Iterable[str] = (),
    options: Options = FULL,
    progress: Progress | None = None,
    card: bool = True,
    check: bool = True,
) -> ShownBuild:
    """The build of a recipe with its training configuration and, unless `card` is False, its data card.

    A card of an earlier build that is left says so, and `outdated` of the result names it.

    >>> import datakit as dk
    >>> result = dk.build("recipes/ecom_v1.yaml")
    >>> [card.name for card in result.cards]
    ['ecom_v1.md', 'ecom_v1.html']

    In a notebook a bar shows the progress; elsewhere nothing does, unless `progress` is given. An interrupt
    stops the work, and the same call goes on from there.

    Unless `check` is False, a build at which the trainer would stop or drop records raises BuildFailed.
    """
    from datakit import library

    named = _each(overrides) if isinstance(overrides, str) else tuple(overrides)
    made = library.build(recipe, overrides=named, options=options, progress=progress, card=card, check=check)
    return ShownBuild(**vars(made))


def plan(
    recipe: str | Path | Recipe,
    *,
    overrides: str | Sequence[str] = (),
    out: str | Path | None = None,
    limit: int | None = None,
    pilot: int = 0,
    quiet: bool = True,
) -> ShownPlan:
    """What a build of a recipe would do: what is cached and to do, calls, tokens, cost. Nothing is paid,
    unless with `pilot`: the paid steps of so many records are then done first, and reckoned from.

    >>> import datakit as dk
    >>> planned = dk.plan("recipes/ecom_v1.yaml")
    >>> planned.unchanged, planned.calls
    (True, 0)

    Raises RecipeErrors, UserError or NothingLeft as the build would.
    """
    from datakit.estimate import estimate_calls
    from datakit.library import load
    from datakit.outside_loop import outside_loop
    from datakit.run.plan import plan as planned

    checked = recipe if isinstance(recipe, Recipe) else load(recipe, _each(overrides))
    progress, place = Progress(quiet), None if out is None else Path(out)

    def work() -> Plan:
        return planned(
            checked, out=place, limit=limit, estimate=estimate_calls, progress=progress, pilot=pilot
        )

    return ShownPlan.of(outside_loop(work, progress.cancel))


def check(
    build: str | Path | None = None,
    *,
    dataset_dir: str | Path | None = None,
    dataset: str | Sequence[str] = (),
    train_yaml: str | Path | None = None,
    changes: str | Sequence[str] = (),
    gpus: int | None = None,
    text_only: bool = False,
    decode: bool = False,
) -> ShownReport:
    """What LLaMA-Factory would do with each row of a build, or of any data set of its format: rows dropped,
    cut or stopped at, pictures that fail, tokens. `changes` are settings such as `cutoff_len=2048`.

    >>> import datakit as dk
    >>> dk.check("build/ecom_v1").errors
    0

    Findings are no exceptions: see `errors` and `findings`. Raises UserError where there is nothing to check.
    """
    from datakit.cli.check import checked

    found = checked(
        None if build is None else BuildPath().convert(build, None, None),
        None if dataset_dir is None else Path(dataset_dir),
        _each(dataset),
        None if train_yaml is None else Path(train_yaml),
        tuple(_each(changes)),
        gpus=gpus,
        text_only=text_only,
        decode=decode,
    )
    return ShownReport(**vars(found.run()))


def why(
    recipe_or_build: str | Path, id_: str, *, overrides: str | Sequence[str] = (), replay: bool = True
) -> ShownStory:
    """The life of one record: what each step changed, which stored answer it used, where it went.

    >>> import datakit as dk
    >>> story = dk.why("build/ecom_v1", "screen-0001")
    >>> story.steps[0].name
    'read.jsonl'

    Nothing is paid. Raises UserError with a did-you-mean for an id that there is not.
    """
    from datakit.cli.why import story_of

    return ShownStory.of(story_of(Path(recipe_or_build), str(id_), tuple(_each(overrides)), replay=replay))


def diff(before: str | Path, after: str | Path) -> ShownDiff:
    """What differs between two builds: settings, records, labels, splits, classes, joined by id.

    >>> import datakit as dk
    >>> dk.diff("build/ecom_v1", "build/ecom_v1").same
    True

    Raises UserError for a folder that is no finished build.
    """
    return OpenedBuild(_folder(before)).diff(OpenedBuild(_folder(after)))


def card(build: str | Path, *, task: str | None = None) -> DataCard:
    """The data card of a build, a page in a notebook; `write` puts its files into a folder.

    >>> import datakit as dk
    >>> dk.card("build/ecom_v1").markdown.startswith("---")
    True

    Raises UserError for a folder that is no finished build.
    """
    return OpenedBuild(_folder(build) if task is None else of_task(_folder(build), task)).card()


def review(
    build: str | Path,
    *,
    suspects: bool = False,
    conflicts: bool = False,
    low_ocr: bool = False,
    poor_pictures: bool = False,
    mistakes: bool = False,
    findings: str | Sequence[str] = (),
    ids: str | Path | None = None,
    predictions: str | Path | Sequence[str | Path] = (),
    task: str | None = None,
    out: str | Path | None = None,
) -> ReviewPage:
    """A page on which people accept, relabel and drop records: those that one of the choices names, or all.

    >>> import datakit as dk
    >>> made = dk.review("build/ecom_v1")
    >>> made.page.name, made.records == dk.open_build("build/ecom_v1").records.collect().height
    ('ecom_v1-review.html', True)

    It is written beside the build, or to `out`. `findings` are kinds of the verdict, `ids` is a file of ids.
    Raises UserError for what the build has nothing of to choose by.
    """
    from datakit.cli.review import looked_for, write
    from datakit.reviewing.chosen import Choice

    folder = of_task(_folder(build), task)
    file = None if ids is None else Path(ids)
    kinds = tuple(_each(findings))
    choice = Choice(suspects, conflicts, low_ocr, mistakes, kinds, file, poor_pictures)
    records, notes = looked_for(folder, choice, [Path(path) for path in _each(predictions)])
    place = None if out is None else Path(out)
    page = write(records, _path(build), place) if records.count else None
    return ReviewPage(page, records.count, notes)


def evaluate(
    build: str | Path,
    predictions: str | Path | Sequence[str | Path] = (),
    *,
    split: str = "val",
    task: str | None = None,
    answered_only: bool = False,
    model: str = "",
    tolerance: float = 0.0,
    out: str | Path | None = None,
    ledger: bool = True,
) -> Evaluations:
    """The scores of answers to a build's records, with 95% intervals; several files are compared.

    >>> import datakit as dk
    >>> scores = dk.evaluate("build/ecom_v1", "answers.jsonl", ledger=False)
    >>> scores.metrics["accuracy"]
    1.0

    Without `predictions` the one file of answers beside the build is read. Writes document, outcomes and page
    beside the answers, or into `out`, and enters the scores into the project's ledger unless `ledger` is
    False. Raises UserError for files that cannot be read or joined.
    """
    from datakit.evaluation import from_build, page
    from datakit.evaluation.entering import enter_scores
    from datakit.evaluation.evaluation import Options
    from datakit.evaluation.runs import find_predictions, page_names

    folder = of_task(_folder(build), task)
    paths = [Path(path) for path in _each(predictions)] or [find_predictions(folder, split)]
    options = Options(split=split, answered_only=answered_only, model=model, tolerance=tolerance)
    results = from_build.evaluate(folder, paths, options)
    names = page_names(paths, None if out is None else Path(out))
    kept: dict[Path, Path] = {}
    written = [
        page.write_evaluation(result, folder, place, name, kept.__setitem__)
        for result, (place, name) in zip(results, names, strict=True)
    ]
    entered = enter_scores(results, written, folder, kept.__setitem__)[0] if ledger else None
    return Evaluations(results, written, entered, folder, kept)


def _each(values: T | Sequence[T]) -> Sequence[T]:
    """One value, or several, as several."""
    return [values] if isinstance(values, str | Path) else values


def _path(build: str | Path) -> Path:
    return BuildPath().convert(build, None, None)


def _folder(build: str | Path) -> BuildFolder:
    """The finished build of a folder, or of the recipe that made it."""
    return BuildFolder.open(_path(build))
