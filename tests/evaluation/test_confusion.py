"""Mistakes between classes, with records to look at."""

from __future__ import annotations

from datakit.artifacts.build_folder import BuildFolder
from tests.support.evaluated_builds import REFUND, RETURN, answers, mistakes, mixed, right


def test_pairs_are_counted_one_way_and_the_other(screens: BuildFolder) -> None:
    found = mistakes(screens, mixed(screens, {REFUND: RETURN, RETURN: REFUND}))
    assert {(pair.truth, pair.answered) for pair in found} == {(REFUND, RETURN), (RETURN, REFUND)}
    one, other = found
    assert (one.share, one.back, one.known) == (1.0, other.count, True)
    assert len(one.examples) == 3
    assert all(path.endswith(".jpg") for example in one.examples for path in example.images)


def test_surest_mistakes_are_shown_first(screens: BuildFolder) -> None:
    items = mixed(screens, {REFUND: RETURN})
    wrong = [at for at, item in enumerate(items) if item.predicted != item.label]
    items[wrong[-1]] = items[wrong[-1]].model_copy(update={"confidence": 0.99})
    found = mistakes(screens, items)
    assert found[0].examples[0].id == items[wrong[-1]].id


def test_no_mistakes_make_no_pairs(small: BuildFolder) -> None:
    assert mistakes(small, answers(small.path, right), "val") == []
