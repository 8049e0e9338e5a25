"""Changes are compared by record, trainings are pooled, and what chance gives is called noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datakit.evaluation.bootstrap import mcnemar
from datakit.evaluation.metrics import Interval, Table, scores
from datakit.evaluation.pooled import HURTS, NOISE, Noise, compare, expected_gain, holm

CLASSES = 5


class Trainer:
    """Answers records of a planted difficulty, a training's luck on top: a logistic model."""

    def __init__(self, seed: int, records: int = 200, luck: float = 0.0) -> None:
        self.rng, self.luck = np.random.default_rng(seed), luck
        self.truth = self.rng.integers(0, CLASSES, records)
        self.ease = self.rng.normal(2.5, 1.5, records)

    def runs(self, seeds: int, effect: float = 0.0) -> NDArray[np.int64]:
        return np.stack([self._run(effect) for _ in range(seeds)])

    def _run(self, effect: float) -> NDArray[np.int64]:
        chance = 1 / (1 + np.exp(-(self.ease + effect + self.rng.normal(0, self.luck))))
        right = self.rng.random(len(self.truth)) < chance
        other = (self.truth + self.rng.integers(1, CLASSES, len(self.truth))) % CLASSES
        return np.where(right, self.truth, other)


@pytest.mark.parametrize("seeds", [1, 3])
def test_changes_without_an_effect_are_called_noise(seeds: int) -> None:
    noise, draws = 0, 100 if seeds == 1 else 40
    for seed in range(draws):
        trainer = Trainer(seed, luck=0.0 if seeds == 1 else 0.25)
        answers = {name: trainer.runs(seeds) for name in ("base", "one", "two", "three")}
        found = compare(trainer.truth, answers, "base", seed=seed, resamples=300)
        noise += all(effect.verdict == NOISE for effect in found.values())
    assert noise >= 0.92 * draws


def test_a_harmful_change_is_found_among_idle_ones() -> None:
    found = 0
    for seed in range(20):
        trainer = Trainer(seed, luck=0.1)
        answers = {"base": trainer.runs(3), "idle": trainer.runs(3), "bad": trainer.runs(3, -1.2)}
        effects = compare(trainer.truth, answers, "base", seed=seed, resamples=500)
        found += effects["bad"].verdict == HURTS
    assert found >= 18


def test_one_training_each_is_mcnemars_test_and_more_are_not_more_records() -> None:
    trainer = Trainer(3)
    base, other = trainer.runs(1), trainer.runs(1, -0.5)
    once = compare(trainer.truth, {"base": base, "other": other}, "base", seed=1)["other"]
    right = base[0] == trainer.truth, other[0] == trainer.truth
    assert once.p == mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    copies = {"base": np.repeat(base, 4, axis=0), "other": np.repeat(other, 4, axis=0)}
    again = compare(trainer.truth, copies, "base", seed=1)["other"]
    assert again.figures["accuracy"] == once.figures["accuracy"]


def test_figures_are_those_of_the_evaluation() -> None:
    trainer = Trainer(5)
    base, other = trainer.runs(1), trainer.runs(1, -0.5)
    effect = compare(trainer.truth, {"base": base, "other": other}, "base", seed=1, resamples=100)["other"]
    first, second = (scores(Table.of(trainer.truth, own[0], CLASSES)) for own in (base, other))
    for name in ("accuracy", "macro_f1"):
        assert effect.figures[name].value == pytest.approx(second[name] - first[name])


def test_a_handful_of_records_is_never_told_from_chance() -> None:
    truth = np.zeros(5, dtype=np.int64)
    answers = {"base": np.zeros((2, 5), dtype=np.int64), "bad": np.full((2, 5), -1)}
    assert compare(truth, answers, "base", seed=1)["bad"].verdict == NOISE


def test_the_spread_of_trainings_is_pooled_over_changes() -> None:
    noise = Noise.of([np.array([0.8, 0.9]), np.array([0.5, 0.5]), np.array([0.7])])
    assert (noise.degrees, noise.variance) == (2, pytest.approx(0.0025))


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_what_a_change_may_yet_bring_grows_with_its_upper_end() -> None:
    wide, narrow = Interval(0.0, -0.1, 0.1), Interval(0.0, -0.01, 0.01)
    assert expected_gain(wide) > expected_gain(narrow) > expected_gain(Interval(-0.1, -0.11, -0.09))
    assert expected_gain(Interval(0.02, 0.02, 0.02)) == 0.02
