"""Recall and precision of guard.personal_data by kind on planted screens, and its speed, goal beside reached.

    python scripts/bench_personal_data.py
    python scripts/bench_personal_data.py --screens 2000 --seeds 101 102 103 --json

The screens are those of scripts/planted_personal.py; the seeds looked at while the patterns were written were
below 100. A planted value is found where a find of its kind covers it whole, and an address where its
end is covered, which tells the house; a find that touches none of its kind is a false one. Where the package
`phonenumbers` is installed, its matcher reads the same screens
for telephone numbers, and both are timed in the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

from planted_personal import Planter, Screen

from datakit.personal.finding import find
from datakit.personal.spans import KINDS

GOALS = dict.fromkeys(KINDS, (0.95, 0.95)) | {"name": (0.8, 0.9), "address": (0.8, 0.9)}
_RECORD_CHARS = 500


class Counts:
    """What was found of each kind."""

    def __init__(self) -> None:
        self.planted, self.found, self.hits, self.false = Counter(), Counter(), Counter(), Counter()  # type: ignore[var-annotated]
        self.misses: list[str] = []

    def add(self, screen: Screen) -> None:
        """Looks at one screen."""
        places = screen.planted
        spans = find(screen.text)
        for kind, start, end in places:
            self.planted[kind] += 1
            own = [span for span in spans if span.kind == kind and span.overlaps(start, end)]
            covered = sum(min(span.end, end) - max(span.start, start) for span in own)
            left = screen.text[start:end]
            whole = covered == end - start
            fine = any(span.end >= end - 1 for span in own) if kind == "address" else whole
            self.hits[kind] += fine
            if not fine:
                self.misses.append(
                    f"missed {kind}: {left!r} in {screen.text[max(0, start - 12) : end + 8]!r}"
                )
        for span in spans:
            self.found[span.kind] += 1
            if not any(kind == span.kind and span.overlaps(start, end) for kind, start, end in places):
                self.false[span.kind] += 1
                shown = screen.text[max(0, span.start - 10) : span.end + 8]
                self.misses.append(f"false {span.kind}: {screen.text[span.start : span.end]!r} in {shown!r}")

    def table(self) -> dict[str, dict[str, float]]:
        """Recall and precision of each kind."""
        return {
            kind: {
                "planted": self.planted[kind],
                "recall": round(self.hits[kind] / max(self.planted[kind], 1), 4),
                "precision": round(1 - self.false[kind] / max(self.found[kind], 1), 4),
            }
            for kind in KINDS
        }


def speed(screens: list[Screen]) -> dict[str, float]:
    """CPU seconds for 100,000 records of 500 signs, and what `phonenumbers` takes for telephone numbers."""
    whole = "\n".join(screen.text for screen in screens)
    records = [
        whole[at : at + _RECORD_CHARS]
        for at in range(0, min(len(whole), 1000 * _RECORD_CHARS), _RECORD_CHARS)
    ]
    began = time.process_time()
    for record in records:
        find(record)
    own = (time.process_time() - began) / len(records) * 100_000
    figures = {"cpu_s_per_100k": round(own, 1)}
    try:
        import phonenumbers
    except ImportError:
        return figures
    began = time.process_time()
    for record in records[:200]:
        list(phonenumbers.PhoneNumberMatcher(record, "CN"))
    theirs = (time.process_time() - began) / len(records[:200]) * 100_000
    return {**figures, "phonenumbers_cpu_s_per_100k": round(theirs, 1), "ratio": round(theirs / own, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", type=int, default=1000, help="for each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--show", type=int, default=0, help="so many misses and false finds; all are made up")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counts, screens = Counts(), list[Screen]()
    for seed in options.seeds:
        planter = Planter(seed)
        screens += [planter.screen() for _ in range(options.screens)]
    for screen in screens:
        counts.add(screen)
    figures, seconds = counts.table(), speed(screens)
    if options.json:
        print(json.dumps({"kinds": figures, "speed": seconds}, indent=1))
        return
    print(f"{'kind':10} {'planted':>8} {'recall':>8} {'goal':>6} {'precision':>10} {'goal':>6}")
    for kind, row in figures.items():
        recall, precision = GOALS[kind]
        reached = f"{row['recall']:8.4f} {recall:6} {row['precision']:10.4f} {precision:6}"
        print(f"{kind:10} {row['planted']:8,} {reached}")
    print(", ".join(f"{name} {value:,}" for name, value in seconds.items()))
    for line in counts.misses[: options.show]:
        print(line)


if __name__ == "__main__":
    main()
