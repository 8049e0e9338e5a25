"""Plots of records for a notebook, drawn as those of a data card are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.core.errors import UserError
from datakit.core.record import TRAIN, VAL
from datakit.pages import charts
from datakit.pages.figures import histogram, spread
from datakit.shown_records import check_column

_LENGTHS = ("prompt_chars", "ocr_text", "text")
_NONE = "no label"


@dataclass(frozen=True)
class Plot:
    """A plot as SVG, shown in a notebook.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> data = dk.apply([], source, take=3, quiet=True)
    >>> plot = data.plot.balance()
    >>> plot.title, "</svg>" in plot.svg
    ('Records by label', True)
    """

    svg: str
    title: str

    def save(self, path: str | Path) -> Path:
        """The file, SVG.

        >>> plot.save("balance.svg").name
        'balance.svg'
        """
        Path(path).write_text(self.svg, "utf-8")
        return Path(path)

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"plot: {self.title}"


@dataclass(frozen=True)
class Plots:
    """What can be drawn of records. Raises UserError for a column that there is not, or that is empty.

    >>> import datakit as dk
    >>> source = dk.read.Jsonl(path="examples/ecom/train.jsonl", image="image", label="label")
    >>> data = dk.apply([], source, take=3, quiet=True)
    >>> data.plot
    plots: balance(), lengths(), confusion()
    """

    frame: pl.DataFrame

    def __repr__(self) -> str:
        return "plots: balance(), lengths(), confusion()"

    def balance(self, by: str = "label") -> Plot:
        """Records of each class, the largest first; train beside val where there are splits.

        >>> data.plot.balance()
        plot: Records by label
        """
        self._check(by)
        shown = self.frame.with_columns(pl.col(by).cast(pl.String).fill_null(_NONE))
        names = shown[by].value_counts(sort=True)[by].to_list()
        series = [("records", self._counts(shown, by, names))]
        if "split" in shown.columns and shown["split"].is_in([TRAIN, VAL]).any():
            parts = ((split, shown.filter(pl.col("split") == split)) for split in (TRAIN, VAL))
            series = [(split, self._counts(own, by, names)) for split, own in parts]
        title = f"Records by {by}"
        return Plot(charts.bars(title, names, series, "records"), title)

    def lengths(self, column: str | None = None) -> Plot:
        """How long texts are, in characters; of a column of numbers, its values. Without a name that of
        `prompt_chars`, `ocr_text` and `text` which there is.

        >>> data.plot.lengths("label")
        plot: Records by characters of label
        """
        name = column or next((one for one in _LENGTHS if one in self.frame.columns), "text")
        self._check(name)
        kind = self.frame.schema[name]
        if kind != pl.String and not kind.is_numeric():
            raise UserError(
                f"`{name}` holds {kind}, neither texts nor numbers", remedy="Name another column."
            )
        value = pl.col(name).str.len_chars() if kind == pl.String else pl.col(name)
        unit = f"characters of {name}" if kind == pl.String else name
        lazy = self.frame.lazy()
        facts = spread(lazy, value)
        if facts is None:
            raise UserError(f"`{name}` has no value", remedy="Name another column.")
        shape = histogram(lazy, value, facts, whole=not kind.is_float())
        return Plot(charts.columns(f"Records by {unit}", shape, unit, "records"), f"Records by {unit}")

    def confusion(self, predicted: str | pl.DataFrame = "predicted", label: str = "label") -> Plot:
        """Labels down, predictions across: of a column, or of a frame with `id` and `predicted`.

        Such a frame is `dk.open_build(...).predictions()`. Records without a label are left out; an answer
        that is none of the labels, or none at all, counts as other.

        >>> said = data.frame.select("id", predicted="label")
        >>> data.plot.confusion(said)
        plot: label and predicted
        """
        frame, column = self.frame, predicted
        if isinstance(predicted, pl.DataFrame):
            column = "predicted"
            for name in ("id", column):
                if name not in predicted.columns:
                    raise UserError(
                        f"the predictions have no column `{name}`",
                        remedy="Give those of `dk.open_build(…).predictions()`.",
                    )
            rest = frame.drop(column, strict=False)
            frame = rest.join(predicted.select("id", column), on="id", how="inner", maintain_order="left")
        assert isinstance(column, str)
        for name in (label, column):
            Plots(frame)._check(name)
        pairs = frame.select(pl.col(label).cast(pl.String), pl.col(column).cast(pl.String).alias("@said"))
        pairs = pairs.drop_nulls(label)
        if not pairs.height:
            raise UserError(
                f"no record has both `{label}` and `{column}`",
                remedy="Give the predictions of these records: they are joined by `id`.",
            )
        names = pairs[label].value_counts(sort=True)[label].to_list()
        counted = {(row[0], row[1]): row[2] for row in pairs.group_by(label, "@said").len().iter_rows()}
        rows = [[counted.get((name, said), 0) for said in names] for name in names]
        totals = dict(pairs[label].value_counts().iter_rows())
        rows = [[*row, totals[name] - sum(row)] for name, row in zip(names, rows, strict=True)]
        title = f"{label} and {column}"
        return Plot(charts.matrix(title, names, rows, (label, column), "other"), title)

    def _counts(self, frame: pl.DataFrame, by: str, names: Sequence[str]) -> list[int]:
        counts = dict(frame[by].value_counts().iter_rows())
        return [counts.get(name, 0) for name in names]

    def _check(self, name: str) -> None:
        check_column(self.frame, name)
        if not self.frame.height:
            raise UserError("there is no record to draw", remedy="Choose some, such as `data[:9].plot`.")
