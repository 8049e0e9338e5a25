"""The proxy learns from texts and pictures, never sees a group on both sides, and tolerates little."""

from __future__ import annotations

import numpy as np
import pytest

from datakit.proxy import Predicted, ProxyData, fit, out_of_fold
from datakit.proxy.folds import folds

TEXTS = {"退款": "退款金额原路退回", "物流": "包裹运输中派送", "支付": "收银台确认付款"}


def data(count: int = 12) -> tuple[ProxyData, list[str]]:
    labels = [name for name in TEXTS for _ in range(count)]
    texts = [f"{TEXTS[label]} {at}" for at, label in enumerate(labels)]
    return ProxyData(texts, None, [str(at) for at in range(len(labels))]), labels


def test_a_wrong_label_gets_the_least_probability() -> None:
    records, labels = data()
    labels[5] = "物流"
    said = out_of_fold(records, labels, 7)
    assert said.classes == ("支付", "物流", "退款")
    assert np.allclose(said.probabilities.sum(axis=1), 1)
    assert int(said.of(labels).argmin()) == 5
    assert said.best()[5] == "退款"


def test_a_fitted_proxy_names_new_records() -> None:
    records, labels = data()
    fitted = fit(records, labels, 7)
    new = ProxyData(["退款原路退回", "确认付款", ""], None, ["a", "b", "c"])
    said = Predicted(fitted.classes, fitted.probabilities(new))
    assert said.best()[:2] == ["退款", "支付"]
    assert said.probabilities[2].max() < 0.6  # nothing to go by


def test_pictures_tell_where_texts_do_not() -> None:
    random = np.random.default_rng(3)
    labels = ["red", "blue"] * 20
    pictures = random.normal(size=(40, 8)).astype(np.float32) + np.array(
        [[2.0], [-2.0]] * 20, dtype=np.float32
    )
    pictures[0] = np.nan
    said = out_of_fold(ProxyData([""] * 40, pictures, [str(at) for at in range(40)]), labels, 7)
    assert said.best()[1:] == labels[1:]
    assert np.isfinite(said.probabilities).all()


def test_a_picture_without_a_word_is_told_by_its_looks_and_by_who_is_silent() -> None:
    random = np.random.default_rng(3)
    labels = ["photo", "other", "orders"] * 40
    texts = ["" if label != "orders" else f"订单编号 {at}" for at, label in enumerate(labels)]
    # Orders look like photographs: that they have words is all that tells them apart.
    places = np.array([[1.0], [-1.0], [1.0]] * 40, dtype=np.float32)
    pictures = random.normal(size=(120, 8)).astype(np.float32) + 2 * places
    said = out_of_fold(ProxyData(texts, pictures, [str(at) for at in range(120)]), labels, 7)
    assert said.best() == labels
    silent = np.array([not text for text in texts])
    assert said.probabilities[silent].max(axis=1).mean() > 0.9
    assert np.allclose(said.probabilities.sum(axis=1), 1)


def test_a_group_is_never_on_both_sides() -> None:
    groups = [str(at // 3) for at in range(60)]
    fold = folds(np.arange(60) % 4, groups, 5, 7)
    assert all(len(set(fold[at : at + 3])) == 1 for at in range(0, 60, 3))
    assert set(fold) == set(range(5))


@pytest.mark.parametrize("count", [1, 2])
def test_one_class_and_one_record_are_no_error(count: int) -> None:
    records = ProxyData(["退款"] * count, None, [str(at) for at in range(count)])
    assert out_of_fold(records, ["退款"] * count, 7).probabilities.tolist() == [[1.0]] * count
