"""Which labels look wrong, by a quick second opinion of text and picture that needs no GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from datakit.core.class_column import class_of
from datakit.core.counted import counted, counted_with
from datakit.core.errors import UserError
from datakit.core.groups import shared_values
from datakit.core.judged import canonical
from datakit.core.labels import says_nothing
from datakit.core.outcome import Table
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.core.suspect_columns import NOISE_COLUMNS, REVIEWED_BY, is_suspect
from datakit.core.transform import Columns, TableTransform
from datakit.proxy.clusters import Cluster, clusters
from datakit.proxy.data import ProxyData
from datakit.proxy.model import FittedProxy
from datakit.proxy.pictures import looked_at
from datakit.proxy.second_look import judged

OCR_TEXT = "ocr_text"
FEW = 3
"""Classes with fewer records are told: nobody but the record itself can speak for its label."""
_NAMED = 5


class LabelNoise(TableTransform):
    """Columns `noise_rank`, `noise_probability`, `noise_label` and its probability, and `noise_cluster`.

    A proxy of several quick models (least squares, logistic regression and naive Bayes on characters and
    lines of the text, least squares on what the pictures and their strips look like) says of each labelled
    record what the others make of it, twice: the second time without the records whose labels look worst,
    which would speak for each other; the mean counts. No label is changed and no record is dropped: look at
    the first few hundredths of the ranking, and at the clusters first.

    - `noise_rank`: 1 for the most suspect record; null for records without a label, and for those whose label
      a reviewer gave or accepted (curate.overrides), which speak for others and are asked about no more.
    - `noise_probability`: of the given label, by the other records (0 to 1).
    - `noise_label`, `noise_label_probability`: the class that the others find likeliest, and how likely.
    - `noise_cluster`: `退款页面→退货页面 1`: records of one class that resemble each other and, by all
      records outside the cluster, another class. Wrong labels of one template agree with each other, so each
      looks right for itself; judge a cluster as one. The words that tell the classes are heard too, a label
      file's (names, keywords, descriptions), else the names alone, as far as they tell the records at hand:
      where a whole template is labelled wrong, no record of its true class looks like it. The lower the
      number, the likelier all labels of the two classes are with the other label for the cluster. Null for
      records in none.

    The order is that of the label's own probability. Where the label file says `confusable_with` and the
    mistakes at hand are mostly between such classes, a mistake between these counts as likelier. Neither ids
    nor paths nor the order of the records enter: they may tell the label. Seeded by the recipe's seed.

    A class with fewer than three records is told in a warning, for its labels can hardly be judged. Texts
    may be missing (photographs have none, which is information), pictures that cannot be read are counted.
    """

    version: ClassVar[int] = 6
    of_one_task: ClassVar[bool] = True
    example: ClassVar[dict[str, Any] | None] = {"group": "duplicate_of"}

    label: str = "label"
    """Column of the label."""
    texts: str | list[str] = OCR_TEXT
    """Column or columns of texts, such as what OCR read; a record's texts are read as one. What a model wrote
    while it knew the label (reasons, descriptions) tells the label and must not be named."""
    images: bool = True
    """Whether the pictures are looked at too, all of a record's, one vote each. Takes about 10 ms each."""
    group: str | list[str] | None = None
    """Column or columns: records that share a value never judge each other, such as several screens of one
    order. Null belongs to no group. Without it, copies of a record speak for its label or against it."""
    max_clusters: int = Field(default=10, ge=0)
    """Clusters that are named at most, the clearest ones."""
    min_cluster: int = Field(default=3, ge=3)
    """Records that a cluster has at least."""

    def _texts(self) -> list[str]:
        return [self.texts] if isinstance(self.texts, str) else list(self.texts)

    def _groups(self) -> list[str]:
        if self.group is None:
            return []
        return [self.group] if isinstance(self.group, str) else list(self.group)

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        named = self._texts() if "texts" in self.model_fields_set else []
        return tuple(dict.fromkeys(("id", self.label, *named, *self._groups())))

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return ("set", REVIEWED_BY, *self._texts(), *(("images",) if self.images else ()))

    def outputs(self, context: StepContext) -> Columns:
        return NOISE_COLUMNS

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        there = frame.collect_schema()
        # Sorted by id, so that nothing below can depend on the order of the records.
        small = frame.select(name for name in self.reads(context) if name in there).sort("id").collect()
        labelled = self._labelled(small).with_columns(self._read(small))
        spelt = [canonical(label, context.labels) for label in labelled["@label"]]
        labelled = labelled.with_columns(pl.Series("@label", spelt, dtype=pl.String()))
        facts, notes = self._judged(labelled, context)
        if small.height > labelled.height:
            notes["without_label"] = small.height - labelled.height
        others = frame.drop(NOISE_COLUMNS, strict=False)
        return Table(others.join(facts.lazy(), on="id", how="left", maintain_order="left"), notes=notes)

    def _labelled(self, small: pl.DataFrame) -> pl.DataFrame:
        """The records that have a label, with it as text in `@label`; mixed-in general data is no class."""
        found = small.with_columns(class_of(small, self.label, "label").alias("@label"))
        if "set" in found.columns:
            found = found.filter(pl.col("set").fill_null("") != GENERAL)
        has = [label is not None and not says_nothing(label) for label in found["@label"].to_list()]
        return found.filter(pl.Series(has, dtype=pl.Boolean))

    def _read(self, small: pl.DataFrame) -> pl.Expr:
        """`@text`: a record's texts as one, "" for none. Raises UserError for a column that holds none."""
        texts = [_text(small, name) for name in dict.fromkeys(self._texts()) if name in small.columns]
        joined = pl.concat_str(texts, separator="\n", ignore_nulls=True) if texts else pl.lit("")
        return joined.fill_null("").alias("@text")

    def _judged(self, labelled: pl.DataFrame, context: StepContext) -> tuple[pl.DataFrame, dict[str, Any]]:
        """The columns by id, and facts for the report."""
        if labelled.is_empty():
            return pl.DataFrame(schema={"id": pl.String, **NOISE_COLUMNS}), {}
        labels = labelled["@label"].to_list()
        data, warnings = self._data(labelled, context)
        fitted = FittedProxy(data, labels, context.seed)
        said, order = judged(fitted, data, labels, _confusable(context), context.seed)
        open_rows = _not_reviewed(labelled)
        every = clusters(fitted, data, labels, self.min_cluster, _words(context))
        found = list(_still_open(every, open_rows, self.min_cluster))[: self.max_clusters]
        facts = pl.DataFrame(
            {
                "id": labelled["id"],
                "noise_rank": pl.Series(order).set(~open_rows, None).rank("ordinal").cast(pl.Int64),
                "noise_probability": said.of(labels),
                "noise_label": said.best(),
                "noise_label_probability": said.probabilities.max(axis=1),
                "noise_cluster": pl.Series(_names(found, len(labels)), dtype=pl.String),
            }
        )
        shown = facts.with_columns(label=pl.Series(labels, dtype=pl.String)).filter(open_rows)
        notes = _notes(shown, found, [*warnings, *_unjudged(labels)])
        if not open_rows.all():
            notes["reviewed"] = int((~open_rows).sum())
        return shown.drop("label"), notes

    def _data(self, labelled: pl.DataFrame, context: StepContext) -> tuple[ProxyData, list[str]]:
        columns = [name for name in self._texts() if name in labelled.columns]
        read = labelled["@text"].to_list()
        warnings, pictures = [], None
        if self.images and "images" in labelled.columns:
            paths = [list(paths or ()) for paths in labelled["images"].to_list()]
            if any(paths):
                looked = looked_at(paths, context.run.image_memory_mb)
                pictures = looked.features
                if looked.broken:
                    warnings.append(
                        f"{counted(looked.broken, 'picture')} cannot be read: "
                        "nothing is said of how they look."
                    )
        if not any(text.strip() for text in read):
            what = "no record has a text" if columns else f"there is no column `{'`, `'.join(self._texts())}`"
            left = (
                "pictures alone are gone by" if pictures is not None else "nothing can be told of any label"
            )
            warnings.append(f"{what}: {left}. Put annotate.ocr before it, or name `texts`.")
        return ProxyData(read, pictures, _group_names(labelled, self._groups())), warnings


def _text(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column as text; a list's elements in lines."""
    dtype = frame.schema[name]
    if isinstance(dtype, pl.List) and not dtype.inner.is_nested():
        return pl.col(name).cast(pl.List(pl.String)).list.join("\n", ignore_nulls=True)
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        remedy = "Name a column of texts, such as `ocr_text` beside the pieces in `ocr`."
        raise UserError(f"`texts` names the column `{name}`, which holds no texts", remedy=remedy)
    return pl.col(name).cast(pl.String)


def _group_names(labelled: pl.DataFrame, columns: list[str]) -> list[str]:
    """A name per record, equal for those of a group."""
    if not columns:
        return [str(row) for row in range(labelled.height)]
    return [str(number) for number in shared_values(labelled, columns)]


def _confusable(context: StepContext) -> dict[str, tuple[str, ...]]:
    if context.labels is None:
        return {}
    return {label.name: label.confusable_with for label in context.labels.labels}


def _words(context: StepContext) -> dict[str, str]:
    """What the label file says of each class."""
    return {} if context.labels is None else {label.name: label.words for label in context.labels.labels}


def _not_reviewed(labelled: pl.DataFrame) -> pl.Series:
    """Whether each record's label is still to be judged by a person."""
    if REVIEWED_BY not in labelled.columns:
        return pl.Series([True] * labelled.height, dtype=pl.Boolean)
    return labelled[REVIEWED_BY].is_null()


def _still_open(every: Sequence[Cluster], open_rows: pl.Series, fewest: int) -> Iterator[Cluster]:
    """The clusters without the records that a person has judged, as far as enough are left."""
    for cluster in every:
        rows = tuple(row for row in cluster.rows if open_rows[row])
        if len(rows) >= fewest:
            yield replace(cluster, rows=rows)


def _names(found: Sequence[Cluster], count: int) -> list[str | None]:
    names: list[str | None] = [None] * count
    for number, cluster in enumerate(found, 1):
        for row in cluster.rows:
            names[row] = f"{cluster.label}→{cluster.other} {number}"
    return names


def _unjudged(labels: Sequence[str]) -> list[str]:
    """A warning where classes have too few records."""
    counted = Counter(labels)
    if len(counted) == 1:
        return ["all records have one label: there is no other that could be right."]
    few = sorted(name for name, count in counted.items() if count < FEW)
    if not few:
        return []
    more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
    names = "、".join(few[:_NAMED]) + more
    have = counted_with(len(few), "class", "has", "have")
    return [f"{have} fewer than {FEW} records, whose labels can hardly be judged: {names}"]


def _notes(facts: pl.DataFrame, found: Sequence[Cluster], warnings: list[str]) -> dict[str, Any]:
    notes: dict[str, Any] = {
        "ranked": facts.height,
        "suspects": facts.filter(is_suspect()).height,
        "clusters": len(found),
    }
    if found:
        notes["clearest_clusters"] = [
            f"{cluster.label}→{cluster.other}: {len(cluster.rows):,} records, {cluster.probability:.2f}"
            for cluster in found[:_NAMED]
        ]
    return {**notes, "warnings": warnings} if warnings else notes
