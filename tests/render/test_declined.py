"""Records whose reason a model declined to give: by the word of it, or with the label alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from datakit.core.outcome import Batch
from datakit.core.parameters import validated
from datakit.core.step_context import StepContext
from datakit.render.chat import Chat
from tests.support.chat_records import CART, LABELS, SCHEMA, contents, frame_of, record

PROMPT = "ecom/classify_by_form.j2"


@pytest.fixture
def context(make_context: Callable[..., StepContext]) -> StepContext:
    return make_context(labels=LABELS)


def rendered(chat: Chat, context: StepContext, *rows: dict[str, Any]) -> Batch:
    frame = pl.DataFrame(list(rows), schema={**SCHEMA, "reason_declined": pl.String()})
    return chat.start(context, frame.lazy())(frame)


@pytest.mark.parametrize("answer", ["reason_first", "ecom/reason_then_label.j2"])
def test_an_answer_that_needs_the_reason_rejects_by_the_word_of_it(context: StepContext, answer: str) -> None:
    prompt = PROMPT if answer == "reason_first" else "ecom/classify.j2"
    chat = validated(Chat, {"prompt": prompt, "answer": answer})
    told = record(1, reason=None) | {"reason_declined": "写着“退款金额”"}
    silent = record(2, reason=None) | {"reason_declined": None}
    batch = rendered(chat, context, record() | {"reason_declined": None}, told, silent)
    assert [(reject.id, reject.reason) for reject in batch.rejects] == [
        ("r1", "reason_declined"),
        ("r2", "answer_incomplete"),
    ]
    assert "写着“退款金额”" in batch.rejects[0].detail


def test_an_answer_with_an_optional_reason_has_the_label_alone(context: StepContext) -> None:
    answer = {"fields": [{"name": "reason", "optional": True}, "label"]}
    chat = validated(Chat, {"prompt": PROMPT, "answer": answer})
    batch = rendered(chat, context, record(1, reason=None) | {"reason_declined": "写着“退款金额”"})
    assert batch.rejects == []
    assert contents(batch)[2].endswith(f"类别：{CART}")


def test_records_without_the_column_are_rendered_as_before(context: StepContext) -> None:
    chat = validated(Chat, {"prompt": PROMPT, "answer": "reason_first"})
    frame = frame_of(record())
    assert "reason_declined" not in frame.columns
    assert chat.start(context, frame.lazy())(frame).rejects == []
    assert chat.optional(context) == ("reason_declined",)
