"""Changes compared with their base on the same records, over several trainings of each: numpy alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datakit.evaluation.bootstrap import mcnemar, ratio, resampled
from datakit.evaluation.metrics import RESAMPLES, Counts, Floats, Interval

ALPHA = 0.05
FIGURES = ("accuracy", "macro_f1")
HELPS, HURTS, NOISE = "helps", "hurts", "noise"


@dataclass(frozen=True)
class Effect:
    """A change less the base, each the mean of its trainings."""

    figures: dict[str, Interval]
    """accuracy and macro_f1: the difference and its 95% interval, uncorrected for other comparisons."""
    p: float
    """Two-sided, of accuracy: McNemar's exact test of one training each, else by the bootstrap."""
    p_holm: float
    """The same corrected for all comparisons of the ablation."""
    discordant: float
    """Mean share of records that one of two trainings alone has right."""
    record_share: float
    """Of the variance of the accuracy's difference, the share that is due to which records are held out."""
    seeds: int

    @property
    def verdict(self) -> str:
        """Noise unless the corrected p says else."""
        if self.p_holm >= ALPHA:
            return NOISE
        return HELPS if self.figures["accuracy"].value > 0 else HURTS


@dataclass(frozen=True)
class Noise:
    """The variance of a figure from training to training, pooled over everything that was trained twice."""

    variance: float
    degrees: int
    """0 where nothing was trained twice: then the noise is not known, and no interval has it."""

    @classmethod
    def of(cls, figures: Sequence[Floats]) -> Noise:
        """Of each change's figures, one a training, over the same records."""
        several = [values for values in figures if len(values) > 1]
        degrees = sum(len(values) - 1 for values in several)
        squares = sum(float(((values - values.mean()) ** 2).sum()) for values in several)
        return cls(squares / degrees if degrees else 0.0, degrees)

    def drawn(self, each: float, resamples: int, rng: np.random.Generator) -> Floats:
        """Training's luck in a difference, `each` being the sum of 1 / trainings of its two sides."""
        scale = math.sqrt(self.variance * each)
        return rng.standard_t(self.degrees, resamples) * scale if scale else np.zeros(resamples)


def compare(
    truth: Counts, answers: Mapping[str, Counts], base: str, *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Effect]:
    """The effect of every change, `answers[name]` being (trainings, records) codes, -1 for no label.

    Records are resampled, the same ones for all (a paired bootstrap, Efron and Tibshirani 1993; Berg-
    Kirkpatrick and others 2012). A record counts once however many trainings answered it: their mean is
    compared. To each draw comes the training's own noise, a t variate with the pooled variance over the
    number of trainings, as for a crossed effect (Searle and others 1992, chapter 5); what training and
    record do together is in both parts, so that intervals are rather too wide (Owen 2007).
    Corrected after Holm 1979.
    """
    drawn, values = _drawn(truth, answers, seed, resamples)
    noise = {name: Noise.of([own[name] for own in values.values()]) for name in FIGURES}
    changes = [name for name in answers if name != base]
    rng = np.random.default_rng(seed + 1)
    raw: dict[str, Effect] = {}
    for change in changes:
        each = 1 / len(answers[base]) + 1 / len(answers[change])
        by_name: dict[str, Floats] = {}
        figures: dict[str, Interval] = {}
        for name in FIGURES:
            luck = noise[name].drawn(each, resamples, rng)
            by_name[name] = drawn[change][name] - drawn[base][name] + luck
            low, high = (float(end) for end in np.percentile(by_name[name], (2.5, 97.5)))
            value = float(values[change][name].mean() - values[base][name].mean())
            figures[name] = Interval(value, low, high)
        right = [answers[name] == truth for name in (base, change)]
        records = float(np.var(drawn[change]["accuracy"] - drawn[base]["accuracy"]))
        all_of_it = records + noise["accuracy"].variance * each
        p = _p(right[0], right[1], by_name["accuracy"], resamples)
        share = records / all_of_it if all_of_it else 1.0
        seeds = min(len(answers[base]), len(answers[change]))
        raw[change] = Effect(figures, p, 1.0, _discordant(right[0], right[1]), share, seeds)
    corrected = holm([raw[change].p for change in changes])
    return {
        change: Effect(**{**vars(raw[change]), "p_holm": p})
        for change, p in zip(changes, corrected, strict=True)
    }


def holm(ps: Sequence[float]) -> list[float]:
    """Each p corrected for all of them by Holm's step-down procedure (1979), in the order given."""
    corrected, most = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        most = max(most, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = most
    return corrected


def expected_gain(figure: Interval) -> float:
    """What a change may yet bring: the mean of its gains, losses counted as none (it need not be taken).

    The expected improvement of a normal estimate (Jones and others 1998, equation 15).
    """
    spread = (figure.high - figure.low) / 3.92
    if spread <= 0:
        return max(0.0, figure.value)
    at = figure.value / spread
    density = math.exp(-at * at / 2) / math.sqrt(2 * math.pi)
    return spread * (density + at * (1 + math.erf(at / math.sqrt(2))) / 2)


def _p(base: NDArray[np.bool_], change: NDArray[np.bool_], drawn: Floats, resamples: int) -> float:
    if len(base) == len(change) == 1:
        return mcnemar(int((base[0] & ~change[0]).sum()), int((change[0] & ~base[0]).sum()))
    p = 2 * min(float(np.mean(drawn <= 0)), float(np.mean(drawn >= 0)))
    differing = int((base.mean(axis=0) != change.mean(axis=0)).sum())
    # A bootstrap of a handful of records is too sure: no exact test of so many signs gets below this.
    least = min(1.0, 2.0 ** (1 - differing)) if differing else 1.0
    return min(1.0, max(p, 1 / resamples, least))


def _discordant(base: NDArray[np.bool_], change: NDArray[np.bool_]) -> float:
    first, second = base.mean(axis=0), change.mean(axis=0)
    return float((first * (1 - second) + second * (1 - first)).mean())


Drawn = dict[str, dict[str, Floats]]


def _drawn(truth: Counts, answers: Mapping[str, Counts], seed: int, resamples: int) -> tuple[Drawn, Drawn]:
    """Of each change its figures in every resample, meant over its trainings; and those of each training."""
    classes = 1 + max(int(truth.max()), *(int(own.max()) for own in answers.values()))
    batches: dict[str, list[dict[str, Floats]]] = {name: [] for name in answers}
    for weights in resampled(len(truth), seed, resamples):
        for name, own in answers.items():
            batches[name].append(_figures(truth, own, classes, weights))
    once = np.ones((1, len(truth)))
    values = {name: _figures(truth, own, classes, once) for name, own in answers.items()}
    return (
        {
            name: {
                figure: np.concatenate([batch[figure] for batch in own]).mean(axis=1) for figure in FIGURES
            }
            for name, own in batches.items()
        },
        {name: {figure: own[figure][0] for figure in FIGURES} for name, own in values.items()},
    )


def _figures(truth: Counts, answers: Counts, classes: int, weights: Floats) -> dict[str, Floats]:
    """accuracy and macro_f1, (resamples, trainings); the mean goes over classes that are true or answered."""
    right = answers == truth
    columns = np.arange(classes)
    true = weights @ (truth[:, None] == columns).astype(np.float64)
    macro = []
    for own, own_right in zip(answers, right, strict=True):
        answered = weights @ (own[:, None] == columns).astype(np.float64)
        hits = weights @ ((own[:, None] == columns) & own_right[:, None]).astype(np.float64)
        f1 = ratio(2 * hits, answered + true)
        macro.append(np.nansum(f1, axis=1) / np.maximum(1, (~np.isnan(f1)).sum(axis=1)))
    accuracy: Floats = weights @ right.T.astype(np.float64) / weights.sum(axis=1)[:, None]
    return {"accuracy": accuracy, "macro_f1": np.stack(macro, axis=1)}
