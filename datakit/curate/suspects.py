"""Records whose label somebody doubts, in one ranked list that says who said what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from datakit.artifacts.kfold import content_of, record_file_beside
from datakit.core import blocks
from datakit.core.chat_columns import chat_columns
from datakit.core.compared import compared
from datakit.core.judged import Seen, canonical
from datakit.core.labels import LabelSet
from datakit.core.near_texts import SAME_TEXT
from datakit.core.outcome import Table
from datakit.core.record import BETTER, DECLINED, GENERAL, repeat_of
from datakit.core.step_account import StepAccount
from datakit.core.step_context import StepContext
from datakit.core.suspect_columns import REVIEWED_BY
from datakit.core.suspicion import combined, proposed
from datakit.core.transform import Columns, TableTransform
from datakit.core.wording import t
from datakit.curate import _voices as voices
from datakit.curate._belonging import PSEUDO, SOURCE
from datakit.curate._out_of_fold import Reading

_SHOWN = 10
_NAMED = 5
_SCHEMA = {
    "id": pl.String(),
    "suspect_rank": pl.Int64(),
    "suspect_score": pl.Float64(),
    "suspect_label": pl.String(),
    "suspect_why": pl.String(),
}


class Suspects(TableTransform):
    """Columns `suspect_rank` (1 is the most doubted), `suspect_score`, `suspect_label` and `suspect_why`.

    Null where nobody doubts the label. `suspect_label` is the label that most of the weight is for, null
    where no voice proposes one; `suspect_why` has a line for each voice, in the language of the prompts. The
    build has all in suspects.jsonl, with those that later steps reject. No record is changed or dropped here.

    A voice is silent where the records lack its columns:

    - proxy: curate.label_noise would give another label, or has the record in a cluster
    - kfold: the model that `datakit kfold` did not show the record predicts another label (`predictions`)
    - reason: the model declined to give a reason for it (annotate.reason with `may_decline`)
    - duplicates: the same picture has another label (curate.duplicates), or the nearly same text does where
      records have no picture, such as dialogues
    - description: no `keywords` of the label stand in the OCR text, and two or more of one other label do

    The first two rank all records and have the weight s / (s + rank), s being 3.4% of those ranked (the mean
    share of wrong labels in ten test sets, Northcutt et al. 2021). A declined reason has 0.5, a duplicate the
    share of its group with another label, a description 0.3. The score is their noisy-or, 1 - (1 - a)(1 - b)…

    General and pseudo-labelled records are not looked at, and those whose label a reviewer gave or accepted
    (`label_reviewed_by` of curate.overrides) are no suspects. Behind balance.resample the repeats of a record
    are one suspect. A prediction has no voice, and is counted, that is of an id that no record has, of no
    label, with probabilities that cannot be such, by a model that was never shown the label, or of pictures
    or a text that have changed since; one file that says two things of a record is refused.
    """

    version: ClassVar[int] = 5
    of_one_task: ClassVar[bool] = True
    example: ClassVar[dict[str, Any] | None] = {"min_score": 0.1}

    predictions: str | None = None
    """Out-of-fold predictions as `datakit kfold` joins them, from the recipe's folder; null for none. In the
    folds' own builds it does not count."""
    reason: str = "reason"
    """Column of the reasons, whose `<reason>_declined` and `<reason>_better` are looked at."""
    ocr_text: str = "ocr_text"
    """Column of what OCR read on a record's pictures."""
    same_text: float | None = Field(default=SAME_TEXT, gt=0, le=1)
    """Jaccard similarity of character 3-grams from which the questions of records without pictures are nearly
    the same, as in curate.split; shorter ones than 24 characters are compared as a whole. Null for never."""
    min_score: float = Field(default=0.0, ge=0, lt=1)
    """Records of a lower score are no suspects."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "label", "images", "text")

    def optional(self, context: StepContext) -> tuple[str, ...]:
        own = (
            f"{self.reason}{DECLINED}",
            f"{self.reason}{BETTER}",
            "duplicate_of",
            self.ocr_text,
            "set",
            SOURCE,
            REVIEWED_BY,
        )
        texts = chat_columns(context).question_names if self.same_text is not None else ()
        return tuple(dict.fromkeys((*voices.NOISE, *own, *texts)))

    def outputs(self, context: StepContext) -> Columns:
        return {name: kind for name, kind in _SCHEMA.items() if name != "id"}

    def files(self, context: StepContext) -> list[Path]:
        if self.predictions is None:
            return []
        path = context.path(self.predictions)
        beside = record_file_beside(path)
        return [path] if beside is None else [path, beside]

    def apply(self, frame: pl.LazyFrame, context: StepContext) -> Table:
        # Sorted by id, so that nothing below can depend on the order of the records.
        there = frame.collect_schema()
        rows = frame.select(name for name in self.reads(context) if name in there).sort("id").collect()
        rows = self._spelt(rows.drop_nulls("label"), context.labels)
        if "set" in rows.columns:
            rows = rows.filter(pl.col("set").fill_null("") != GENERAL)
        if SOURCE in rows.columns:
            rows = rows.filter(pl.col(SOURCE).fill_null("") != PSEUDO)
        table = rows.filter(pl.Series([repeat_of(id_)[1] == 1 for id_ in rows["id"]], dtype=pl.Boolean))
        hearing = voices.Hearing(context.language(""))
        notes = self._hear(rows, table, hearing, context)
        if REVIEWED_BY in table.columns:
            reviewed = table.drop_nulls(REVIEWED_BY)["id"].to_list()
            if settled := [id_ for id_ in reviewed if hearing.doubts.pop(id_, None)]:
                notes["reviewed"] = len(settled)
        suspects = _ranked(hearing, self.min_score)
        facts = pl.DataFrame(
            [(one.id, at, one.score, one.label, one.why) for at, one in enumerate(suspects, 1)],
            schema=_SCHEMA,
            orient="row",
        )
        found = _with_records(suspects, hearing, table, context)
        notes = {**_notes(suspects, hearing, table), **notes}
        return Table(_joined(frame, facts, self.outputs(context)), notes=notes, suspects=found)

    def _spelt(self, rows: pl.DataFrame, labels: LabelSet | None) -> pl.DataFrame:
        """The records with what names a label in the label file's spelling: another one is no doubt."""
        names = [name for name in ("label", "noise_label", f"{self.reason}{BETTER}") if name in rows.columns]
        return rows.with_columns(
            pl.Series(name, [canonical(label, labels) for label in rows[name]], dtype=pl.String())
            for name in names
        )

    def _hear(
        self, rows: pl.DataFrame, table: pl.DataFrame, hearing: voices.Hearing, context: StepContext
    ) -> dict[str, Any]:
        """Lets every voice speak; what is odd about the predictions, for the report."""
        notes: dict[str, Any] = {}
        voices.hear_proxy(table, hearing)
        if self.predictions is not None and not table.is_empty():
            reading = Reading(context.declared(self.predictions), context.labels)
            labels = dict(table.select("id", "label").iter_rows())
            voices.hear_kfold(reading.guesses(labels, _contents(table, context)), hearing)
            reading.unknown = self._of_no_task(reading.unknown, context)
            notes = reading.notes(self.predictions)
        voices.hear_reason(rows, self.reason, hearing)
        voices.hear_duplicates(table, hearing)
        if self.same_text is not None:
            question = compared(table, chat_columns(context), context.labels)["question"]
            is_text = pl.col("images").list.len().fill_null(0) == 0
            texts = table.select(pl.when(is_text).then(question)).to_series().to_list()
            voices.hear_texts(table, texts, self.same_text, hearing)
        voices.hear_description(table, self.ocr_text, context.labels, hearing)
        if not hearing.heard and not table.is_empty():
            notes["warnings"] = [
                "nobody is asked about the labels: the records have no columns of curate.label_noise, "
                "annotate.reason (`may_decline`), curate.duplicates or OCR, and no `predictions` are given"
            ]
        return notes

    def _of_no_task(self, unknown: list[str], context: StepContext) -> list[str]:
        """Of the ids that no record here has those that none of another task has whose step reads the same
        file; the last such step tells them, since only then are all records met."""
        path = context.path(self.predictions or "")
        if self._read_by(path, context.later, context):
            context.unclaimed.setdefault(path, {})[context.task] = {*unknown}
            return []
        others = [scope for scope in context.tasks if scope.name != context.task]
        sharing = [scope.name for scope in others if self._read_by(path, scope.steps, context)]
        met = [context.unclaimed[path][task] for task in sharing]
        return [id_ for id_ in unknown if all(id_ in ids for ids in met)]

    @staticmethod
    def _read_by(path: Path, steps: Sequence[object], context: StepContext) -> bool:
        return any(
            isinstance(step, Suspects) and step.predictions and context.path(step.predictions) == path
            for step in steps
        )

    def card_sections(self, account: StepAccount) -> Sequence[blocks.Section]:
        notes = account.notes
        return [blocks.Section(t("Doubted labels"), list(_card(notes)))] if notes.get("voices") else []


def _contents(table: pl.DataFrame, context: StepContext) -> Callable[[str], frozenset[str]]:
    """What each record shows and says now, as a join keeps it of what was asked, with its own columns and
    without."""
    records = {id_: (paths, text) for id_, paths, text in table.select("id", "images", "text").iter_rows()}

    def content(id_: str) -> frozenset[str]:
        paths, text = records[id_]
        pictures = [context.files.sha256(path) for path in paths or ()]
        return frozenset(content_of(pictures, text, of.get(id_)) for of in (context.brought, context.chats))

    return content


@dataclass(frozen=True)
class _Suspect:
    id: str
    score: float
    label: str | None
    """The proposed one."""
    why: str


def _ranked(hearing: voices.Hearing, min_score: float) -> list[_Suspect]:
    """The doubted records, the highest score first."""
    every = [
        _Suspect(id_, combined(doubts), proposed(doubts), "\n".join(doubt.says for doubt in doubts))
        for id_, doubts in hearing.doubts.items()
    ]
    return sorted((one for one in every if one.score >= min_score), key=lambda one: (-one.score, one.id))


def _joined(frame: pl.LazyFrame, facts: pl.DataFrame, outputs: Columns) -> pl.LazyFrame:
    """The records with their columns; each repeat has those of its record."""
    ids = frame.select("id").collect()["id"]
    record = pl.Series("@record", [repeat_of(id_)[0] for id_ in ids], dtype=pl.String)
    by_row = pl.DataFrame([ids, record]).join(facts, left_on="@record", right_on="id", how="inner")
    others = frame.drop(outputs, strict=False)
    return others.join(by_row.drop("@record").lazy(), on="id", how="left", maintain_order="left")


def _with_records(
    suspects: Sequence[_Suspect], hearing: voices.Hearing, table: pl.DataFrame, context: StepContext
) -> list[dict[str, Any]]:
    """The suspects as suspects.jsonl holds them."""
    wanted = table.filter(pl.col("id").is_in([one.id for one in suspects]))
    records = {row["id"]: row for row in wanted.select("id", "label", "images", "text").iter_rows(named=True)}
    result = []
    for at, one in enumerate(suspects, 1):
        record = records[one.id]
        known = context.labels.find(record["label"]) if context.labels else None
        pictures = [context.files.sha256(path) for path in record["images"] or ()]
        told = [
            {"voice": doubt.voice, "says": doubt.says, "weight": round(doubt.weight, 6)}
            for doubt in hearing.doubts[one.id]
        ]
        result.append(
            {
                "id": one.id,
                "rank": at,
                "score": round(one.score, 6),
                "label": record["label"],
                "proposed": one.label,
                "cluster": hearing.clusters.get(one.id),
                "voices": told,
                "judged": Seen.of(
                    known.name if known else record["label"],
                    pictures,
                    record["text"],
                    context.brought_by(one.id),
                ).said,
            }
        )
    return result


def _notes(suspects: Sequence[_Suspect], hearing: voices.Hearing, table: pl.DataFrame) -> dict[str, Any]:
    """Facts for the report and the card."""
    ids = {one.id for one in suspects}
    spoken = Counter(doubt.voice for id_ in ids for doubt in hearing.doubts[id_])
    several = sum(len(hearing.doubts[id_]) > 1 for id_ in ids)
    labels = dict(table.select("id", "label").iter_rows())
    return {
        "suspects": len(suspects),
        "labelled": table.height,
        "doubted_by_several": several,
        "voices": {name: spoken[name] for name in voices.VOICES if name in hearing.heard},
        "heard": {name: hearing.heard[name] for name in voices.VOICES if name in hearing.heard},
        "clusters": dict(Counter(hearing.clusters[id_] for id_ in ids if id_ in hearing.clusters)),
        "most_doubted": [
            {
                "id": one.id,
                "score": round(one.score, 3),
                "label": labels[one.id],
                "proposed": one.label,
                "why": one.why,
            }
            for one in suspects[:_SHOWN]
        ],
    }


def _card(notes: Any) -> Iterator[blocks.Block]:
    several = notes["doubted_by_several"]
    yield blocks.Text(
        t(
            "{suspects:,} of {labelled:,} labels are doubted, {several:,} of them by several voices. All "
            "stand in suspects.jsonl, with who says what; nothing was changed for it.",
            suspects=notes["suspects"],
            labelled=notes["labelled"],
            several=several,
        )
    )
    yield blocks.Table(
        [t("voice"), t("looked at"), t("doubts")],
        [[name, notes["heard"][name], count] for name, count in notes["voices"].items()],
    )
    if notes["clusters"]:
        largest = sorted(notes["clusters"].items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
        yield blocks.Table([t("cluster"), t("records")], [list(row) for row in largest])
    if notes["most_doubted"]:
        yield blocks.Table(
            [t("record"), t("score"), t("label"), t("proposed"), t("who says what")],
            [
                [row["id"], row["score"], row["label"], row["proposed"], row["why"].replace("\n", "; ")]
                for row in notes["most_doubted"]
            ],
        )
