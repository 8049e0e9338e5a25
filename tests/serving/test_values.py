"""Answers to tasks other than one label are predictions with values, which evaluation scores."""

from __future__ import annotations

import pytest

from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import ContractFormat
from datakit.core.contract import AnswerContract
from datakit.serving.asking import Asked, Reply


def reply(text: str) -> Reply:
    return Reply(text, "stop", None, 10, 5, 0.1)


@pytest.mark.parametrize(
    ("form", "text", "values"),
    [
        ("multi_label", "猫、狗", {"labels": "猫、狗"}),
        ("number", "12.5", {"number": "12.5"}),
        ("free_text", "一只猫\n在睡觉", {"answer": "一只猫\n在睡觉"}),
    ],
)
def test_answer_without_a_label_is_kept_as_values(form: str, text: str, values: dict[str, str]) -> None:
    written = ContractFormat.of_contracts([AnswerContract.of(form)]).to_json()
    found = Asked("r1", reply(text), 10, 5, 0.1).prediction(
        AnswerFormat.from_json(written), None, None, (), "m"
    )
    assert (found.values, found.predicted, found.problem) == (values, None, "")


def test_answer_with_a_label_has_no_values() -> None:
    written = ContractFormat.of_contracts([AnswerContract.of("reason_first")]).to_json()
    found = Asked("r1", reply("理由：有购物车\n类别：购物车页面"), 10, 5, 0.1).prediction(
        AnswerFormat.from_json(written), None, "购物车页面", (), "m"
    )
    assert (found.predicted, found.values, found.correct) == ("购物车页面", None, True)
