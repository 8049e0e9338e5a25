"""Answers find their records by id; whatever does not is counted and named, and nothing is dropped."""

from __future__ import annotations

import random

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.core.errors import UserError
from datakit.evaluation.from_build import BuildSource
from datakit.evaluation.outcomes import join
from tests.support.evaluated_builds import answers, every_fifth_wrong, right, truths


def test_order_of_the_file_does_not_matter(small: BuildFolder) -> None:
    found = list(answers(small.path, every_fifth_wrong))
    shuffled = random.Random(1).sample(found, len(found))
    assert join(BuildSource(small).truths("val"), shuffled) == join(BuildSource(small).truths("val"), found)


def test_record_without_an_answer_is_a_wrong_answer(small: BuildFolder) -> None:
    found = list(answers(small.path, right))
    outcomes = join(BuildSource(small).truths("val"), found[3:])
    assert outcomes.count == len(found)
    assert outcomes.problems() == {"not_answered": 3}
    assert outcomes.trouble["missing"].count == 3
    assert outcomes.trouble["missing"].ids == tuple(item.id for item in found[:3])


def test_answered_only_scores_what_the_file_has(small: BuildFolder) -> None:
    found = list(answers(small.path, right))
    outcomes = join(BuildSource(small).truths("val"), found[3:], answered_only=True)
    assert (outcomes.count, outcomes.problems()) == (len(found) - 3, {})
    assert outcomes.trouble["missing"].count == 3


def test_of_two_different_answers_none_is_taken_whatever_their_order(small: BuildFolder) -> None:
    found = list(answers(small.path, right))
    wrong = found[0].model_copy(update={"predicted": found[-1].label})
    for every in ([*found, wrong], [wrong, *found]):
        outcomes = join(BuildSource(small).truths("val"), every)
        assert outcomes.trouble["contradicted"].ids == (found[0].id,)
        assert "doubled" not in outcomes.trouble
        assert (outcomes.answers[0].predicted, outcomes.problems()) == (None, {"contradicted": 1})


def test_that_an_answer_did_not_come_says_nothing_against_one(small: BuildFolder) -> None:
    found = list(answers(small.path, right))
    absent = Prediction(id=found[0].id, problem="not_answered")
    for every in ([absent, *found], [*found, absent]):
        outcomes = join(BuildSource(small).truths("val"), every)
        assert (outcomes.trouble, outcomes.problems()) == ({}, {})


def test_strange_doubled_and_other_answers_are_counted_and_named(small: BuildFolder) -> None:
    found = list(answers(small.path, right))
    other = next(iter(truths(small.path, "train")))
    again = found[0].model_copy(update={"answer": "In other words."})
    extra = [
        Prediction(id="stranger", predicted=found[0].label),
        Prediction(id=other, predicted=found[0].label),
        again,
    ]
    outcomes = join(BuildSource(small).truths("val"), [*found, *extra])
    assert outcomes.count == len(found)
    assert outcomes.trouble["unknown_id"].ids == ("stranger",)
    assert outcomes.trouble["other_split"].ids == (other,)
    assert outcomes.trouble["doubled"].ids == (found[0].id,)
    assert outcomes.answers[0] == again


def test_the_builds_label_is_the_truth_and_a_differing_one_is_named(small: BuildFolder) -> None:
    found = list(answers(small.path, right))
    stale = found[0].model_copy(update={"label": next(x for x in found if x.label != found[0].label).label})
    outcomes = join(BuildSource(small).truths("val"), [stale, *found[1:]])
    assert outcomes.trouble["other_truth"].ids == (found[0].id,)
    assert outcomes.truth[0] == found[0].label


def test_aliases_and_widths_are_the_label_and_a_stranger_is_none(small: BuildFolder) -> None:
    found = {item.id: item for item in answers(small.path, right)}
    item = next(item for item in found.values() if item.label == "实物拍摄(含售后)")
    found[item.id] = item.model_copy(update={"predicted": "实物拍摄（含售后）"})
    stranger = next(other for other in found.values() if other.id != item.id)
    found[stranger.id] = stranger.model_copy(update={"predicted": "无此类"})
    outcomes = join(BuildSource(small).truths("val"), found.values())
    by_id = dict(zip(outcomes.ids, outcomes.answers, strict=True))
    assert by_id[item.id].predicted == "实物拍摄(含售后)"
    assert by_id[stranger.id].predicted is None
    assert outcomes.problems() == {"label_unknown": 1}


def test_classes_stand_in_the_order_of_the_label_file(small: BuildFolder) -> None:
    outcomes = join(BuildSource(small).truths("val"), answers(small.path, right))
    assert small.labels is not None
    assert list(outcomes.classes) == [name for name in small.labels.names if name in set(outcomes.truth)]


def test_file_of_another_build_is_refused_with_a_near_id(small: BuildFolder) -> None:
    first = next(iter(truths(small.path)))
    strangers = [Prediction(id=f"{first}x", predicted="首页")]
    with pytest.raises(UserError, match=f"Did you mean `{first}`"):
        join(BuildSource(small).truths("val"), strangers)
    with pytest.raises(UserError, match="no prediction"):
        join(BuildSource(small).truths("val"), [])
    other = [Prediction(id=id_, predicted="首页") for id_ in truths(small.path, "train")]
    with pytest.raises(UserError, match="--split"):
        join(BuildSource(small).truths("val"), other)


def test_split_that_is_not_there_is_refused(small: BuildFolder) -> None:
    with pytest.raises(UserError, match="no records in the split `test`"):
        join(BuildSource(small).truths("test"), [])
