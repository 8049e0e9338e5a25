"""Lines of a text speak one by one, and a stretch of another class's page is not taken for its own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from datakit.proxy import ProxyData
from datakit.proxy.lines import FEATURES, LineVoice
from datakit.proxy.stretches import MIXED, class_of_lines

WORDS = {
    "支付": ["收银台", "确认付款", "支付方式", "余额支付"],
    "物流": ["包裹运输中", "派送员", "已签收", "快递单号"],
}
EVEN = np.full(3, 1 / 3)


def data(count: int = 20) -> tuple[ProxyData, list[str]]:
    labels = [name for name in WORDS for _ in range(count)]
    texts = ["\n".join(np.random.default_rng(at).permutation(WORDS[name])) for at, name in enumerate(labels)]
    return ProxyData(texts, None, [str(at) for at in range(len(labels))]), labels


def others(*texts: str) -> ProxyData:
    return ProxyData(list(texts), None, [f"other {at}" for at in range(len(texts))])


def slow(said: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The same by its definition: every class, every other one, every place of a stretch."""
    count, classes = said.shape
    scores = shares * (1 - MIXED) * np.exp(said.sum(axis=0))
    kinds = [
        [(0, end) for end in range(1, count)],
        [(start, count) for start in range(1, count)],
        [(start, end) for start in range(1, count) for end in range(start + 1, count)],
    ]
    kinds = [places for places in kinds if places]
    for own, other in product(range(classes), repeat=2):
        for places in kinds if own != other else []:
            for start, end in places:
                line_of = [other if start <= at < end else own for at in range(count)]
                likely = np.exp(said[np.arange(count), line_of].sum())
                scores[own] += shares[own] * MIXED / (classes - 1) / len(kinds) / len(places) * likely
    return scores / scores.sum()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_all_places_of_a_stretch_are_added_up_as_they_are_defined(count: int) -> None:
    said = np.random.default_rng(count).normal(size=(count, 3)) * 2
    shares = np.array([0.5, 0.3, 0.2])
    assert np.allclose(class_of_lines(said, shares), slow(said, shares))


def test_two_halves_of_two_classes_are_not_sure_and_a_frame_owns_what_it_surrounds() -> None:
    one, two = np.array([2.0, -1.0, -1.0]), np.array([-1.0, 2.0, -1.0])
    halves = class_of_lines(np.array([one] * 5 + [two] * 5), EVEN)
    assert halves[0] == pytest.approx(halves[1])
    # More lines of one class are no evidence that the text is its own: counted together they would be.
    uneven = class_of_lines(np.array([one] * 12 + [two] * 5), EVEN)
    assert uneven[0] < 0.6
    framed = class_of_lines(np.array([one] * 4 + [two] * 8 + [one] * 4), EVEN)
    assert framed[0] > 0.95


def test_a_text_without_lines_and_one_class_alone_are_no_error() -> None:
    assert np.allclose(class_of_lines(np.zeros((0, 3)), np.array([0.5, 0.3, 0.2])), [0.5, 0.3, 0.2])
    assert class_of_lines(np.zeros((4, 1)), np.ones(1)).tolist() == [1.0]
    assert np.isfinite(class_of_lines(np.random.default_rng(1).normal(size=(20_000, 3)) * 50, EVEN)).all()


def test_a_voice_hears_labelled_texts_by_other_groups_and_others_by_all() -> None:
    records, labels = data()
    labels[3] = "物流"  # a wrong label does not speak for itself
    voice = LineVoice(
        records, labels, others("派送员\n已签收", "收银台\n确认付款\n支付方式\n派送员\n已签收"), 7
    )
    silent = np.full((42, 2), 0.5)
    said = voice.probabilities(silent)
    assert voice.classes == ("支付", "物流")
    assert np.allclose(said.sum(axis=1), 1)
    assert said[3, 0] > 0.9
    assert said[40, 1] > 0.9
    assert said[41].max() < 0.8  # half of each


def test_a_group_does_not_teach_itself() -> None:
    records, labels = data()
    odd = ["独一无二"] * 6
    texts, groups = [*records.texts, *odd], [*records.groups, *["same"] * 6]
    voice = LineVoice(ProxyData(texts, None, groups), [*labels, *["支付"] * 6], others(), 7)
    alone = voice.probabilities(np.zeros((46, 2)))[40:]
    assert np.allclose(alone, alone[0])
    assert alone[0, 0] < 0.7  # no other record has said the line, so the classes' shares are all there is


def test_evidence_is_of_the_predicted_class_and_a_silent_text_has_none() -> None:
    records, labels = data()
    voice = LineVoice(records, labels, others("派送员\n已签收", " \n"), 7)
    told = voice.evidence(np.ones(42, dtype=np.int64))
    assert told.shape == (42, FEATURES)
    assert told[40, 0] > 0
    assert told[40, 1] > 0
    assert told[40, 2] == 0
    assert told[0, 0] < 0 < told[0, 2]
    assert told[41].tolist() == [0.0, 0.0, 0.0]
    silent = voice.probabilities(np.full((42, 2), [0.9, 0.1]))
    assert silent[41].tolist() == [0.9, 0.1]


def test_no_text_at_all_is_borne() -> None:
    none = LineVoice(ProxyData(["", ""], None, ["a", "b"]), ["支付", "物流"], others(""), 7)
    assert none.evidence(np.zeros(3, dtype=np.int64)).tolist() == [[0.0] * FEATURES] * 3
    assert np.allclose(none.probabilities(np.full((3, 2), 0.5)), 0.5)
