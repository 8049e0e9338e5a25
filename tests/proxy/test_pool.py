"""A pool of voices listens to those that know something, and keeps to nothing that it cannot learn."""

from __future__ import annotations

import numpy as np
import pytest

from datakit.proxy.pool import pool_weights, pooled


def voice(given: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Three classes; the right one is the likeliest of so many records, any one of the others."""
    random = np.random.default_rng(seed)
    said = np.full((len(given), 3), 0.15)
    heard = np.where(random.random(len(given)) < share, given, random.integers(0, 3, len(given)))
    said[np.arange(len(given)), heard] = 0.7
    return said


def test_a_voice_that_knows_nothing_gets_almost_no_weight() -> None:
    given = np.arange(600) % 3
    knows, guesses = pool_weights([voice(given, 0.8, 1), voice(given, 0.0, 2)], given)
    assert knows > 0.8
    assert guesses < 0.15


def test_two_voices_of_different_mistakes_are_right_more_often_than_each() -> None:
    given = np.arange(600) % 3
    voices = [voice(given, 0.6, seed) for seed in (1, 2, 3)]
    both = pooled(voices, pool_weights(voices, given))
    rights = [(said.argmax(axis=1) == given).mean() for said in (*voices, both)]
    assert rights[-1] > max(rights[:-1]) + 0.05
    assert both.sum(axis=1) == pytest.approx(1)


def test_a_few_records_hardly_move_the_weights() -> None:
    given = np.array([0, 1, 2])
    weights = pool_weights([voice(given, 1.0, 1), voice(given, 0.0, 5)], given)
    assert weights == pytest.approx([0.5, 0.5], abs=0.3)


def test_a_voice_that_is_certain_and_wrong_silences_nobody() -> None:
    wrong, right = np.array([[1.0, 0.0]]), np.array([[0.02, 0.98]])
    assert np.isfinite(pooled([wrong, right], [0.5, 0.5])).all()
