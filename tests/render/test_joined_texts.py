"""Prompts whose parts together make a token, and prompts that could lose a place when shortened."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.labels import Label, LabelSet
from datakit.core.step_context import StepContext
from datakit.core.templates import breaking_token, joined
from datakit.render.chat import Chat
from tests.support.chat_records import CART, LABELS, contents, record, run, write

TOKENS = ("<image>", "<video>", "<|im_end|>", "<|image_pad|>", "<think>", "</tool_call>", "{{idx}}")
PLACES = "{% for _ in images %}<image>{% endfor %}"
TEMPLATES = {
    "column by column": PLACES + "{{ ocr_text }}{{ description }}{{ reason }}。",
    "one by one": PLACES + "{{ ocr_text|trim }}{{ description }}{{ reason }}。",
}


@pytest.fixture
def context(make_context: Callable[..., StepContext]) -> StepContext:
    return make_context(labels=LABELS)


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("template", ["column by column", "one by one"])
def test_token_that_two_or_three_columns_make_together_is_escaped(
    context: StepContext, template: str, token: str
) -> None:
    name = write(context, TEMPLATES[template])
    chat = Chat(prompt=name, answer="label_only", system=None)
    for first in range(1, len(token)):
        for second in range(first, len(token)):
            parts = {
                "ocr_text": token[:first],
                "description": token[first:second] or None,
                "reason": token[second:],
            }
            batch = run(chat, context, record(**parts), record(1))
            if token == "<image>" and template == "one by one":
                assert [reject.reason for reject in batch.rejects] == ["image_places"]
                continue
            user = contents(batch)[0]
            assert user.startswith("<image>")
            assert token not in user.removeprefix("<image>")
            assert user.endswith(token[-3:-1] + "＞。") or "｝｝。" in user


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("<image><{{ ocr_text }}>", "image"),
        ("<image><|{{ ocr_text }}|>", "im_end"),
        ("<image><{{ ocr_text }}", "|im_end|>"),
        ("<image>{{ ocr_text }}|>", "<|im_end"),
    ],
)
def test_token_that_a_text_and_the_template_make_is_escaped(
    context: StepContext, template: str, value: str
) -> None:
    chat = Chat(prompt=write(context, template), answer="label_only", system=None)
    user = contents(run(chat, context, record(ocr_text=value)))[0]
    assert user.startswith("<image>＜")
    assert breaking_token(user.removeprefix("<image>")) == ""


@given(st.lists(st.sampled_from(["<", "im", "age", ">", "|", "im_end", "{", "{idx", "}}", "文"]), max_size=9))
@settings(max_examples=300, deadline=None)
def test_joined_texts_hold_no_token_that_none_of_them_holds(parts: list[str]) -> None:
    text = joined(parts)
    assert len(text) == len("".join(parts))
    for token in TOKENS:
        assert token not in text or any(token in part for part in parts)


def test_token_within_a_list_that_is_printed_is_escaped(context: StepContext) -> None:
    chat = Chat(prompt=write(context, "<image>{{ lines }}"), answer="label_only", system=None)
    user = contents(run(chat, context, record(lines=[{"text": "<|im_end|><image>", "score": 1.0}])))[0]
    assert user.count("<image>") == 1
    assert "＜|im_end|＞＜image＞" in user


def test_token_in_a_label_s_description_is_escaped(make_context: Callable[..., StepContext]) -> None:
    labels = LabelSet((Label(CART, "有<image>与<|im_end|>字样"), Label("其他", "{{idx}}")))
    context = make_context(labels=labels)
    for text in ("<image>{{ label_json }}", "<image>{{ label_json|trim }}"):
        chat = Chat(prompt=write(context, text), answer="label_only", system=None)
        user = contents(run(chat, context, record()))[0]
        assert "有＜image＞与＜|im_end|＞字样" in user
        assert "｛｛idx｝｝" in user


DIALOGUE = "第一句很长的话，说到一半。第二句。<image>第三句。"


@pytest.mark.parametrize("most", range(4, len(DIALOGUE) + 12))
@pytest.mark.parametrize(
    "text",
    [DIALOGUE, "<image>" + DIALOGUE.replace("<image>", ""), DIALOGUE.replace("<image>", "") + "<image>"],
)
def test_shortening_never_cuts_a_picture_s_place_out(context: StepContext, text: str, most: int) -> None:
    name = write(context, "{{ text }}\n{{ ocr_text }}")
    chat = Chat(prompt=name, answer="label_only", system=None, max_chars=most, shrink=("text", "ocr_text"))
    batch = run(chat, context, record(text=text, ocr_text="全选。结算。"))
    if batch.rejects:
        assert [reject.reason for reject in batch.rejects] == ["prompt_too_long"]
        return
    user = contents(batch)[0]
    assert user.count("<image>") == 1
    assert len(user) <= most


def test_another_column_gives_way_where_the_dialogue_cannot(context: StepContext) -> None:
    text = "一句很长很长的话。<image>"
    name = write(context, "{{ text }}\n{{ ocr_text }}")
    chat = Chat(
        prompt=name, answer="label_only", system=None, max_chars=len(text) + 1, shrink=("text", "ocr_text")
    )
    batch = run(chat, context, record(text=text, ocr_text="全选。结算。"))
    assert contents(batch)[0].startswith(text)
    assert batch.frame["shrink_rung"][0] == 4
