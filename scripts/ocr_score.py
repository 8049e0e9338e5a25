"""Measures annotate.ocr: characters right, and CPU seconds per picture, on pictures whose text is known.

    python scripts/ocr_score.py
    python scripts/ocr_score.py --take 25 --model PP-OCRv6_small
    python scripts/ocr_score.py --engine paddleocr --json

The truth is a JSONL file with `image` (path relative to it) and `lines` (list of {text, box}). Characters
are compared without spaces after NFKC; signs that look alike (kinds of dashes, quotes, dots, brackets) count
as equal.

- precision, recall, f1: characters of a picture as a bag, added up over all pictures. Counted is what
  lies in the rectangle around the picture's true lines: for pop-ups, the truth leaves out the page behind.
- in_order: 1 - edit distance / length, of the same text in reading order.
- f1_everywhere: f1 when text outside that rectangle counts as wrong.
- cpu_s: CPU seconds per picture in one process with one thread, decoding included, loading excluded.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.annotate._ocr_layout import Line, reading_order
from datakit.annotate.ocr import Ocr
from datakit.core.errors import DatakitError
from datakit.core.outcome import Done
from datakit.core.step_context import StepContext

TRUTH = Path(__file__).resolve().parent / "ocr_baseline" / "ground_truth.jsonl"
ALIKE = str.maketrans("×•—–－−‘’“”″〉›〈‹₊～", 'x·----\'\'""">><<+~')

Read = Callable[[str], list[Line]]
"""A picture's path -> the text on it."""


@dataclass
class Score:
    """Counts over all pictures so far."""

    pictures: int = 0
    true: int = 0
    found: int = 0
    right: int = 0
    edits: int = 0
    found_everywhere: int = 0
    right_everywhere: int = 0
    cpu: float = 0.0

    def add(self, truth: list[Line], lines: list[Line], cpu: float) -> None:
        """Counts one picture."""
        true_text, read_text, everywhere = plain(truth), plain(inside(truth, lines)), plain(lines)
        self.pictures += 1
        self.true += len(true_text)
        self.found += len(read_text)
        self.right += shared(true_text, read_text)
        self.found_everywhere += len(everywhere)
        self.right_everywhere += shared(true_text, everywhere)
        self.edits += edit_distance(true_text, read_text)
        self.cpu += cpu

    def table(self) -> dict[str, float]:
        """The measures by name."""
        return {
            "pictures": self.pictures,
            "characters": self.true,
            "precision": round(self.right / max(1, self.found), 4),
            "recall": round(self.right / max(1, self.true), 4),
            "f1": round(2 * self.right / max(1, self.found + self.true), 4),
            "in_order": round(1 - self.edits / max(1, self.true), 4),
            "f1_everywhere": round(2 * self.right_everywhere / max(1, self.found_everywhere + self.true), 4),
            "cpu_s": round(self.cpu / max(1, self.pictures), 3),
        }


def plain(lines: list[Line]) -> str:
    """All characters in reading order, without spaces, in their plain forms."""
    text = "".join(line.text for row in reading_order(lines) for line in row)
    return "".join(unicodedata.normalize("NFKC", text.translate(ALIKE)).translate(ALIKE).split())


def inside(truth: list[Line], lines: list[Line], margin_px: float = 6) -> list[Line]:
    """The lines centred in the rectangle around the true ones; all where a picture has no text."""
    if not truth:
        return lines
    left, top = min(line.x0 for line in truth), min(line.y0 for line in truth)
    right, bottom = max(line.x1 for line in truth), max(line.y1 for line in truth)
    return [
        line
        for line in lines
        if left - margin_px <= (line.x0 + line.x1) / 2 <= right + margin_px
        and top - margin_px <= line.centre <= bottom + margin_px
    ]


def shared(first: str, second: str) -> int:
    """How many characters two texts share, as bags."""
    return (Counter(first) & Counter(second)).total()


def edit_distance(first: str, second: str) -> int:
    """Fewest insertions, deletions and replacements that turn one text into the other (Levenshtein)."""
    above = list(range(len(second) + 1))
    for at, a in enumerate(first, 1):
        row = [at]
        for column, b in enumerate(second, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (a != b)))
        above = row
    return above[-1]


def load_truth(path: Path, take: int | None) -> list[tuple[str, list[Line]]]:
    """Pictures with their lines; `take` of them, spread evenly over the file."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if take is not None and take < len(rows):
        rows = [rows[at * len(rows) // take] for at in range(take)]
    return [
        (str(path.parent / row["image"]), [Line(line["text"], 1.0, *line["box"]) for line in row["lines"]])
        for row in rows
    ]


def score(read: Read, truth: Iterable[tuple[str, list[Line]]]) -> Score:
    """Reads every picture and counts."""
    total = Score()
    for path, lines in truth:
        start = time.process_time()
        read_lines = read(path)
        total.add(lines, read_lines, time.process_time() - start)
    return total


def datakit_reader(step: Ocr) -> Read:
    """Reads as annotate.ocr does, with its confidence floor."""
    context = StepContext(base=Path.cwd(), project=Path.cwd())
    worker = step.start(context)

    def read(path: str) -> list[Line]:
        row: dict[str, Any] = {"id": path, "images": [path]}
        outcome = worker.answer(row)
        if not isinstance(outcome, Done):
            raise SystemExit(f"{outcome.reason}: {outcome.detail}")
        columns = step.columns(outcome.raw, row, context)
        entries = columns[step.into] if isinstance(columns, dict) else []
        return [Line(e["text"], e["score"], *e["box"]) for e in entries if e["score"] >= step.min_score]

    return read


def main() -> None:
    """Prints the table, or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--truth", type=Path, default=TRUTH, help="JSONL with image and lines")
    parser.add_argument("--take", type=int, help="only so many pictures, spread over the file")
    parser.add_argument("--engine", default="rapidocr", choices=["rapidocr", "paddleocr"])
    parser.add_argument("--model", default=Ocr().model)
    parser.add_argument("--det-folder")
    parser.add_argument("--rec-folder")
    parser.add_argument("--long-side-px", type=int, default=Ocr().long_side_px)
    parser.add_argument("--min-score", type=float, default=Ocr().min_score)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = vars(parser.parse_args())
    path, take, as_json = options.pop("truth"), options.pop("take"), options.pop("json")
    result = score(datakit_reader(Ocr(**options)), load_truth(path, take)).table()
    result["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if as_json:
        print(json.dumps({**options, **result}))
        return
    for name, value in result.items():
        print(f"{name:<14}{value:>10,}")


if __name__ == "__main__":
    try:
        main()
    except DatakitError as error:
        sys.exit(str(error))
