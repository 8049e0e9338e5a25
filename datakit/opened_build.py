"""A finished build in Python: its records, rejects, account, check, answers and card, without a command."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.predictions import Prediction
from datakit.artifacts.report import BuildReport
from datakit.core.errors import DatakitError
from datakit.pages.blocks import Card
from datakit.pages.layout import render_html, render_markdown

if TYPE_CHECKING:
    from datakit.notebook import Records
    from datakit.recipe.recipe import Recipe
    from datakit.shown import ShownDiff, ShownStory

PREDICTIONS: dict[str, Any] = {
    "id": pl.String,
    "label": pl.String,
    "predicted": pl.String,
    "confidence": pl.Float64,
    "probabilities": pl.List(pl.Struct({"label": pl.String, "probability": pl.Float64})),
    "problem": pl.String,
    "detail": pl.String,
    "answer": pl.String,
    "reason": pl.String,
    "images": pl.List(pl.String),
    "model": pl.String,
    "tokens_in": pl.Int64,
    "tokens_out": pl.Int64,
    "seconds": pl.Float64,
}
"""Columns of a table of predictions, as in predictions.jsonl."""


def open_build(path: str | Path) -> OpenedBuild:
    """The finished build in a folder, such as `build/ecom_v3`. Nothing is read before it is asked for.

    >>> import datakit as dk
    >>> dk.open_build("build/ecom_v1").report.steps[-1].records_out
    140

    Raises UserError for a folder that is no finished build, and for files of a newer format.
    """
    return OpenedBuild(BuildFolder.open(path))


@dataclass(frozen=True)
class OpenedBuild:
    """A finished build. It reads what the folder holds and changes nothing in it.

    >>> import datakit as dk
    >>> built = dk.open_build("build/ecom_v1")
    >>> built.records.filter(split="val").collect().height, built.rejects.collect().height
    (24, 0)
    """

    folder: BuildFolder

    @property
    def path(self) -> Path:
        """The build's folder.

        >>> built.path.name
        'ecom_v1'
        """
        return self.folder.path

    @property
    def name(self) -> str:
        """The recipe's name.

        >>> built.name
        'ecom_v1'
        """
        return self.report.name

    @cached_property
    def records(self) -> pl.LazyFrame:
        """All records with what the steps found out, scanned lazily.

        `part` is train, val or general; `rows` says how often the record stands in the training file.

        >>> built.records.group_by("part").len().sort("len").collect().rows()
        [('val', 24), ('train', 116)]
        """
        names = self.folder.columns
        return self.folder.records.select(name for name in names if not name.startswith("@"))

    @cached_property
    def data(self) -> Records:
        """The records as `dk.apply` gives them: `data[0]`, `.filter`, `.sample`, `.plot`, `.to_datasets`.

        They hold what the steps gave, but no rendered chats and no general records, as read.build does.

        >>> [record["label"] for record in built.data.sample(2, label="退货页面")]
        ['退货页面', '退货页面']
        """
        from datakit.notebook import apply
        from datakit.read.build import Build

        return apply([], Build(path=str(self.path.absolute())), quiet=True)

    @property
    def rejects(self) -> pl.LazyFrame:
        """Dropped records: id, step, name, state, reason, detail, source_file, source_line.

        >>> built.rejects.select("id", "reason").collect().rows()
        []
        """
        return self.folder.rejects

    @property
    def report(self) -> BuildReport:
        """The account of every step.

        >>> [(step.name, step.records_out) for step in built.report.steps][:2]
        [('read.jsonl', 140), ('guard.image', 140)]
        >>> [finding.kind for finding in built.report.verdict if finding.state != "passed"]
        ['few_records', 'untested_class']
        """
        return self.folder.report

    @property
    def check(self) -> CheckReport | None:
        """What LLaMA-Factory would do with every row; None for a build that was not checked.

        >>> built.check.errors
        0
        """
        return self.folder.check

    def predictions(self, split: str = "val") -> pl.DataFrame:
        """What a model answered to the records of a split, one row each, to be joined with `records` by id.

        The one file of answers in the build's runs is read, LLaMA-Factory's own form included. Raises
        UserError when there is none, or more than one.

        >>> from datakit.core.errors import UserError
        >>> try:
        ...     built.predictions()
        ... except UserError as error:
        ...     print(error.remedy)
        Make them with `datakit predict`, or name a file with --predictions.
        """
        from datakit.evaluation.from_build import read_answers
        from datakit.evaluation.runs import find_predictions

        answers = read_answers(find_predictions(self.folder, split), self.folder, split)
        return pl.DataFrame([_row(answer) for answer in answers], schema=PREDICTIONS)

    def why(self, id_: str, *, replay: bool = True) -> ShownStory:
        """The life of one record: what each step changed, which stored answer it used, where it went.

        The recipe's steps are gone through again with the stored results, and nothing is paid; without
        `replay`, or where the recipe is gone, the build's own notes are told.

        >>> [step.name for step in built.why("screen-0001").steps][:2]
        ['read.jsonl', 'guard.image']
        """
        from datakit.core.settings import RunSettings
        from datakit.run.store_place import StorePlace
        from datakit.run.why import why
        from datakit.shown import ShownStory

        recipe = recipe_of(self.folder)
        project = recipe.project if recipe else self.path.parent.parent
        store = StorePlace.of(recipe.run if recipe else RunSettings(), project)
        return ShownStory.of(why(self.folder, str(id_), recipe=recipe, store=store, replay=replay))

    def card(self) -> DataCard:
        """The data card, shown as a page in a notebook. It is made anew; nothing is written.

        >>> "## 结论" in built.card().markdown
        True
        """
        from datakit.cards.write import make_card

        return DataCard(make_card(self.folder))

    def next_records(
        self, n: int = 50, *, predictions: Sequence[str | Path] = (), task: str | None = None
    ) -> pl.DataFrame:
        """The records without a label that are worth a person's time, as `datakit next` proposes them.

        A row each, the one most worth first: `id`, `judged` (of a decision about it, in overrides.jsonl),
        `why`, the two likeliest labels with their probability, `worth` (errors that its label speaks about),
        `alike` (records it stands for), `likeness` to the nearest labelled record and what each voice `said`.
        Nothing is written or paid. Raises UserError where the recipe is gone or no record lacks a label.

        >>> from datakit.core.errors import UserError
        >>> try:
        ...     built.next_records(5)
        ... except UserError as error:
        ...     print(error.message)
        every record of ...ecom_v1 has a label: there is none to propose
        """
        from datakit.next_records import next_records

        found = next_records(self.folder, n, predicted=[Path(file) for file in predictions], task=task)
        return found.table()

    def diff(self, other: OpenedBuild | str | Path) -> ShownDiff:
        """What differs from here to `other`, a build or its folder: labels, records, texts, scores.

        >>> built.diff("build/ecom_v1").same
        True
        """
        from datakit.compared_builds import compare
        from datakit.shown import ShownDiff

        after = other if isinstance(other, OpenedBuild) else open_build(other)
        return ShownDiff.of(compare(self.folder, after.folder))

    def __repr__(self) -> str:
        counts = self.folder.records.group_by("part").len().sort("len", descending=True).collect()
        counted = ", ".join(f"{count:,} {split}" for split, count in counts.iter_rows())
        return f"build {self.name} in {self.path}: {counted} records; {self.report.rejected:,} rejected"


@dataclass(frozen=True)
class DataCard:
    """A data card in Markdown and as one page of HTML.

    >>> import datakit as dk
    >>> card = dk.card("build/ecom_v1")
    >>> card.card.name
    'ecom_v1'
    """

    card: Card

    @cached_property
    def markdown(self) -> str:
        """The card as the hub shows it, without its pictures.

        >>> "## 结论" in card.markdown
        True
        """
        return render_markdown(self.card)

    @cached_property
    def html(self) -> str:
        """One page: nothing is loaded from elsewhere, and no script runs but its own.

        >>> card.html.startswith("<!doctype html>")
        True
        """
        return render_html(self.card)

    def write(self, folder: str | Path) -> list[Path]:
        """The files of the card, written into `folder` as `datakit build` writes them into data_cards/.

        >>> [path.name for path in card.write("cards")][:2]
        ['ecom_v1.md', 'ecom_v1.html']
        """
        from datakit.pages.writing import write_pages

        return write_pages(self.card, Path(folder))

    def __repr__(self) -> str:
        return self.markdown

    def _repr_html_(self) -> str:
        style = "width:100%;height:640px;border:1px solid #c9ced6"  # a frame keeps the page's styles inside
        # Without a base of its own, the page's `#gallery` would be that of the notebook's address.
        page = self.html.replace("<head>", '<head><base href="about:srcdoc">', 1)
        return f'<iframe srcdoc="{html.escape(page)}" style="{style}"></iframe>'


def recipe_of(build: BuildFolder, overrides: tuple[str, ...] = ()) -> Recipe | None:
    """The recipe that a build was made of, in its project; None where it is gone or no longer checks.

    Of a task of a build of several it is the whole recipe.
    """
    from datakit.library import load

    if not build.has_report:
        return None
    place = (build.whole or build).path.absolute().parent.parent / build.report.recipe
    try:
        return load(place, overrides)
    except (OSError, DatakitError):
        return None


def _row(answer: Prediction) -> dict[str, Any]:
    row = answer.model_dump(exclude={"version"})
    if answer.probabilities is not None:
        row["probabilities"] = [
            {"label": label, "probability": value} for label, value in answer.probabilities.items()
        ]
    return row
