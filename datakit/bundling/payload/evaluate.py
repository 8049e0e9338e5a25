"""Scores predictions.jsonl: accuracy with its interval, F1, classes, and the pairs most often confused.

Runs with a bare Python of 3.10 or later:

    python3 evaluate.py predictions.jsonl --out evaluation.json

An answer without a label (a `problem`) counts as wrong. `chance` is the accuracy of always naming the most
frequent class. `datakit evaluate` says more about the same file.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROUNDS = 2000
"""Bootstrap samples."""


def evaluate(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The scores of predictions whose truth is known."""
    known = [line for line in lines if line.get("label") is not None]
    if not known:
        raise SystemExit("error: no prediction has a `label` to compare with")
    hits = [line.get("predicted") == line["label"] for line in known]
    truth = Counter(line["label"] for line in known)
    named = Counter(line.get("predicted") for line in known)
    right = Counter(line["label"] for line, hit in zip(known, hits, strict=True) if hit)
    classes = {}
    for label, count in sorted(truth.items(), key=lambda item: (-item[1], item[0])):
        precision = right[label] / named[label] if named[label] else 0.0
        recall = right[label] / count
        f1 = 2 * precision * recall / (precision + recall) if right[label] else 0.0
        classes[label] = {"records": count, "precision": precision, "recall": recall, "f1": f1}
    pairs = Counter(
        (line["label"], line["predicted"])
        for line, hit in zip(known, hits, strict=True)
        if not hit and line.get("predicted")
    )
    total = len(known)
    return {
        "records": total,
        "accuracy": sum(hits) / total,
        "accuracy_95": interval(hits),
        "chance": max(truth.values()) / total,
        "macro_f1": sum(entry["f1"] for entry in classes.values()) / len(classes),
        "weighted_f1": sum(entry["f1"] * entry["records"] for entry in classes.values()) / total,
        "problems": dict(Counter(line["problem"] for line in known if line.get("problem"))),
        "classes": classes,
        "confused": [{"label": a, "predicted": b, "times": times} for (a, b), times in pairs.most_common(20)],
    }


def interval(hits: list[bool]) -> list[float]:
    """95% bootstrap interval of the accuracy."""
    dice = random.Random(0)
    means = sorted(sum(dice.choices(hits, k=len(hits))) / len(hits) for _ in range(ROUNDS))
    return [means[int(0.025 * ROUNDS)], means[int(0.975 * ROUNDS) - 1]]


def check_own(out: Path) -> None:
    """Ends where a file that this script did not write would be written over."""
    try:
        own = not out.exists() or "accuracy_95" in json.loads(out.read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        own = False
    if not own:
        raise SystemExit(f"error: {out} holds no scores of this script, and would be written over")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--out", type=Path, help="where the scores go as JSON")
    options = parser.parse_args()
    lines: dict[str, dict[str, Any]] = {}
    for text in options.predictions.read_text("utf-8").splitlines():
        if text.strip():
            line = json.loads(text)
            lines[line["id"]] = line  # the last answer of a record counts
    found = evaluate(list(lines.values()))
    low, high = found["accuracy_95"]
    print(f"{found['records']} records: accuracy {found['accuracy']:.3f} (95%: {low:.3f} to {high:.3f})")
    print(f"the most frequent class alone would give {found['chance']:.3f}")
    print(f"macro F1 {found['macro_f1']:.3f}, weighted F1 {found['weighted_f1']:.3f}")
    for problem, count in found["problems"].items():
        print(f"{count} answers without a label: {problem}")
    for pair in found["confused"][:5]:
        print(f"{pair['times']} times {pair['predicted']} in place of {pair['label']}")
    if options.out:
        check_own(options.out)
        options.out.write_text(json.dumps(found, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
