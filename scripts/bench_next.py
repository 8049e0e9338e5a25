"""Labels that `datakit next` saves on hard drawn screens, beside records drawn by chance.

    python scripts/bench_next.py --seeds 9801-9810
    python scripts/bench_next.py --seeds 9801-9810 --rounds-of 40 --jobs 2

Each seed draws 2,100 screens by their text alone (screens/hard.py); a third of the pages is held out, the
rest is a pool of which a drawn start set is labelled. Then both ways label so many records a round, by the
truth: `next` those that datakit.proxy.worth chooses out of what the proxy says, `chance` drawn ones. After
each round the proxy learns from what is labelled and is scored on the held-out screens. Counted is how many
labels, the start set among them, it takes to reach a share of the score that the whole pool gives, between
rounds in proportion. The shares, the start set and the rounds were set before any of the seeds 9801-9810 was
drawn. At the end stands the goal beside what was reached: the mean labels of `next` over those of `chance`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from screens.hard import hard_screens  # noqa: E402

from datakit.proxy import FittedProxy, ProxyData, fit  # noqa: E402
from datakit.proxy.data import Rows  # noqa: E402
from datakit.proxy.worth import most_worth  # noqa: E402

SCREENS = 2100
SEED = 7
SHARES = (0.90, 0.95)
"""Of the score that the whole pool gives."""
GOAL = 0.60
"""Labels of `next` over those of `chance`, as a mean of 10 seeds, at each share."""
SCORES = ("accuracy", "macro-F1")
Needed = dict[tuple[str, float], float]
"""Score and share -> labels, NaN where the whole pool is not enough; or the score itself."""


@dataclass(frozen=True)
class Screens:
    """The pool, and after it the held-out screens."""

    data: ProxyData
    labels: np.ndarray
    pool: int

    @classmethod
    def drawn(cls, seed: int) -> Screens:
        sides: dict[int, int] = {}
        held, pool = [], []
        for screen in hard_screens(seed, SCREENS):
            side = sides.setdefault(screen.page, len(sides) % 3)
            (held if side == 2 else pool).append(screen)
        every = [*pool, *held]
        data = ProxyData([one.text for one in every], None, [str(one.page) for one in every])
        return cls(data, np.array([one.label for one in every], dtype=object), len(pool))

    def learnt(self, rows: Rows) -> FittedProxy:
        return fit(self.data.take(rows), self.labels[rows].tolist(), SEED)

    def scores(self, fitted: FittedProxy) -> tuple[float, float]:
        """Accuracy and macro-F1 of the held-out screens."""
        held = np.arange(self.pool, len(self.labels))
        said = fitted.probabilities(self.data.take(held))
        predicted = np.array(fitted.classes, dtype=object)[said.argmax(axis=1)]
        return float((predicted == self.labels[held]).mean()), macro_f1(self.labels[held], predicted)


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 of the classes that occur."""
    found = []
    for name in sorted(set(truth)):
        right = int(((truth == name) & (predicted == name)).sum())
        found.append(2 * right / (int((truth == name).sum()) + int((predicted == name).sum())))
    return float(np.mean(found))


Way = Callable[[Screens, FittedProxy, Rows, Rows, int, int], Rows]
"""The rows to label: of screens, by what was learnt, those labelled, those that are not, how many, seed."""


def by_worth(screens: Screens, fitted: FittedProxy, known: Rows, free: Rows, count: int, seed: int) -> Rows:
    others = screens.data.take(free)
    wrong = 1 - fitted.probabilities(others).max(axis=1)
    return free[[pick.row for pick in most_worth(screens.data.take(known), others, wrong, count, SEED)]]


def by_chance(screens: Screens, fitted: FittedProxy, known: Rows, free: Rows, count: int, seed: int) -> Rows:
    return np.random.default_rng([seed, len(known)]).choice(free, min(count, len(free)), replace=False)


WAYS: dict[str, Way] = {"next": by_worth, "chance": by_chance}


def needed(screens: Screens, way: Way, wanted: Needed, seed: int, start: int, count: int) -> Needed:
    """Labels that a way takes to reach the scores; it ends when all are reached."""
    known = np.random.default_rng([seed, 0]).choice(screens.pool, start, replace=False)
    found, before = Needed(), (0, (0.0, 0.0))
    while True:
        fitted = screens.learnt(known)
        scores = screens.scores(fitted)
        for (name, share), bound in wanted.items():
            at = SCORES.index(name)
            if (name, share) not in found and scores[at] >= bound:
                part = (bound - before[1][at]) / (scores[at] - before[1][at])
                found[name, share] = before[0] + part * (len(known) - before[0])
        free = np.setdiff1d(np.arange(screens.pool), known)
        if len(found) == len(wanted) or not len(free):
            return {key: found.get(key, float("nan")) for key in wanted}
        before = len(known), scores
        chosen = way(screens, fitted, known, free, count, seed)
        known = np.concatenate([known, chosen if len(chosen) else free])


def of_seed(seed: int, start: int, count: int) -> tuple[int, dict[str, Needed], tuple[float, float], float]:
    began = time.process_time()
    screens = Screens.drawn(seed)
    whole = screens.scores(screens.learnt(np.arange(screens.pool)))
    wanted = {(name, share): share * whole[at] for at, name in enumerate(SCORES) for share in SHARES}
    found = {name: needed(screens, way, wanted, seed, start, count) for name, way in WAYS.items()}
    return seed, found, whole, time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="9801-9810")
    parser.add_argument("--start", type=int, default=40, help="labels to begin with, drawn")
    parser.add_argument("--rounds-of", type=int, default=20, help="labels a round")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    keys = [(name, share) for name in SCORES for share in SHARES]
    print(f"{'':14}" + "".join(f"{f'{share:.0%} of {name}':>26}" for name, share in keys))
    print(f"{'seed':>6} {'':7}" + f"{'next':>9}{'chance':>9}{'ratio':>8}" * len(keys))
    every: list[dict[str, Needed]] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        work = partial(of_seed, start=given.start, count=given.rounds_of)
        for seed, found, whole, seconds in pool.map(work, seeds):
            every.append(found)
            tail = f"  (whole pool {whole[0]:.3f}, {whole[1]:.3f}; CPU {seconds:.0f} s)"
            print(f"{seed:>6} {'':7}" + row([found], keys) + tail, flush=True)
    print(f"{'mean':>6} {'':7}" + row(every, keys))
    for name, share in keys:
        ratio = ratio_of(every, (name, share))
        words = "holds" if ratio <= GOAL else "missed"
        print(f"{f'labels for {share:.0%} of {name}':32} <= {GOAL:.2f} of chance  {ratio:.3f}  {words}")


def ratio_of(every: Sequence[dict[str, Needed]], key: tuple[str, float]) -> float:
    """Of the mean labels of both ways."""
    ours, chance = (float(np.mean([found[way][key] for found in every])) for way in ("next", "chance"))
    return ours / chance


def row(every: Sequence[dict[str, Needed]], keys: Sequence[tuple[str, float]]) -> str:
    told = ""
    for key in keys:
        ours, chance = (float(np.mean([found[way][key] for found in every])) for way in ("next", "chance"))
        told += f"{ours:9.0f}{chance:9.0f}{ours / chance:8.2f}"
    return told


if __name__ == "__main__":
    main()
