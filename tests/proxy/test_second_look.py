"""Lines speak for themselves, and the likeliest wrong labels do not judge a second time."""

from __future__ import annotations

import numpy as np
import pytest

from datakit.proxy import FittedProxy, Predicted, ProxyData
from datakit.proxy.second_look import judged, second_look
from datakit.proxy.spaces import TextSpace, whole_lines
from datakit.proxy.suspicion import suspicion
from datakit.proxy.voices import Lines

TEXTS = {"退款": "退款金额\n原路退回", "物流": "包裹运输中\n派送", "支付": "收银台\n确认付款"}


def data(count: int = 12) -> tuple[ProxyData, list[str]]:
    labels = [name for name in TEXTS for _ in range(count)]
    texts = [f"{TEXTS[label]}\n尾号 {chr(0x4E00 + 7 * at)}" for at, label in enumerate(labels)]
    return ProxyData(texts, None, [str(at) for at in range(len(labels))]), labels


def test_a_line_of_the_class_outweighs_lines_that_nobody_knows() -> None:
    records, labels = data()
    space = TextSpace(records.texts, whole_lines, 7)
    given = np.array([list(TEXTS).index(label) for label in labels])
    lines = Lines(space.counts, given, 3)
    said = lines.values(space.weigh(["派送\n没见过的字\n又一行", "没见过的字", "派送\n确认付款"]))
    assert said[0].argmax() == 1
    assert np.allclose(said[1], 0)
    assert said[2, 1] == pytest.approx(said[2, 2])
    assert said[2, 1] > said[2, 0]


def test_a_wrong_label_pulls_nobody_at_the_second_look() -> None:
    records, labels = data()
    labels[1] = "物流"
    fitted = FittedProxy(records, labels, 7)
    first = Predicted(fitted.classes, fitted.out_of_fold())
    said, order = judged(fitted, records, labels, {}, 7)
    assert np.allclose(said.probabilities.sum(axis=1), 1)
    assert int(order.argmin()) == 1
    others = [row for row in range(12) if row != 1]
    right = [said.of(labels)[row] - first.of(labels)[row] for row in others]
    assert np.mean(right) > 0


def test_a_group_leaves_together_so_that_its_records_never_judge_each_other() -> None:
    records, labels = data()
    texts, groups = list(records.texts), list(records.groups)
    texts[0] = texts[1] = "退款金额\n原路退回\n同一单"
    groups[0] = groups[1] = "one order"
    labels[0] = labels[1] = "物流"
    together = ProxyData(texts, None, groups)
    fitted = FittedProxy(together, labels, 7)
    said, _ = judged(fitted, together, labels, {}, 7)
    assert (said.of(labels)[:2] < 0.2).all()
    assert said.best()[:2] == ["退款", "退款"]


def test_a_class_keeps_half_of_its_records_and_one_whose_last_is_in_a_group_is_no_error() -> None:
    records, labels = data()
    labels[0] = "单独"
    labels[12] = labels[13] = "成双"
    groups = list(records.groups)
    groups[12] = groups[13] = "both"
    odd = ProxyData(records.texts, None, groups)
    fitted = FittedProxy(odd, labels, 7)
    first = Predicted(fitted.classes, fitted.out_of_fold())
    said = second_look(odd, labels, first, suspicion(first, labels, {}), 7)
    assert said.probabilities.shape == (36, 5)
    assert np.allclose(said.probabilities.sum(axis=1), 1)


def test_records_that_are_all_of_one_group_are_judged_once() -> None:
    records, labels = data(4)
    one = ProxyData(records.texts, None, ["same"] * 12)
    fitted = FittedProxy(one, labels, 7)
    first = Predicted(fitted.classes, fitted.out_of_fold())
    assert second_look(one, labels, first, suspicion(first, labels, {}), 7) is first
