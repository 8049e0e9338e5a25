"""One question to a served model: what its answer states, whatever stands around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer import AnswerFormat, TurnFormat
from datakit.core.labels import Label, LabelSet
from datakit.serving.asking import Asked
from datakit.serving.asking import Reply as ModelReply
from datakit.serving.classifier import CannotClassify, Classifier
from datakit.serving.items import Item
from datakit.serving.records import split_items
from tests.support.loopback import KEY, Loopback, Reply
from tests.support.served import ROOT, made_build, saying

SCREENS = sorted((ROOT / "examples" / "ecom" / "images").glob("*.jpg"))


@pytest.fixture
def classify(small: Path, server: Loopback) -> Iterator[Classifier]:
    with Classifier.from_build(small, server.url) as found:
        yield found


def replying(**fields: object) -> Reply:
    """An answer whose choice and body have these fields."""
    choice = fields.get("choice", {})
    assert isinstance(choice, dict)
    whole = {"message": {"content": "购物车页面"}, "finish_reason": "stop", **choice}
    return Reply(raw=json.dumps({**fields, "choices": [whole]}).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {"choice": {"message": {"content": [{"type": "text", "text": "购物车页面"}]}}},
        {"choice": {"message": {"content": None, "reasoning_content": "购物车页面"}}},
        {"choice": {"message": {"content": "<think>像是\n店铺页面</think>\n\n购物车页面"}}},
        {"choice": {"message": {"content": "像是\n店铺页面\n</think>\n\n购物车页面"}}},
        {"choice": {"message": {"content": "◁think▷店铺页面◁/think▷购物车页面"}}},
        {"choice": {"message": {"content": "购物车页面", "reasoning": "店铺页面"}}},
        {"choice": {"finish_reason": "STOP"}},
        {"choice": {"logprobs": {"content": [{"token": "购", "logprob": None, "top_logprobs": []}]}}},
        {"choice": {"logprobs": {"content": [{"token": "购", "bytes": None, "prob": 0.9, "top_probs": []}]}}},
        {"choice": {"logprobs": [{"token": "购"}]}},
        {"choice": {"logprobs": {"content": None, "tokens": ["购"]}}},
        {"usage": "n/a"},
        {"usage": {"prompt_tokens": "9", "completion_tokens": -1}},
        {"usage": [9]},
        {"prompt_token_ids": "1 2"},
    ],
)
def test_odd_fields_around_an_answer_void_none(
    classify: Classifier, server: Loopback, fields: dict[str, object]
) -> None:
    server.script = lambda call: replying(**fields)
    found = classify(SCREENS[0])
    assert (found.predicted, found.problem, found.answer) == ("购物车页面", "", "购物车页面")
    assert server.count == 1
    if "usage" in fields:
        assert found.tokens_out is None


def test_counts_as_texts_are_counted(classify: Classifier, server: Loopback) -> None:
    server.script = lambda call: replying(usage={"prompt_tokens": "9", "completion_tokens": "3"})
    found = classify(SCREENS[0])
    assert (found.tokens_in, found.tokens_out) == (9, 3)


def test_thinking_is_kept_beside_the_answer_and_its_labels_are_no_answer(
    classify: Classifier, server: Loopback
) -> None:
    server.script = lambda call: saying("<think>\n店铺页面\n但不是\n</think>\n\n购物车页面")
    found = classify(SCREENS[0])
    assert (found.predicted, found.answer, found.thinking) == (
        "购物车页面",
        "购物车页面",
        "店铺页面\n但不是",
    )


def test_confidence_is_that_of_the_answer_behind_the_thinking(classify: Classifier, server: Loopback) -> None:
    steps = [
        ("<think>", {"<think>": 1.0}),
        ("店铺页面", {"店铺页面": 0.9, "购物车页面": 0.1}),
        ("</think>", {"</think>": 1.0}),
        ("购物车页面", {"购物车页面": 0.75, "店铺页面": 0.25}),
    ]
    server.script = lambda call: saying("<think>店铺页面</think>购物车页面", steps)
    assert classify(SCREENS[0]).confidence == pytest.approx(0.75)


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": "<think>像是\n购物车页面"}, "finish_reason": "length"},
        {"message": {"content": "<think>像是\n购物车页面"}, "finish_reason": "stop"},
        {
            "message": {"content": None, "reasoning_content": "像是\n购物车页面"},
            "finish_reason": "MAX_TOKENS",
        },
    ],
)
def test_thought_that_was_cut_is_no_answer_and_says_what_to_do(
    classify: Classifier, server: Loopback, choice: dict[str, object]
) -> None:
    server.script = lambda call: replying(choice=choice)
    found = classify(SCREENS[0])
    assert (found.predicted, found.problem, found.answer) == (None, "thinking_cut", "")
    assert "--max-answer-tokens" in found.detail
    assert "购物车页面" in found.thinking, "it was paid for, and is kept"


@pytest.mark.parametrize(
    ("choice", "detail"),
    [
        ({"message": {"content": None, "refusal": "不便回答"}}, "不便回答"),
        ({"message": {"content": ""}, "finish_reason": "SAFETY"}, "content filter"),
    ],
)
def test_refusal_is_told_as_one(
    classify: Classifier, server: Loopback, choice: dict[str, object], detail: str
) -> None:
    server.script = lambda call: replying(choice=choice)
    found = classify(SCREENS[0])
    assert (found.predicted, found.problem) == (None, "refused")
    assert detail in found.detail


def test_earlier_answers_of_a_dialogue_stand_without_their_thinking(tmp_path: Path, server: Loopback) -> None:
    build = made_build(tmp_path, answer="label_only", records=3)
    item = split_items(BuildFolder(build), "train")[0]
    turns = (
        {"role": "user", "content": "<image>描述图片。"},
        {"role": "assistant", "content": "训练里的描述"},
        {"role": "user", "content": "属于哪一类？"},
    )
    server.script = lambda call: saying("<think>想</think>一张截图" if call.number == 0 else "店铺页面")
    with Classifier.from_build(build, server.url) as classify:
        list(classify.classify_many([Item(item.images, item.id, messages=turns)]))
    assert server.calls[1].body["messages"][1]["content"] == "一张截图"


def test_form_that_was_trained_with_tags_of_thinking_is_read_with_them() -> None:
    form = AnswerFormat((TurnFormat(("reason", "label"), ("<think>", "</think>\n类别：", "")),))
    labels = LabelSet((Label("甲"), Label("乙")))
    reply = ModelReply("<think>不是乙</think>\n类别：甲", "stop", None, 1, 1, 0.1)
    found = Asked("a", reply, 1, 1, 0.1).prediction(form, labels, "甲", (), "m")
    assert (found.predicted, found.reason, found.thinking) == ("甲", "不是乙", "")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(422, raw=b'{"detail": [{"msg": "no such field"}]}'), "no such field"),
        (Reply(400, raw=b'{"error_code": 7, "error_msg": "too many"}'), "7: too many"),
        (Reply(400, raw=b"<html><body><p>proxy &amp; co</p></body></html>"), "HTTP 400: proxy & co"),
    ],
)
def test_words_of_a_refusal_reach_the_user_without_the_key(
    classify: Classifier, server: Loopback, reply: Reply, words: str
) -> None:
    server.script = lambda call: reply
    with pytest.raises(CannotClassify, match=words):
        classify(SCREENS[0])
    server.script = lambda call: Reply(400, raw=json.dumps({"detail": f"who is {KEY}?"}).encode())
    with pytest.raises(CannotClassify, match=r"who is \*\*\*\?"):
        classify(SCREENS[0])
