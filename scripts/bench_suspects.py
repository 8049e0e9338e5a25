"""Measures whether several voices find more wrong labels than the proxy's ranking alone.

    python scripts/bench_suspects.py
    python scripts/bench_suspects.py --seeds 10 --first 300 --json

Hard drawn screens (scripts/screens/hard.py) get a share of wrong labels, uniform or confusable, from seeds
that nothing was chosen by. The peer is the ranking by the proxy's out-of-fold probability of the given label,
which is one of the voices. Each line adds voices to it, ranks by curate.suspects and lets the records that
nobody doubts follow in the proxy's order. Recall is the share of the wrong labels among the first 6% of the
records (2% noise) or 10% (5%); ratio and gain are to the peer in the same run, the interval is that of the
gains by seed.

- duplicates: screens that were sent twice (5%), of which one has another label
- description: keywords of the shipped label file, written beside the pages: on others they know less
- model: no model runs here. A voice is drawn that declines a wrong label in 60% of the cases, names the true
  one in 80% of those, and declines 2% of the right ones, as the reason of a large model or `datakit kfold`
  might. It shows what the join makes of such a voice, and is no figure of any model.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path

import polars as pl

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from screens.hard import HardScreen, hard_screens, neighbours  # noqa: E402

from datakit.core.labels import load_labels  # noqa: E402
from datakit.core.step_context import StepContext  # noqa: E402
from datakit.curate.suspects import Suspects  # noqa: E402
from datakit.proxy import ProxyData, out_of_fold  # noqa: E402

LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
SETTINGS = ((0.02, "uniform"), (0.02, "confusable"), (0.05, "uniform"), (0.05, "confusable"))
FIRST = {0.02: 0.06, 0.05: 0.10}
ALONE: dict[str, tuple[str, ...]] = {
    "proxy": (),
    "+ duplicates": ("duplicate_of",),
    "+ description": ("ocr_text",),
    "+ duplicates, description": ("duplicate_of", "ocr_text"),
    "+ model (drawn)": ("reason_declined", "reason_better"),
    "+ all": ("duplicate_of", "ocr_text", "reason_declined", "reason_better"),
}
"""Line -> the columns that it adds to the proxy's."""
LEAST_RATIO = 0.97
"""Of the mean recall over all kinds of noise: the join may not lose what the proxy alone finds."""


def planted(screens: list[HardScreen], share: float, kind: str, seed: int) -> list[str]:
    """The labels with a share of wrong ones."""
    dice = random.Random(f"{seed} {share} {kind}")
    labels = [screen.label for screen in screens]
    names, near = sorted(set(labels)), neighbours()
    for at in dice.sample(range(len(labels)), round(share * len(labels))):
        confusable = [name for name in near.get(labels[at], []) if name != labels[at] and name in names]
        others = confusable if kind == "confusable" and confusable else names
        labels[at] = dice.choice([name for name in others if name != labels[at]])
    return labels


def table(screens: list[HardScreen], labels: list[str], seed: int) -> pl.DataFrame:
    """The records with the columns of every voice."""
    data = ProxyData([screen.text for screen in screens], None, [str(screen.page) for screen in screens])
    said = out_of_fold(data, labels, seed)
    given, best = said.of(labels), said.best()
    rank = pl.Series(given).rank("ordinal").cast(pl.Int64)
    dice = random.Random(f"model {seed}")
    names = sorted(set(labels))
    declined: list[str | None] = []
    better: list[str | None] = []
    for screen, label in zip(screens, labels, strict=True):
        refuses = dice.random() < (0.6 if label != screen.label else 0.02)
        true = screen.label if dice.random() < 0.8 and label != screen.label else dice.choice(names)
        declined.append("does not fit" if refuses else None)
        better.append(true if refuses and true != label else None)
    first: dict[int, int] = {}
    for at, screen in enumerate(screens):
        first.setdefault(screen.page, at)
    return pl.DataFrame(
        {
            "id": [f"s{at:05d}" for at in range(len(screens))],
            "label": labels,
            "images": [[] for _ in screens],
            "text": [None] * len(screens),
            "noise_rank": rank,
            "noise_probability": given.tolist(),
            "noise_label": best,
            "duplicate_of": [f"s{first[screen.page]:05d}" for screen in screens],
            "ocr_text": [screen.text for screen in screens],
            "reason_declined": declined,
            "reason_better": better,
            "wrong": [label != screen.label for screen, label in zip(screens, labels, strict=True)],
        },
        schema_overrides={"images": pl.List(pl.String), "text": pl.String, "reason_better": pl.String},
    )


def recall(rows: pl.DataFrame, columns: tuple[str, ...], first: float) -> float:
    """The share of wrong labels among the first records."""
    base = ["id", "label", "images", "text", "noise_rank", "noise_probability", "noise_label"]
    ranked = rows.with_columns(suspect_rank=pl.lit(None, pl.Int64))
    if columns:
        context = StepContext(base=ROOT, project=ROOT, labels=LABELS)
        made = Suspects().apply(rows.select(*base, *columns).lazy(), context).frame.collect()
        ranked = rows.join(made.select("id", "suspect_rank"), on="id")
    ranked = ranked.sort(pl.col("suspect_rank"), "noise_rank", nulls_last=True)
    head = ranked.head(round(first * rows.height))
    return float(head["wrong"].sum() / rows["wrong"].sum())


def measured(seeds: list[int], records: int) -> list[dict[str, object]]:
    """A line for each share and kind of noise and each set of voices."""
    lines: list[dict[str, object]] = []
    for share, kind in SETTINGS:
        found: dict[str, list[float]] = {name: [] for name in ALONE}
        for seed in seeds:
            screens = hard_screens(seed, records)
            rows = table(screens, planted(screens, share, kind, seed), seed)
            for name, columns in ALONE.items():
                found[name].append(recall(rows, columns, FIRST[share]))
        peer = found["proxy"]
        for name, values in found.items():
            gains = [value - other for value, other in zip(values, peer, strict=True)]
            spread = 1.96 * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
            lines.append(
                {
                    "noise": share,
                    "kind": kind,
                    "voices": name,
                    "recall": statistics.mean(values),
                    "ratio": statistics.mean(values) / statistics.mean(peer),
                    "gain": statistics.mean(gains),
                    "interval": spread,
                }
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=900, help="the first seed")
    parser.add_argument("--records", type=int, default=700)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    began = time.process_time()
    lines = measured(list(range(given.first, given.first + given.seeds)), given.records)
    if given.json:
        print(json.dumps(lines, ensure_ascii=False, indent=2))
    else:
        for line in lines:
            print(
                f"{line['noise']:.0%} {line['kind']:<11} {line['voices']:<26} recall {line['recall']:.3f}  "
                f"ratio {line['ratio']:.2f}  gain {line['gain']:+.3f} ± {line['interval']:.3f}"
            )
        print(f"{time.process_time() - began:.0f} CPU seconds")
    means = {
        name: statistics.mean(float(str(line["recall"])) for line in lines if line["voices"] == name)
        for name in ALONE
    }
    return int(any(mean < LEAST_RATIO * means["proxy"] for mean in means.values()))


if __name__ == "__main__":
    sys.exit(main())
