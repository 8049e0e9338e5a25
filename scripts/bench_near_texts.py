"""Measures how near-duplicate texts are found: CPU seconds, recall and precision on planted pairs.

    python scripts/bench_near_texts.py
    python scripts/bench_near_texts.py --texts 20000 --json

Texts of 80 characters are put together from the sentences of examples/general_zh.json and the lines on the
screens of scripts/ocr_baseline: real ones, and few enough that texts share some. A tenth is a copy of another
text with one to four characters changed, inserted or left out. A pair counts where its Jaccard similarity is
at least the bound.

- recall: planted pairs at the bound or above that came into one group.
- precision: joined pairs that are as alike as the bound says, among all texts that share a group with one
  neighbour; groups join through texts in between, so that a chain may hold pairs below it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from datakit.core.likeness import grams, jaccard
from datakit.core.near_texts import MIN_GRAMS, SAME_TEXT, near_text_groups

ROOT = Path(__file__).resolve().parent.parent
CHARACTERS = 80
MIN_RECALL, MIN_PRECISION = 0.98, 0.95


def sentences() -> list[str]:
    """Sentences of the shipped general set, lines of the fixed screens."""
    general = json.loads((ROOT / "examples" / "general_zh.json").read_text("utf-8"))
    texts = [row[name] for row in general for name in ("instruction", "output")]
    truth = (ROOT / "scripts" / "ocr_baseline" / "ground_truth.jsonl").read_text("utf-8").splitlines()
    lines = ["".join(line["text"] for line in json.loads(row)["lines"]) for row in truth]
    found = [part.strip() for text in texts for part in re.split(r"(?<=[。！？；\n])", text)]
    found += [line[at : at + 20] for line in lines for at in range(0, len(line) - 20, 20)]
    return sorted({part for part in found if len(part) >= 6})


def corpus(count: int, seed: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Texts, and the pairs of them that were planted."""
    rng, parts = random.Random(seed), sentences()
    texts: list[str] = []
    while len(texts) < count * 9 // 10:
        text = ""
        while len(text) < CHARACTERS:
            text += rng.choice(parts)
        texts.append(text[:CHARACTERS])
    planted = []
    for at in rng.sample(range(len(texts)), count - len(texts)):
        planted.append((at, len(texts)))
        texts.append(_changed(texts[at], rng))
    return texts, planted


def _changed(text: str, rng: random.Random) -> str:
    letters = list(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(letters))
        letters[at : at + rng.randint(0, 1)] = rng.choice(["", "某", "的", "一下"])
    return "".join(letters)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--bound", type=float, default=SAME_TEXT)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer-python", help="an interpreter that has datasketch")
    given = parser.parse_args()
    texts, planted = corpus(given.texts, given.seed)
    began = time.process_time()
    numbers = near_text_groups(texts, given.bound, MIN_GRAMS)
    seconds = time.process_time() - began
    near = [pair for pair in planted if _alike(texts, *pair) >= given.bound]
    recall = sum(int(numbers[one] == numbers[two]) for one, two in near) / len(near)
    joined = _neighbours(numbers)
    right = sum(_nearest(texts, row, others) >= given.bound for row, others in joined.items())
    found: dict[str, Any] = {
        "texts": len(texts),
        "bound": given.bound,
        "planted_at_the_bound": len(near),
        "cpu_seconds": round(seconds, 1),
        "recall": round(recall, 4),
        "precision": round(right / max(len(joined), 1), 4),
        "joined": len(joined),
        "largest_group": int(np.bincount(numbers).max()),
    }
    if given.peer_python:
        found["datasketch"] = datasketch(given.peer_python, texts, near, given.bound)
    print(json.dumps(found) if given.json else "\n".join(f"{name} {value}" for name, value in found.items()))
    return 0 if found["recall"] >= MIN_RECALL and found["precision"] >= MIN_PRECISION else 1


def datasketch(python: str, texts: list[str], near: list[tuple[int, int]], bound: float) -> dict[str, float]:
    """CPU seconds of MinHashLSH on the same texts, and the share of the planted pairs that it calls near."""
    work = ROOT / "scripts" / "benchmarks" / "peer_work.py"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.jsonl"
        path.write_text("\n".join(map(json.dumps, texts)), "utf-8")
        command = [python, str(work), "datasketch", str(path), str(bound)]
        told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    pairs = set(map(tuple, told["pairs"]))
    recall = sum(pair in pairs for pair in near) / len(near)
    return {"cpu_seconds": round(told["cpu_s"], 1), "recall": round(recall, 4)}


def _alike(texts: list[str], one: int, two: int) -> float:
    return jaccard(grams(texts[one]), grams(texts[two]))


def _neighbours(numbers: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[int, list[int]]:
    """Text -> the others of its group, of those that are not alone."""
    order = np.argsort(numbers, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    several = [group.tolist() for group in groups if len(group) > 1]
    return {row: [other for other in group if other != row] for group in several for row in group}


def _nearest(texts: list[str], row: int, others: list[int]) -> float:
    return max(_alike(texts, row, other) for other in others)


if __name__ == "__main__":
    sys.exit(main())
