"""Draws the pictures of examples/ecom and writes the truth of their text: one screen for each record.

    pip install playwright                                  # and what scripts/draw_screens.py needs
    python scripts/make_ecom_example.py                     # into examples/ecom
    python scripts/make_ecom_example.py --out /some/folder

Which records there are stands in train.jsonl, with labels, and unlabelled.jsonl: both stay as they are. Of
each class PER_CLASS pictures are drawn, so what train.jsonl lacks of a class is among the unlabelled ones.
The layouts of a class take turns, the records of train.jsonl first and in them the hard cases of FIRST, so
that the few that are trained on show the most kinds. With the same browser and font the same bytes are
written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from draw_screens import FONT, layout_in_turn, write_lines
from screens import pages
from screens.browser import BrowserFault, browser_path, camera
from screens.layouts import LAYOUTS, Layout
from screens.world import World

ECOM = Path(__file__).resolve().parent.parent / "examples" / "ecom"
SEED = 42
"""Of the seeds tried, one whose screens share the least text."""
JPEG_QUALITY = 78
"""Keeps the folder at 13 MB; screenshots from the field have been through a messenger too."""
PER_CLASS = 8
FIRST = {
    "外部APP截图": ("order_of_another_shop", "courier_app", "messages", "notices"),
    "物流页面-物流列表页面": ("parcels_of_one_order", "parcels_sent"),
    "订单详情页面": ("order", "plain_order", "order_scrolled_down"),
}
"""Layouts, by function name, that classes with more layouts than records in train.jsonl begin with."""

Row = dict[str, Any]


def read_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def labelled(train: Iterable[Row], unlabelled: Iterable[Row]) -> list[Row]:
    """All records with a label, those of train.jsonl first; the labels left of each class's are dealt out."""
    records = list(train)
    held = Counter(row["label"] for row in records)
    rest = [label for label in sorted(LAYOUTS) for _ in range(PER_CLASS - held[label])]
    Random(f"unlabelled/{SEED}").shuffle(rest)
    return records + [{**row, "label": label} for row, label in zip(unlabelled, rest, strict=True)]


def layouts_of(label: str) -> list[Layout]:
    """The layouts of the class's pictures in their order."""
    by_name: Mapping[str, Layout] = {layout.__name__: layout for layout in LAYOUTS[label]}
    first = [by_name[name] for name in FIRST.get(label, ())]
    in_turn = [layout_in_turn(SEED, label, at) for at in range(PER_CLASS + len(first))]
    turn, later = in_turn[: len(LAYOUTS[label])], in_turn[len(LAYOUTS[label]) :]
    return [*first, *(layout for layout in turn if layout not in first), *later][:PER_CLASS]


def draw(records: Iterable[Row], chosen: Mapping[str, Layout], browser: str, out: Path) -> Iterator[Row]:
    """The truth of the records' pictures, which it writes into the folder."""
    with camera(browser, [FONT]) as taking:
        for row in records:
            shot = taking.take(chosen[row["id"]](World(f"{SEED}/{row['id']}", [FONT])), JPEG_QUALITY)
            (out / row["image"]).write_bytes(shot.jpeg)
            yield {**row, "lines": shot.lines}


def plan() -> tuple[list[Row], dict[str, Layout]]:
    """The records in order of id, and the layout of each."""
    pages.load()
    records = labelled(read_lines(ECOM / "train.jsonl"), read_lines(ECOM / "unlabelled.jsonl"))
    waiting = {label: iter(layouts_of(label)) for label in LAYOUTS}
    chosen = {row["id"]: next(waiting[row["label"]]) for row in records}
    return sorted(records, key=lambda row: str(row["id"])), chosen


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ECOM, help="folder for images/ and ground_truth.jsonl")
    parser.add_argument("--browser", help="path or name of Chromium (CHROMIUM, or chromium)")
    given = parser.parse_args()
    records, chosen = plan()
    try:
        browser = browser_path(given.browser)
        (given.out / "images").mkdir(parents=True, exist_ok=True)
        truth = list(draw(records, chosen, browser, given.out))
    except BrowserFault as fault:
        print(fault, file=sys.stderr)
        return 2
    write_lines(given.out / "ground_truth.jsonl", truth)
    print(f"{given.out}: {len(truth)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
