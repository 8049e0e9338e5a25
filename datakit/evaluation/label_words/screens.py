"""Pictures with text: which words stand alone on them, at what height, and whose pictures they are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.originals import originals
from datakit.artifacts.screen_texts import text_column
from datakit.core.labels import LabelSet
from datakit.core.status_bar import without_status_bar

MOST_READ = 500
"""Pictures of a class that are looked at, in the build's order: more change no share by much."""
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_LATIN = re.compile(r"[A-Za-z]+(?:'[a-z]+)?(?: [A-Za-z]+){0,3}")
_SEGMENT = re.compile(r"\s+|[|｜·•]")
_PROSE = re.compile(r"[，。！？；,!?;…]")
_VALUE = re.compile(r"[:：]")
_UNIT = re.compile(r"[A-Za-z]{2}|\d[\u3400-\u9fff]")
"""What makes Chinese signs beside it a model's or a number's: `Mate60手机`, `48小时发货`."""
_NUMBER = re.compile(r"(?<!\d)[a-z]{0,4}\d{9,}(?!\d)")
_MASKED = re.compile(r"\d{2,4}\*{3,}\d{2,4}")
_MONTH = re.compile(r"(?<!\d)(20\d\d)[-./年](\d{1,2})(?=[-./月])")
_FIRM = re.compile(r"[\u3400-\u9fff]{2,12}?(?:旗舰店|专卖店|专营店|工厂店|医院|公司|诊所|大学|银行)")
_LEAST, _MOST = 2, 6
"""Chinese signs of a word: one says too little, more are a sentence or a title."""


@dataclass(frozen=True)
class Line:
    """A line of text as OCR found it."""

    text: str
    height: float | None = None
    """Of its middle, as a share of the picture's height from its top; None where that is not known."""


@dataclass(frozen=True)
class Screen:
    """One picture, or the pictures of one record."""

    id: str
    lines: tuple[Line, ...]
    latin: bool = False
    """Whether words are Latin: in Chinese screens Latin words are brands and models."""

    @cached_property
    def text(self) -> str:
        """Everything, in which a word is looked for; Latin words in small letters."""
        return "\n".join(_folded(line.text).casefold() for line in self.lines)

    @cached_property
    def words(self) -> Mapping[str, float | None]:
        """Words that stand alone, or before a number, each with the height of its first place."""
        words: dict[str, float | None] = {}
        for line in self.lines:
            for word in _alone(_folded(line.text), self.latin):
                words.setdefault(word, line.height)
        return words

    @cached_property
    def template(self) -> str:
        """What kind of screen it is: its first word, the title of most."""
        return next(iter(self.words), "")

    @cached_property
    def month(self) -> str:
        """The month that most dates on it are in; "" without a date."""
        months = Counter(f"{year}-{int(month):02}" for year, month in _MONTH.findall(self.text))
        return months.most_common(1)[0][0] if months else ""

    @cached_property
    def owners(self) -> frozenset[str]:
        """What tells whose it is: numbers of orders, masked telephone numbers, names of firms."""
        found = (pattern.findall(self.text) for pattern in (_NUMBER, _MASKED, _FIRM))
        return frozenset(text for texts in found for text in texts)


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


def _alone(line: str, latin: bool) -> Iterator[str]:
    """The words of a line that stand alone in it or in its columns, before a value or a number."""
    line = line.strip(" ,.;!?，。；！？、<>‹›《》()（）[]【】")
    if latin:
        head = _VALUE.split(line)[0]
        if not _PROSE.search(line) and (word := _LATIN.fullmatch(head.strip())):
            yield word[0].casefold()
        return
    if _PROSE.search(line):
        return
    for segment in _SEGMENT.split(line):
        head = _VALUE.split(segment)[0]
        runs = _CHINESE.findall(head)
        if len(runs) == 1 and _LEAST <= len(runs[0]) <= _MOST and not _UNIT.search(head):
            yield runs[0]


def screens_of(build: BuildFolder, labels: LabelSet | None, *, split: str = "") -> dict[str, list[Screen]]:
    """Label -> its pictures with a text; of an empty dict the build's pictures were not read.

    `split` takes those of one split alone. Labels are spelt as the label file has them.
    """
    column = text_column(build)
    if column is None or build.columns.get("label") != pl.String():
        return {}
    boxes = column.removesuffix("_text")
    has_boxes = boxes != column and isinstance(build.columns.get(boxes), pl.List)
    columns = [name for name in (boxes if has_boxes else "", "height") if name in build.columns]
    frame = originals(build).filter(pl.col("label").is_not_null() & pl.col(column).is_not_null())
    if split:
        frame = frame.filter(pl.col("part") == split)
    frame = frame.group_by("label", maintain_order=True).head(MOST_READ)
    rows = frame.select("label", "id", pl.col(column).alias("text"), *columns).collect()
    latin = _is_latin(rows["text"])
    found: dict[str, list[Screen]] = {}
    for row in rows.iter_rows(named=True):
        known = labels.find(row["label"]) if labels is not None else None
        lines = tuple(_lines(row["text"], row.get(boxes), row.get("height")))
        found.setdefault(known.name if known else row["label"], []).append(Screen(row["id"], lines, latin))
    return found


def _is_latin(texts: pl.Series) -> bool:
    joined = "".join(texts.head(200).to_list())
    chinese = sum(map(len, _CHINESE.findall(joined)))
    return chinese < len(re.findall(r"[A-Za-z]", joined)) / 4


def _lines(text: str, found: Sequence[Mapping[str, Any]] | None, height: object) -> Iterator[Line]:
    """The lines of a text without the status bar, each with its height where its box says it."""
    kept = without_status_bar(text)
    first = [entry for entry in found or () if not entry.get("image")]
    if not first or not all(entry.get("text") for entry in first):
        yield from map(Line, kept.splitlines())
        return
    for entry in found or ():
        if str(entry["text"]).strip() and str(entry["text"]).strip() in kept:
            yield Line(str(entry["text"]), _height(entry, height))


def _height(entry: Mapping[str, Any], height: object) -> float | None:
    box: Sequence[float] = entry.get("box") or ()
    if len(box) != 4 or entry.get("image") or not isinstance(height, int) or height <= 0:
        return None
    middle = (float(box[1]) + float(box[3])) / 2 / height
    return middle if 0 <= middle <= 1 else None
