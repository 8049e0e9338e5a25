"""Measures the written texts of builds: what they claim of the pictures, and how alike they are.

    python scripts/measure_texts.py build/ecom_v3
    python scripts/measure_texts.py build/ecom_v3 --truth examples/ecom/ground_truth.jsonl --show 5
    python scripts/measure_texts.py build/ecom_v3 build/shop --json

- false_first_lines: descriptions that name a first line which is not the first on the picture: by the truth
  of its text (--truth, a JSONL file with id or image and lines of {text, box}), else by OCR, the status bar
  left out of both.
- not_in_ocr: quotations, of descriptions and reasons, that do not stand in the record's OCR text, white
  space, case and width apart; unlike_ocr: those that are less than 0.8 like any part of it.
- cut: quotations that end in dots.
- without_keyword: reasons with quotations in none of which a keyword of the label stands.
- with_evidence: share of the reasons in which one does.
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
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import DatakitError, UserError
from datakit.core.keywords import holds
from datakit.core.labels import Label, LabelSet, load_labels
from datakit.core.likeness import grams, jaccard, standing
from datakit.core.quotations import quotations
from datakit.guard._opening import opens_with_label
from datakit.llm._offline_facts import facts_of

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

    def add(self, row: Row) -> None:
        """Counts one record."""
        self.records += 1
        description, reason = row.get("description") or "", row.get("reason") or ""
        self._first_line(row, description)
        text = row.get("ocr_text") or ""
        for quote in _quotes(description) + _quotes(reason):
            self.quotations += 1
            likeness = standing(quote, text)
            self._count("not_in_ocr", row, likeness < 1)
            self._count("unlike_ocr", row, likeness < _LIKE)
            self._count("cut", row, quote.endswith(("…", "..")))
        label = self._labels.find(row.get("label") or "")
        if label is not None and reason:
            self._reason(row, label, reason)

    def _reason(self, row: Row, label: Label, reason: str) -> None:
        self.reasons += 1
        self._by_label[label.name].append(grams(reason))
        quotes = _quotes(reason)
        keywords = label.keywords or (label.name, *label.aliases)
        has_keyword = any(holds(quote, keyword) for quote in quotes for keyword in keywords)
        self._count("with_evidence", row, has_keyword)
        self._count("without_keyword", row, bool(quotes) and not has_keyword)
        self._count("conclusion_first", row, opens_with_label(reason, label))
        own = "".join([label.name, label.description])
        spoken = reason.replace(label.name, "")
        self._count("other_language", row, bool(_HAN.search(own)) != bool(_HAN.search(spoken)))

    def _first_line(self, row: Row, description: str) -> None:
        claims = _FIRST.findall(description)
        if not claims:
            return
        self.first_lines += 1
        truth = self._truth.get(row["id"]) or self._truth.get(Path(row["images"][0]).name)
        seen = {**row, "ocr": [{**line, "score": 1.0} for line in truth["lines"]]} if truth else row
        facts = facts_of(seen)
        first = [piece.text for piece in facts.pieces if facts.is_first(piece)]
        self._count(
            "false_first_lines", row, max(standing(claims[0], text) for text in first or [""]) < _LIKE
        )

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
        counts = ("false_first_lines", "not_in_ocr", "unlike_ocr", "cut", "without_keyword")
        return {
            "records": self.records,
            "reasons": self.reasons,
            "quotations": self.quotations,
            "first_lines": self.first_lines,
            **{name: len(self.ids[name]) for name in (*counts, "conclusion_first", "other_language")},
            "with_evidence": round(len(self.ids["with_evidence"]) / max(self.reasons, 1), 4),
            "similarity_mean": round(fmean(pairs), 4) if pairs else 0.0,
            "similarity_nearest": round(fmean(nearest), 4) if nearest else 0.0,
        }


def _quotes(text: str) -> list[str]:
    return [quotation.text for quotation in quotations(text)]


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
