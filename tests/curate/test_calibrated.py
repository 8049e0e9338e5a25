"""How sure a prediction is: what the curve says of records that it was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from datakit.curate._calibrated import Bools, Floats, calibrate

CLASSES, EVIDENCE = 20, 8
DRAWS = range(40)


def drawn(rng: np.random.Generator, count: int) -> tuple[Floats, list[str], Bools, Floats]:
    """Predictions that are right as often as they say; their class and the evidence tell nothing more."""
    odds = rng.normal(2.0, 1.6, count)
    right = rng.random(count) < 1 / (1 + np.exp(-odds))
    predicted = [f"c{number}" for number in rng.integers(CLASSES, size=count)]
    return 1 / (1 + np.exp(-odds)), predicted, right, rng.normal(size=(count, EVIDENCE))


@pytest.mark.parametrize("known", [100, 250, 700])
def test_what_the_curve_is_sure_of_is_right_as_often_among_new_records(known: int) -> None:
    too_sure = []
    for seed in DRAWS:
        rng = np.random.default_rng(seed)
        probabilities, predicted, right, evidence = drawn(rng, known)
        calibration = calibrate(probabilities, predicted, right, evidence)
        probabilities, predicted, right, evidence = drawn(rng, 2000)
        sure = calibration.sure(probabilities, predicted, evidence)
        surest = np.argsort(-sure)[: int(0.6 * len(sure))]
        too_sure.append(sure[surest].mean() - right[surest].mean())
    assert abs(np.mean(too_sure)) < 0.006
