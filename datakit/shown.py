"""What commands tell, as values that are shown as the command prints them."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from datakit.artifacts.build_folder import BuildFolder
from datakit.cards.diff import Diff
from datakit.checking.check import Report
from datakit.core.counted import counted
from datakit.evaluation.evaluation import Evaluated
from datakit.run.build import BuildResult
from datakit.run.plan import Plan
from datakit.run.why import Story


class Shown:
    """Shown as its command prints it."""

    def _tell(self) -> None:
        """Prints it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        with redirect_stdout(io.StringIO()) as out:
            self._tell()
        return out.getvalue().rstrip("\n")

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return f"<pre style='overflow-x:auto'>{html.escape(repr(self))}</pre>"


class _ShownModel(Shown, BaseModel):
    @classmethod
    def of(cls, value: BaseModel) -> Self:
        """The same values."""
        return cls.model_construct(value.model_fields_set, **dict(value))


@dataclass(frozen=True, repr=False)
class ShownBuild(Shown, BuildResult):
    """A finished build, shown as `datakit build` prints it: the account, the verdict, the places.

    >>> import datakit as dk
    >>> print(str(dk.build("recipes/ecom_v1.yaml")).splitlines()[0])
    step  in  added  out  rejected  retry  cached  new  seconds
    """

    def _tell(self) -> None:
        from datakit.cli.tables import print_build

        print_build(self, as_json=False, quiet=False)


class ShownPlan(_ShownModel, Plan):
    """A plan, shown as `datakit plan` prints it.

    >>> import datakit as dk
    >>> planned = dk.plan("recipes/ecom_v1.yaml")
    >>> planned.cost_usd, [step.name for step in planned.steps][:2]
    (0, ['read.jsonl', 'guard.image'])
    >>> print(str(planned).splitlines()[-1])
    Nothing has changed: a build would keep build/ecom_v1 as it is.
    """

    def _tell(self) -> None:
        from datakit.cli.plan import show

        show(self)


class ShownStory(_ShownModel, Story):
    """A record's life, shown as `datakit why` prints it.

    >>> import datakit as dk
    >>> story = dk.why("build/ecom_v1", "screen-0001")
    >>> print(str(story).splitlines()[0])
    screen-0001  from ...train.jsonl:1
    """

    def _tell(self) -> None:
        from datakit.cli.why import SHORT, show

        show(self, SHORT)


class ShownDiff(_ShownModel, Diff):
    """Differences, shown as `datakit diff` prints them.

    >>> import datakit as dk
    >>> dk.diff("build/ecom_v1", "build/ecom_v1")
    Records: 140 → 140 (0 added, 0 removed, 0 changed, 140 the same)
    Both hold the same records and chats.
    """

    def _tell(self) -> None:
        from datakit.cli.diff import show

        show(self)


class ShownReport(Shown, Report):
    """Findings of a check, shown as `datakit check` prints them.

    >>> import datakit as dk
    >>> found = dk.check("build/ecom_v1")
    >>> found.errors
    0
    """

    def _tell(self) -> None:
        from datakit.cli.check import show

        show(self)


@dataclass(frozen=True, repr=False)
class Evaluations(Shown):
    """Scores of one file of answers or several, shown as `datakit evaluate` prints them.

    >>> import datakit as dk
    >>> scores = dk.evaluate("build/ecom_v1", "answers.jsonl", ledger=False)
    >>> len(scores.results), scores.ledger
    (1, None)
    """

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
        """Score -> value of the first file, such as `accuracy` and `macro_f1`, from 0 to 1.

        >>> scores.metrics["macro_f1"]
        1.0
        """
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
    """A page on which people accept, relabel and drop records.

    >>> import datakit as dk
    >>> dk.review("build/ecom_v1")
    140 records to review: ...ecom_v1-review.html
    """

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
