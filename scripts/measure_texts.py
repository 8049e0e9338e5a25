"""Measures the written texts of builds: what they claim of the pictures, and how alike they are.

    python scripts/measure_texts.py build/ecom_v3
    python scripts/measure_texts.py build/ecom_v3 --truth examples/ecom/ground_truth.jsonl --show 5
    python scripts/measure_texts.py build/ecom_v3 build/shop --json

- false_first_lines: descriptions that name a first line which is not the first on the picture: the leftmost
  of the topmost row, or the tallest there where that is at least half as tall again, alone or with what
  stands right of it; by the truth of its text (--truth, a JSONL file with id or image and lines of {text,
  box}), else by OCR, the status bar left out of both.
- not_in_ocr: quotations, of descriptions and reasons, that do not stand in the record's OCR text, white
  space, case and width apart; unlike_ocr: those that are less than 0.8 like any part of it.
- cut: quotations that are no whole line of OCR and no phrase between its signs, or that are but a piece of a
  true line, or that end in dots.
- without_keyword: reasons with quotations in none of which a keyword of the label stands; denied: those in
  which one stands only in a line that denies it (`暂无退款`).
- with_evidence: share of the reasons in which one does; name_an_absence: how many of those also name another
  label and a keyword of it that nothing on the picture is like; false_absences: those of which one stands
  there. repeated: reasons that are word for word that of another record.
- similarity_mean: mean Jaccard similarity of character 3-grams of two reasons of a class; similarity_nearest:
  mean of each reason's to the nearest, which guard.reason puts into `reason_similarity`.
- conclusion_first: reasons that open with their label. other_language: reasons in Chinese where the label is
  not, or the other way round.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import DatakitError, UserError
from datakit.core.faithful import stands
from datakit.core.keywords import asserts, holds
from datakit.core.labels import Label, LabelSet, load_labels
from datakit.core.likeness import grams, jaccard, standing
from datakit.core.quotations import quotations
from datakit.guard._opening import opens_with_label
from datakit.llm._offline_facts import facts_of
from datakit.llm._offline_pieces import Piece, bounded, first_of, first_row

_FIRST = re.compile(
    r"(?:顶部|最上方|最上面|上端|页首|首行|第一行|最先|文字从|at the very top|first line|begins with|headed)"
    r"[^，。；“”,.;]{0,14}“([^”]+)”"
)
_HAN = re.compile(r"[㐀-鿿]")
_LIKE = 0.8

Row = dict[str, Any]


class Measured:
    """Counts over the records of a build, with the ids of those that were counted."""

    def __init__(self, labels: LabelSet, truth: dict[str, Row]) -> None:
        self._labels, self._truth = labels, truth
        self.ids: dict[str, list[str]] = defaultdict(list)
        self.records = self.reasons = self.quotations = self.first_lines = 0
        self._by_label: dict[str, list[frozenset[str]]] = defaultdict(list)
        self._texts: dict[str, list[str]] = defaultdict(list)

    def add(self, row: Row) -> None:
        """Counts one record."""
        self.records += 1
        description, reason = row.get("description") or "", row.get("reason") or ""
        self._first_line(row, description)
        text = row.get("ocr_text") or ""
        for quote in _quotes(description) + _quotes(reason):
            self.quotations += 1
            self._count("not_in_ocr", row, standing(quote, text) < 1)
            self._count("unlike_ocr", row, not stands(quote, text, _LIKE))
            self._count("cut", row, self._is_cut(row, quote))
        label = self._labels.find(row.get("label") or "")
        if label is not None and reason:
            self._reason(row, label, reason)

    def _reason(self, row: Row, label: Label, reason: str) -> None:
        self.reasons += 1
        self._by_label[label.name].append(grams(reason))
        quotes = _quotes(reason)
        keywords = label.keywords or (label.name, *label.aliases)
        named = [(quote, keyword) for quote in quotes for keyword in keywords if holds(quote, keyword)]
        is_evidence = any(_is_asserted(row, quote, keyword) for quote, keyword in named)
        self._count("with_evidence", row, is_evidence)
        self._absence(row, label, reason, is_evidence)
        self._count("without_keyword", row, bool(quotes) and not named)
        self._count("denied", row, bool(named) and not is_evidence)
        self._count("conclusion_first", row, opens_with_label(reason, label))
        own = "".join([label.name, label.description])
        spoken = "|".join(_spoken(reason)).replace(label.name, "")
        for word in (word for other in self._labels.labels for word in (other.name, *other.keywords)):
            spoken = spoken.replace(word, "")
        self._count("other_language", row, bool(_HAN.search(own)) != bool(_HAN.search(spoken)))

    def _absence(self, row: Row, label: Label, reason: str, is_evidence: bool) -> None:
        """Whether the words around the quotations name what another label has and this picture has not."""
        self._texts[reason].append(row["id"])
        spoken = "|".join(_spoken(reason)).replace(label.name, "")
        text = row.get("ocr_text") or ""
        words = {
            word
            for other in self._labels.labels
            if other.name != label.name and other.name in spoken
            for word in other.keywords
            if holds(spoken.replace(other.name, ""), word)
        }
        missing = {word for word in words if not holds(text, word)}
        self._count("name_an_absence", row, is_evidence and bool(missing))
        self._count("false_absences", row, bool(words) and not missing)

    def _first_line(self, row: Row, description: str) -> None:
        claims = _FIRST.findall(description)
        if not claims:
            return
        self.first_lines += 1
        facts = facts_of(self._true(row) or row)
        first, row_texts = first_of(facts.pieces), first_row(facts.pieces)
        begins = [
            "".join(piece.text for piece in row_texts[row_texts.index(first) : end] if _says(piece.text))
            for end in range(1, len(row_texts) + 1)
            if first is not None and end > row_texts.index(first)
        ]
        self._count("false_first_lines", row, not any(_alike(claims[0], text) for text in begins))

    def _true(self, row: Row) -> Row | None:
        """The record with the true lines of its picture in place of those of OCR."""
        truth = self._truth.get(row["id"]) or self._truth.get(Path(row["images"][0]).name)
        return {**row, "ocr": [{**line, "score": 1.0} for line in truth["lines"]]} if truth else None

    def _is_cut(self, row: Row, quote: str) -> bool:
        read = facts_of(row).pieces
        if quote.endswith(("…", "..")) or not any(_alike(quote, text) for text in _wholes(read)):
            return True
        true = self._true(row)
        pieces = [replace(piece, is_part=False) for piece in facts_of(true).pieces] if true else []
        holders = [piece.text for piece in pieces if stands(quote, piece.text, _LIKE)]
        return bool(holders) and not any(_alike(quote, text) for text in _wholes(pieces))

    def _count(self, name: str, row: Row, holds_true: bool) -> None:
        if holds_true:
            self.ids[name].append(row["id"])

    def table(self) -> dict[str, float]:
        """The measures by name."""
        pairs = [
            jaccard(first, second)
            for sets in self._by_label.values()
            for first, second in combinations(sets, 2)
        ]
        nearest = [
            max(jaccard(own, other) for other in sets if other is not own)
            for sets in self._by_label.values()
            if len(sets) > 1
            for own in sets
        ]
        counts = ("false_first_lines", "not_in_ocr", "unlike_ocr", "cut", "without_keyword", "denied")
        repeats = [ids for ids in self._texts.values() if len(ids) > 1]
        self.ids["repeated"] = [own for ids in repeats for own in ids[1:]]
        return {
            "records": self.records,
            "reasons": self.reasons,
            "quotations": self.quotations,
            "first_lines": self.first_lines,
            **{name: len(self.ids[name]) for name in (*counts, "conclusion_first", "other_language")},
            **{name: len(self.ids[name]) for name in ("false_absences", "repeated")},
            "reasons_with_evidence": len(self.ids["with_evidence"]),
            "name_an_absence": len(self.ids["name_an_absence"]),
            "with_evidence": round(len(self.ids["with_evidence"]) / max(self.reasons, 1), 4),
            "similarity_mean": round(fmean(pairs), 4) if pairs else 0.0,
            "similarity_nearest": round(fmean(nearest), 4) if nearest else 0.0,
        }


def _wholes(pieces: Iterable[Piece]) -> Iterator[str]:
    """What of lines may be quoted as a whole; the true ones have blanks where nobody sees any."""
    for piece in pieces:
        yield piece.text
        yield from bounded(piece)
        yield from bounded(replace(piece, text="".join(piece.text.split())))


def _says(text: str) -> bool:
    return any(map(str.isalnum, text))


def _alike(first: str, second: str) -> bool:
    """Whether two texts are the same but for what engines misread."""
    return stands(first, second, _LIKE) and standing(second, first) >= _LIKE


def _is_asserted(row: Row, quote: str, keyword: str) -> bool:
    """Whether a line with the quotation says that there is what the keyword names."""
    lines = [line for line in (row.get("ocr_text") or "").splitlines() if standing(quote, line) == 1]
    return any(asserts(line, keyword) for line in lines or [quote])


def _quotes(text: str) -> list[str]:
    return [quotation.text for quotation in quotations(text)]


def _spoken(text: str) -> list[str]:
    """What of a text stands outside its quotations."""
    quotes = quotations(text)
    ends = [0, *(at for quote in quotes for at in (quote.start, quote.end)), len(text)]
    return [text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


def truth_of(path: Path | None) -> dict[str, Row]:
    """The lines of each picture, by the record's id and by the picture's name."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path else []
    by_image = {Path(row["image"]).name: row for row in rows}
    return by_image | {row["id"]: row for row in rows if "id" in row}


def measured(rows: Iterable[Row], labels: LabelSet, truth: dict[str, Row]) -> Measured:
    """The measures of records."""
    result = Measured(labels, truth)
    for row in rows:
        result.add(row)
    return result


def of_build(folder: Path, truth: dict[str, Row]) -> Measured:
    """The measures of a build's own records, without mixed-in general data. Raises UserError."""
    build = BuildFolder.open(folder)
    if "reason" not in build.columns and "description" not in build.columns:
        raise UserError(
            f"{folder} has no column `reason` or `description`", remedy="Build a recipe with texts."
        )
    path = folder / "labels.yaml"
    labels = load_labels(path) if path.exists() else LabelSet(())
    names = ("id", "images", "label", "width", "height", "ocr", "ocr_text", "description", "reason")
    frame = build.main.select(name for name in names if name in build.columns).collect()
    return measured(frame.iter_rows(named=True), labels, truth)


def main() -> None:
    """Prints a table for each build, or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builds", type=Path, nargs="+")
    parser.add_argument("--truth", type=Path, help="JSONL with the true lines of the pictures")
    parser.add_argument("--show", type=int, default=0, help="so many ids of each count")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    options = parser.parse_args()
    truth = truth_of(options.truth)
    results = {str(folder): of_build(folder, truth) for folder in options.builds}
    if options.json:
        print(json.dumps({name: result.table() for name, result in results.items()}, ensure_ascii=False))
        return
    for name, result in results.items():
        print(name)
        for measure, value in result.table().items():
            ids = ", ".join(result.ids[measure][: options.show]) if measure in result.ids else ""
            print(f"  {measure:<20}{value:>10,}  {ids}".rstrip())


if __name__ == "__main__":
    try:
        main()
    except DatakitError as error:
        sys.exit(str(error))
