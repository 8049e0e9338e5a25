"""Probabilities of labels out of token log-probabilities."""

from __future__ import annotations

import math
from typing import Any

import pytest

from datakit.core.answer import AnswerFormat, TurnFormat
from datakit.core.labels import Label, LabelSet
from datakit.serving.asking import Asked, Reply
from datakit.serving.confidence import Token, label_probabilities

ONLY = AnswerFormat((TurnFormat(("label",), ("", "")),))
REASON = AnswerFormat((TurnFormat(("reason", "label"), ("理由：", "\n类别：", "")),))
LABELS = LabelSet((Label("购物车"), Label("购物车页面", aliases=("购物袋",)), Label("店铺"), Label("店招")))
END = "<|im_end|>"


def tokens(*steps: dict[str, float]) -> list[Token]:
    """The first of each step is the chosen one."""
    return [
        Token(next(iter(step)).encode(), tuple((text.encode(), value) for text, value in step.items()))
        for step in steps
    ]


def test_mass_outside_the_label_set_is_left_out() -> None:
    found = label_probabilities(tokens({"购物袋": 0.2, "店铺": 0.1, "天气": 0.7}), ONLY, LABELS)
    assert found == pytest.approx({"购物车": 0, "购物车页面": 2 / 3, "店铺": 1 / 3, "店招": 0})


def test_label_that_begins_another_is_told_apart_by_what_follows() -> None:
    first = {"购物车": 1.0}
    short = label_probabilities(tokens(first, {END: 0.6, "页面": 0.2, "，": 0.2}), ONLY, LABELS)
    long = label_probabilities(tokens(first, {"页面": 0.2, END: 0.6}), ONLY, LABELS)
    assert short is not None
    assert long is not None
    assert short["购物车"] == pytest.approx(0.8)
    assert (long["购物车"], long["购物车页面"]) == (pytest.approx(0.75), pytest.approx(0.25))


def test_unfollowed_branch_is_shared_by_its_labels() -> None:
    found = label_probabilities(tokens({"购物袋": 0.6, "店": 0.4}), ONLY, LABELS)
    assert found is not None
    assert (found["店铺"], found["店招"]) == (pytest.approx(0.2), pytest.approx(0.2))


def test_probabilities_multiply_along_the_way_and_sum_to_one() -> None:
    found = label_probabilities(tokens({"店": 0.5, "购物袋": 0.5}, {"铺": 0.9, "招": 0.1}), ONLY, LABELS)
    assert found is not None
    assert (found["店铺"], found["店招"]) == (pytest.approx(0.45), pytest.approx(0.05))
    assert sum(found.values()) == pytest.approx(1)


def test_label_is_looked_for_where_the_answer_states_it() -> None:
    steps = tokens({"理由：": 1}, {"有店铺": 1}, {"\n类别": 1}, {"：店": 0.5, "：购物袋": 0.5}, {"招": 1})
    found = label_probabilities(steps, REASON, LABELS)
    assert found is not None
    assert (found["店招"], found["购物车页面"]) == (pytest.approx(0.5), pytest.approx(0.5))


def test_characters_that_tokens_cut_in_two_are_put_together() -> None:
    raw = "店招".encode()
    found = label_probabilities(
        [Token(raw[:2], ((raw[:2], 1.0),)), Token(raw[2:], ((raw[2:], 1.0),))], ONLY, LABELS
    )
    assert found is not None
    assert found["店招"] == 1


@pytest.mark.parametrize("said", ["天气", "店铺主", "", "理由：没有"])
def test_answer_without_a_label_has_no_probabilities(said: str) -> None:
    form = REASON if said.startswith("理由") else ONLY
    assert label_probabilities(tokens({said: 1.0}), form, LABELS) is None


def test_server_without_an_end_token_still_gives_the_label() -> None:
    found = label_probabilities(tokens({"购物车": 0.5, "店铺": 0.5}), ONLY, LABELS)
    assert found is not None
    assert found["购物车"] == pytest.approx(0.5)


CART = "购物车页面"


def entry(chosen: str, others: dict[str, float], *, bytes_: list[int] | None = None) -> dict[str, Any]:
    """A token as a server gives it; `bytes_` are what it gives in place of the true ones."""

    def given(text: str) -> list[int]:
        return list(text.encode()) if bytes_ is None else bytes_

    listed = [{"token": text, "bytes": given(text), "logprob": math.log(p)} for text, p in others.items()]
    return {
        "token": chosen,
        "bytes": given(chosen),
        "logprob": math.log(others[chosen]),
        "top_logprobs": listed,
    }


def confidence(entries: list[dict[str, Any]], answer: str = CART, form: AnswerFormat = ONLY) -> float | None:
    reply = Reply(answer, "stop", {"content": entries}, 1, 1, 0.1)
    return Asked("a", reply, 1, 1, 0.1).prediction(form, LABELS, None, (), "m").confidence


def test_whole_tokens_have_a_confidence() -> None:
    whole = [entry("购物车", {"购物车": 0.75, "店铺": 0.25}), entry("页面", {"页面": 1.0})]
    assert confidence(whole) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("", {"": 0.9}), entry("购物车", {"购物车": 1.0}), entry("页面", {"页面": 1.0})],
        [entry("购物车", {"购物车": 0.5}, bytes_=[]), entry("页面", {"页面": 1.0}, bytes_=[])],
        [entry("\ufffd", {"\ufffd": 0.9}), entry("物车", {"物车": 1.0}), entry("页面", {"页面": 1.0})],
        [entry(text, {text: 1.0}) for text in ("<0xE8>", "<0xB4>", "<0xAD>", "物车", "页面")],
        [entry("购物车", {"购物车": 0.5, "": 0.3, "店": 0.2}), entry("页面", {"页面": 1.0})],
        [entry("购物车", {"购物车": 0.6, "\ufffd": 0.4}), entry("页面", {"页面": 1.0})],
        [entry("购物车", {"购物车": 0.6, "<0xE5>": 0.4}), entry("页面", {"页面": 1.0})],
        [entry("Ġè´Ń", {"Ġè´Ń": 1.0})],
    ],
    ids=[
        *("empty", "no bytes", "replacement", "byte fallback"),
        *("other empty", "other replacement", "other byte", "byte alphabet"),
    ],
)
def test_tokens_that_are_no_text_of_their_own_give_no_confidence(entries: list[dict[str, Any]]) -> None:
    assert confidence(entries) is None


def test_half_a_character_in_front_of_the_label_takes_nothing_from_it() -> None:
    entries = [
        entry("理由：", {"理由：": 1.0}),
        entry("", {"": 1.0}),
        entry("鱻", {"鱻": 1.0}),
        entry("\n类别：", {"\n类别：": 1.0}),
        entry(CART, {CART: 0.75, "店铺": 0.25}),
    ]
    assert confidence(entries, f"理由：鱻\n类别：{CART}", REASON) == pytest.approx(0.75)


def test_true_bytes_of_half_a_character_are_read() -> None:
    first, second = CART.encode()[:2], CART.encode()[2:]
    entries = [
        {
            "token": "\\xe8\\xb4",
            "bytes": list(first),
            "logprob": math.log(0.75),
            "top_logprobs": [
                {"token": "\\xe8\\xb4", "bytes": list(first), "logprob": math.log(0.75)},
                {"token": "店铺", "bytes": list("店铺".encode()), "logprob": math.log(0.25)},
            ],
        },
        {
            "token": "x",
            "bytes": list(second),
            "logprob": 0.0,
            "top_logprobs": [
                {"token": "x", "bytes": list(second), "logprob": 0.0},
            ],
        },
    ]
    assert confidence(entries) == pytest.approx(0.75)


def test_unreadable_token_that_hardly_could_have_come_changes_nothing() -> None:
    entries = [entry("购物车", {"购物车": 0.75, "店铺": 0.25, "": 1e-6}), entry("页面", {"页面": 1.0})]
    assert confidence(entries) == pytest.approx(0.75, abs=1e-3)
