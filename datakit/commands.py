"""What the commands tell, as values: from the same code, and shown as the command prints it.

import datakit as dk
dk.plan("recipes/ecom_v3.yaml").cost_usd        # as `datakit plan`
dk.why("build/ecom_v3", "screen-0001").steps    # as `datakit why`
"""

from __future__ import annotations

import html
import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.tasks import of_task
from datakit.cards.diff import Diff
from datakit.checking.check import Report
from datakit.cli.build_path import BuildPath
from datakit.core.counted import counted
from datakit.evaluation.evaluation import Evaluated
from datakit.opened_build import DataCard, OpenedBuild
from datakit.recipe.recipe import Recipe
from datakit.run.plan import Plan
from datakit.run.progress import Progress
from datakit.run.why import Story

T = TypeVar("T", bound=str | Path)


class Shown:
    """Shown as its command prints it."""

    def _tell(self) -> None:
        """Prints it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        with redirect_stdout(io.StringIO()) as out:
            self._tell()
        return out.getvalue().rstrip("\n")

    def _repr_html_(self) -> str:
        return f"<pre style='overflow-x:auto'>{html.escape(repr(self))}</pre>"


class _ShownModel(Shown, BaseModel):
    @classmethod
    def of(cls, value: BaseModel) -> Self:
        """The same values."""
        return cls.model_construct(value.model_fields_set, **dict(value))


class ShownPlan(_ShownModel, Plan):
    """A plan, shown as `datakit plan` prints it."""

    def _tell(self) -> None:
        from datakit.cli.plan import show

        show(self)


class ShownStory(_ShownModel, Story):
    """A record's life, shown as `datakit why` prints it."""

    def _tell(self) -> None:
        from datakit.cli.why import SHORT, show

        show(self, SHORT)


class ShownDiff(_ShownModel, Diff):
    """Differences, shown as `datakit diff` prints them."""

    def _tell(self) -> None:
        from datakit.cli.diff import show

        show(self)


class ShownReport(Shown, Report):
    """Findings of a check, shown as `datakit check` prints them."""

    def _tell(self) -> None:
        from datakit.cli.check import show

        show(self)


@dataclass(frozen=True, repr=False)
class Evaluations(Shown):
    """Scores of one file of answers or several, shown as `datakit evaluate` prints them."""

    results: list[Evaluated]
    """One a file; the later ones are compared with the first."""
    written: list[list[Path]]
    """The files of each: document, outcomes and page."""
    ledger: Path | None
    """The ledger that the scores stand in; None where they were kept out of it."""
    build: BuildFolder
    kept: dict[Path, Path] = field(default_factory=dict)
    """Pages and cards that somebody had edited -> where they lie now."""

    @property
    def metrics(self) -> Mapping[str, float]:
        """Score -> value of the first file, such as `accuracy` and `macro_f1`, from 0 to 1."""
        return {name: figure.value for name, figure in self.results[0].evaluation.metrics.items()}

    def _tell(self) -> None:
        from datakit.cli.evaluate import show
        from datakit.cli.tables import print_kept

        for result, files in zip(self.results, self.written, strict=True):
            show(result, files, self.build)
        for path, now in self.kept.items():
            print_kept(path, now)


@dataclass(frozen=True, repr=False)
class ReviewPage(Shown):
    """A page on which people accept, relabel and drop records."""

    page: Path | None
    """None where no record is to be reviewed."""
    records: int
    notes: list[str]

    def _tell(self) -> None:
        for note in self.notes:
            print(f"Note: {note}")
        if self.page is None:
            print("No record is to be reviewed.")
        else:
            print(f"{counted(self.records, 'record')} to review: {self.page}")

    def _repr_html_(self) -> str:
        link = "" if self.page is None else f"<a href='{html.escape(self.page.as_uri())}'>open the page</a>"
        return f"{super()._repr_html_()}{link}"


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
    from datakit.notebook import outside_loop
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

    return ShownStory.of(story_of(Path(recipe_or_build), id_, tuple(_each(overrides)), replay=replay))


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
