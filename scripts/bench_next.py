"""Labels that `datakit next` saves on hard drawn screens, beside records drawn by chance.

    python scripts/bench_next.py --seeds 9901-9910
    python scripts/bench_next.py --seeds 9901-9910 --rounds-of 40 --jobs 2

Each seed draws 2,100 screens by their text alone (screens/hard.py); a third of the pages is held out, the
rest is a pool. Three ways label so many records a round, by the truth: `chance` drawn ones; `next` those that
datakit.proxy.worth chooses out of what the proxy says, beginning with the very set that `chance` drew first;
`alone` likewise, but it chooses the first set too, as `datakit next` does where no record has a label. After
each round the proxy learns from what is labelled and is scored on the held-out screens. Counted is how many
labels, the first set among them, it takes to reach a share of the score that the whole pool gives, between
rounds in proportion. The shares, the first set and the rounds were set before any of the seeds was drawn.
At the end stands the goal beside what was reached: the mean labels of either way over those of `chance`; of
`next` also without the drawn set, which no way of choosing could have made smaller.
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
from datakit.proxy.worth import Beliefs, most_worth  # noqa: E402

SCREENS = 2100
SEED = 7
SHARES = (0.90, 0.95)
"""Of the score that the whole pool gives."""
GOAL = 0.60
"""Labels of a way over those of `chance`, as a mean of 10 seeds, at each share."""
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


Way = Callable[[Screens, FittedProxy | None, Rows, Rows, int, int], Rows]
"""The rows to label: of screens, by what was learnt, those labelled, those that are not, how many, seed."""


def by_worth(
    screens: Screens, fitted: FittedProxy | None, known: Rows, free: Rows, count: int, seed: int
) -> Rows:
    others = screens.data.take(free)
    said = Beliefs.none(len(known), len(free))
    if fitted is not None:
        given = screens.labels[known][:, None] == np.array(fitted.classes, dtype=object)
        said = Beliefs(given.astype(np.float64), fitted.probabilities(others))
    return free[[pick.row for pick in most_worth(screens.data.take(known), others, said, count, SEED)]]


def by_chance(
    screens: Screens, fitted: FittedProxy | None, known: Rows, free: Rows, count: int, seed: int
) -> Rows:
    return np.random.default_rng([seed, len(known)]).choice(free, min(count, len(free)), replace=False)


WAYS: dict[str, tuple[Way, Way]] = {
    "next": (by_chance, by_worth),
    "alone": (by_worth, by_worth),
    "chance": (by_chance, by_chance),
}
"""How the first set is chosen, and how what follows."""


def needed(
    screens: Screens, way: tuple[Way, Way], wanted: Needed, seed: int, start: int, count: int
) -> Needed:
    """Labels that a way takes to reach the scores; it ends when all are reached."""
    pool = np.arange(screens.pool)
    known = way[0](screens, None, pool[:0], pool, start, seed)
    found, before = Needed(), (0, (0.0, 0.0))
    while True:
        fitted = screens.learnt(known)
        scores = screens.scores(fitted)
        for (name, share), bound in wanted.items():
            at = SCORES.index(name)
            if (name, share) not in found and scores[at] >= bound:
                part = (bound - before[1][at]) / (scores[at] - before[1][at])
                found[name, share] = before[0] + part * (len(known) - before[0])
        free = np.setdiff1d(pool, known)
        if len(found) == len(wanted) or not len(free):
            return {key: found.get(key, float("nan")) for key in wanted}
        before = len(known), scores
        chosen = way[1](screens, fitted, known, free, count, seed)
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
    parser.add_argument("--seeds", default="9901-9910")
    parser.add_argument("--start", type=int, default=40, help="labels to begin with, drawn")
    parser.add_argument("--rounds-of", type=int, default=20, help="labels a round")
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    keys = [(name, share) for name in SCORES for share in SHARES]
    print(f"{'labels for':14}" + "".join(f"{f'{share:.0%} of {name}':>24}" for name, share in keys))
    print(f"{'seed':>6} {'':7}" + "".join(f"{name:>8}" for name in WAYS) * len(keys))
    every: list[dict[str, Needed]] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        work = partial(of_seed, start=given.start, count=given.rounds_of)
        for seed, found, whole, seconds in pool.map(work, seeds):
            every.append(found)
            tail = f"  (whole pool {whole[0]:.3f}, {whole[1]:.3f}; CPU {seconds:.0f} s)"
            print(f"{seed:>6} {'':7}" + row([found], keys) + tail, flush=True)
    print(f"{'mean':>6} {'':7}" + row(every, keys))
    for way in ("next", "alone"):
        for key in keys:
            ratio = mean(every, way, key) / mean(every, "chance", key)
            words = "holds" if ratio <= GOAL else "missed"
            if way == "next":
                after = (mean(every, way, key) - given.start) / (mean(every, "chance", key) - given.start)
                words += f" (without the drawn set {after:.3f})"
            what = f"{way}: labels for {key[1]:.0%} of {key[0]}"
            print(f"{what:38} <= {GOAL:.2f} of chance  {ratio:.3f}  {words}")


def mean(every: Sequence[dict[str, Needed]], way: str, key: tuple[str, float]) -> float:
    """Labels of a way."""
    return float(np.mean([found[way][key] for found in every]))


def row(every: Sequence[dict[str, Needed]], keys: Sequence[tuple[str, float]]) -> str:
    return "".join(f"{mean(every, way, key):8.0f}" for key in keys for way in WAYS)


if __name__ == "__main__":
    main()
