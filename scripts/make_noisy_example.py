"""Writes examples/ecom/train_noisy.jsonl: the labelled screens, seven of them with a wrong label.

    python scripts/make_noisy_example.py                  # into examples/ecom
    python scripts/make_noisy_example.py --out /some/folder

A wrong label is a neighbour of the right one (`confusable_with` of the label file), as a tired person takes
it. train.jsonl has the right ones. With the same seed the same file is written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from datakit.core.labels import load_labels

ROOT = Path(__file__).resolve().parent.parent
ECOM = ROOT / "examples" / "ecom"
LABELS = ROOT / "templates" / "ecom" / "labels.yaml"
SEED = 42
COUNT = 7
LEAST = 5
"""Records that a class has of which one is labelled wrongly, and one that gets it: a class of fewer says too
little of itself."""

Row = dict[str, Any]


def with_wrong_labels(rows: list[Row]) -> list[Row]:
    """The records with COUNT wrong labels, at most one out of and one into a class."""
    labels, held = load_labels(LABELS), Counter(row["label"] for row in rows)
    dice = Random(f"noisy/{SEED}")
    places = list(range(len(rows)))
    dice.shuffle(places)
    changed: dict[int, str] = {}
    left, entered = set[str](), set[str]()
    for at in places:
        if len(changed) == COUNT:
            break
        label = labels.find(rows[at]["label"])
        assert label is not None  # every record of the example has a label of the file
        near = [name for name in label.confusable_with if held[name] >= LEAST and name not in entered]
        if held[label.name] < LEAST or label.name in left or not near:
            continue
        changed[at] = dice.choice(near)
        left.add(label.name)
        entered.add(changed[at])
    return [{**row, "label": changed.get(at, row["label"])} for at, row in enumerate(rows)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ECOM, help="folder for train_noisy.jsonl")
    out: Path = parser.parse_args().out
    rows = [json.loads(line) for line in (ECOM / "train.jsonl").read_text("utf-8").splitlines()]
    noisy = with_wrong_labels(rows)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in noisy)
    (out / "train_noisy.jsonl").write_text(text, "utf-8")
    for row, wrong in zip(rows, noisy, strict=True):
        if row != wrong:
            print(f"{row['id']}: {row['label']} → {wrong['label']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
