"""What the page knows of the records: columns for the grid and its filters, and details of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson
import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.changed_files import changed_files, shown_changes
from datakit.artifacts.chat_contents import brought_of, chats_of, column_digests_of
from datakit.artifacts.image_contents import ImageContents
from datakit.artifacts.predictions import Prediction
from datakit.core.judged import Seen, canonical
from datakit.core.record import place_of
from datakit.core.shown_picture import shown_pictures
from datakit.core.visible import visible
from datakit.reviewing.answered import Answers
from datakit.reviewing.pinyin import typed_forms
from datakit.reviewing.prompts import Prompts
from datakit.reviewing.searched import folded

Row = dict[str, Any]
_ANSWER = "@answer"
_PROPOSALS = ("suspect_label", "reason_better", _ANSWER, "prediction", "noise_label")
"""Columns that name another label, the weightiest first; the label that a model answered among them."""
_PREDICTIONS = (
    ("prediction", "prediction_probability"),
    ("noise_label", "noise_label_probability"),
)
_FACTS = (
    "next_why",
    "suspect_why",
    "review",
    "noise_cluster",
    "reason",
    "reason_better",
    "description",
    "label_change",
    "text",
)
"""Columns with text for the reader, in the order of the page."""
_MOST_LABELS = 2000
_MOST_FILES = 3
_SNIPPET = 80
_MOST_CHARS = 20_000
"""Of one text on the page."""


@dataclass(frozen=True)
class PageRecords:
    """The chosen records of a build, with what the page shows of them."""

    build: BuildFolder
    frame: pl.DataFrame
    answers: Answers = field(default_factory=Answers)
    given: tuple[str, ...] = ()
    """Labels that a record may get besides, where there is no label file and the records have none."""

    @property
    def count(self) -> int:
        return self.frame.height

    @cached_property
    def changed(self) -> dict[str, str]:
        """File of the build -> what became of it since it was built."""
        return changed_files(self.build.whole or self.build)

    @property
    def edits(self) -> list[str]:
        """That what is reviewed is not what was built, in words."""
        if not self.changed:
            return []
        return [f"{self.build.path.name} is not as it was built: {shown_changes(self.changed)}"]

    @property
    def notices(self) -> list[tuple[str, dict[str, str]]]:
        """What stands above everything on the page: its word, and what belongs into that."""
        files = [*list(self.changed)[:_MOST_FILES], *(["…"] if len(self.changed) > _MOST_FILES else [])]
        edited = [("editedBuild", {"files": ", ".join(map(visible, files))})] if files else []
        return [*edited, *(("editedAnswers", {"file": visible(name)}) for name in self.answers.edited)]

    @cached_property
    def labels(self) -> list[str]:
        """All labels that a record may get: the label file's, else those of the data; then what proposals
        name besides."""
        file = self.build.labels
        names = dict.fromkeys(file.names if file else self.given)
        for column in ("label", *_PROPOSALS):
            if self._is_text(column) and (column == "label" or not names):
                names |= dict.fromkeys(self.frame[column].drop_nulls().unique().sort().head(_MOST_LABELS))
        if not file:
            names |= dict.fromkeys(sorted(set(self._answered.values())))
        return [name for name in names if name.strip()]

    @property
    def shared_prompt(self) -> tuple[str, str]:
        """How prompts begin and end."""
        return visible(self._prompts.head[:_MOST_CHARS]), visible(self._prompts.tail[:_MOST_CHARS])

    @cached_property
    def _prompts(self) -> Prompts:
        return Prompts.of(self.build, self.frame["id"])

    @cached_property
    def _answered(self) -> dict[str, str]:
        return self.answers.labels(self.build)

    @property
    def relabels(self) -> bool:
        """Whether a record's answer is its one label, so that another can take its place."""
        return self._is_text("label") and bool(self.labels)

    def label_rows(self) -> list[Row]:
        """Name, description and what may be typed for each label."""
        file = self.build.labels
        rows = []
        for name in self.labels:
            known = file.find(name) if file else None
            aliases = known.aliases if known and known.name == name else ()
            description = known.description if known and known.name == name else ""
            rows.append({"name": name, "about": description, "typed": typed_forms([name, *aliases])})
        return rows

    @cached_property
    def judged_by_id(self) -> dict[str, str]:
        """Id -> how a decision says what is judged."""
        return {id_: seen.said for id_, seen in self.seen_by_id.items()}

    @cached_property
    def seen_by_id(self) -> dict[str, Seen]:
        """Id -> what is judged: decisions about it are told by it."""
        seen = self.seen_as(zip(self.frame["id"], self._canonical("label"), strict=True))
        return {id_: one for (id_, _), one in seen.items()}

    @property
    def relabelled(self) -> frozenset[str]:
        """Ids of the records whose label the build has from a reviewer."""
        if not self._is_text("label_by"):
            return frozenset()
        return frozenset(self.frame.filter(pl.col("label_by").is_not_null())["id"])

    def seen_as(self, named: Iterable[tuple[str, str | None]]) -> dict[tuple[str, str | None], Seen]:
        """Id and label -> what would be judged of the record with that label."""
        contents = ImageContents(self.build)
        texts = self.frame["text"].to_list() if self._is_text("text") else [None] * self.count
        chats, brought, columns = chats_of(self.build), brought_of(self.build), column_digests_of(self.build)
        images = self.frame["images"].to_list()
        place = {id_: at for at, id_ in enumerate(self.frame["id"])}
        return {
            (id_, label): Seen.of(
                label,
                contents.of(images[place[id_]]),
                texts[place[id_]],
                (chats.get(id_), brought.get(id_), columns.get(id_)),
            )
            for id_, label in named
        }

    def columns(self) -> Row:
        """The columns of the grid. Labels, splits, tags and groups are numbers of their lists."""
        number = {name: at for at, name in enumerate(self.labels)}
        tags = sorted({tag for tags in self.frame["@tags"].to_list() for tag in tags})
        splits = sorted(set(self.frame["part"]))
        predicted, probability = self._predictions()
        return {
            "id": self.frame["id"].to_list(),
            "judged": [self.judged_by_id[id_] for id_ in self.frame["id"]],
            "label": [number.get(label or "", -1) for label in self._canonical("label")],
            "written": {
                at: visible(str(label))
                for at, label in enumerate(self._canonical("label"))
                if label not in number and label is not None
            },
            "predicted": [number.get(label or "", -1) for label in predicted],
            "probability": [None if value is None else round(value, 4) for value in probability],
            "proposal": [number.get(label or "", -1) for label in self._proposals()],
            "split": [splits.index(part) for part in self.frame["part"]],
            "tags": [sum(1 << tags.index(tag) for tag in own) for own in self.frame["@tags"].to_list()],
            "snippet": self._snippets(),
            "tag_names": tags,
            "split_names": splits,
            "groups": self.groups(),
        }

    def _snippets(self) -> list[str]:
        """The beginning of a record's text, where it has no picture to show in the grid."""
        texts = self.frame["text"].to_list() if self._is_text("text") else [None] * self.count
        counts = self.frame["images"].list.len().fill_null(0)
        return [
            "" if count else visible((text or "")[:_SNIPPET])
            for text, count in zip(texts, counts, strict=True)
        ]

    def groups(self) -> list[Row]:
        """Records that are one decision: clusters of suspects, and look-alikes with different labels."""
        groups = []
        if self._is_text("noise_cluster"):
            groups += self._grouped("cluster", "noise_cluster", pl.col("noise_cluster").is_not_null())
        if self._is_text("review") and self._is_text("duplicate_of"):
            groups += self._grouped("conflict", "duplicate_of", pl.col("review").is_not_null())
        return groups

    def _grouped(self, kind: str, by: str, which: pl.Expr) -> list[Row]:
        rows = self.frame.with_row_index("@row").filter(which)
        grouped = rows.group_by(by, maintain_order=True).agg("@row")
        return [
            {"kind": kind, "name": visible(name), "members": members}
            for name, members in grouped.iter_rows()
            if len(members) > 1
        ]

    def details(self) -> Iterator[Row]:
        """Per record what its own view shows besides."""
        shown = [name for name in _FACTS if self._is_text(name)]
        for row in self.frame.iter_rows(named=True):
            facts = [[name, visible(row[name][:_MOST_CHARS])] for name in shown if (row[name] or "").strip()]
            place = place_of(self.build.place(row["source_file"] or ""), row["source_line"])
            answer = self.answers.by_id.get(row["id"])
            facts += _answer_facts(answer) if answer else []
            facts += _other_voices(row, is_answered=answer is not None)
            lines = [_line(line) for line in row.get("ocr") or () if isinstance(line, dict)]
            ocr = [line for line in lines if line]
            asked = self._prompts.particular(row["id"])
            yield {
                "facts": [*facts, *([["source", visible(place)]] if place else [])],
                "ocr": ocr,
                "prompt": visible(asked[:_MOST_CHARS]),
                "is_whole_prompt": row["id"] in self._prompts.whole,
                "searched": folded([*(text for _, text in facts), *(line[5] for line in ocr), place, asked]),
                "probabilities": _likeliest(answer.probabilities)
                if answer and answer.probabilities
                else _probabilities(row.get("prediction_probabilities")),
                "pictures": shown_pictures(row),
            }

    def _is_text(self, column: str) -> bool:
        return self.frame.schema.get(column) == pl.String()

    def _canonical(self, column: str) -> list[str | None]:
        return [canonical(label, self.build.labels) for label in self.frame[column]]

    def _predictions(self) -> tuple[list[str | None], list[float | None]]:
        labels: list[str | None] = [None] * self.count
        chances: list[float | None] = [None] * self.count
        for name, probability in _PREDICTIONS:
            if self._is_text(name) and probability in self.frame.columns:
                labels, chances = self._canonical(name), _numbers(self.frame[probability])
                break
        for at, id_ in enumerate(self.frame["id"]):
            if id_ in self._answered:
                labels[at], chances[at] = self._answered[id_], self.answers.by_id[id_].confidence
        return labels, chances

    def _proposals(self) -> list[str | None]:
        """Per record the weightiest label that differs from its own."""
        proposals: list[str | None] = [None] * self.count
        own = self._canonical("label")
        for column in reversed([name for name in _PROPOSALS if name == _ANSWER or self._is_text(name)]):
            for at, label in enumerate(self._proposed(column)):
                if label and label != own[at]:
                    proposals[at] = label
        return proposals

    def _proposed(self, column: str) -> list[str | None]:
        if column == _ANSWER:
            return [self._answered.get(id_) for id_ in self.frame["id"]]
        return self._canonical(column)


def _numbers(values: pl.Series) -> list[float | None]:
    """Probabilities as numbers: a source may have them as whole ones or in words; null for what is none."""
    if values.dtype.is_nested():
        return [None] * len(values)
    numbers = values.cast(pl.Float64(), strict=False).to_list()
    return [value if value is not None and math.isfinite(value) else None for value in numbers]


def _line(line: Mapping[str, Any]) -> list[Any] | None:
    """A line of OCR: picture, left, top, right, bottom, text, score."""
    box = line.get("box")
    if not isinstance(box, list) or len(box) != 4:
        return None
    score = line.get("score")
    return [line.get("image") or 0, *box, visible(str(line.get("text") or "")), score]


def _other_voices(row: Row, *, is_answered: bool) -> list[list[str]]:
    """What the columns with predictions say, where something else stands as the prediction."""
    voices = [pair for pair in _PREDICTIONS if isinstance(row.get(pair[0]), str)]
    said = []
    for name, probability in voices if is_answered else voices[1:]:
        sure = row.get(probability)
        said.append([name, visible(row[name]) + (f" {sure:.1%}" if isinstance(sure, float) else "")])
    return said


def _answer_facts(answer: Prediction) -> list[list[str]]:
    """What a model said besides the label."""
    problem = ": ".join(filter(None, (answer.problem, answer.detail)))
    said = answer.answer if answer.predicted is None or answer.values else ""
    facts = (
        ("answer_problem", problem),
        ("answer", said),
        ("answer_reason", answer.reason or ""),
        ("answer_by", answer.model),
    )
    return [[name, visible(text[:_MOST_CHARS])] for name, text in facts if text.strip()]


def _probabilities(text: Any) -> list[list[Any]]:
    """The five likeliest labels of `{label: probability}` in JSON."""
    if not isinstance(text, str):
        return []
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    return _likeliest(values) if isinstance(values, dict) else []


def _likeliest(values: Mapping[str, Any]) -> list[list[Any]]:
    numbers = [
        (visible(str(name)), value) for name, value in values.items() if isinstance(value, int | float)
    ]
    return [[name, round(value, 4)] for name, value in sorted(numbers, key=lambda item: -item[1])[:5]]
