"""guard.prompt_length: what is too long is rejected with its numbers, and nothing is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.errors import RecipeErrors, UserError
from datakit.core.factored_chats import factor
from datakit.core.outcome import Batch
from datakit.core.record import MESSAGES
from datakit.core.step_context import StepContext
from datakit.core.tokens import TokenCounter, count
from datakit.guard.prompt_length import PromptLength

Make = Callable[..., StepContext]
SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "source_file": pl.String,
    "source_line": pl.Int64,
    "messages": MESSAGES,
    "text": pl.String,
    "number": pl.Int64,
}


def chat(*contents: str) -> list[dict[str, str]]:
    return [
        {"role": "user" if at % 2 == 0 else "assistant", "content": text} for at, text in enumerate(contents)
    ]


def records(*values: Any, column: str = "messages") -> pl.DataFrame:
    rows = [
        {"id": f"r{at}", "source_file": "a.jsonl", "source_line": at + 1, column: value}
        for at, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def run(make_context: Make, frame: pl.DataFrame, **parameters: Any) -> Batch:
    return PromptLength(**parameters).start(make_context(), frame.lazy().head(0))(frame)


def test_longer_prompt_is_rejected_with_both_numbers(make_context: Make) -> None:
    frame = records(chat("一" * 10, "答"), chat("一" * 11, "答"))
    batch = run(make_context, frame, max_chars=10)
    assert batch.frame["id"].to_list() == ["r0"]
    (reject,) = batch.rejects
    assert (reject.id, reject.reason, reject.source_line) == ("r1", "prompt_too_long", 2)
    assert "11 characters, max_chars allows 10" in reject.detail


def test_answers_count_only_when_all_turns_do(make_context: Make) -> None:
    frame = records(chat("一二", "三四五", "六", "七"))
    assert run(make_context, frame, max_chars=3).rejects == []
    assert run(make_context, frame, max_chars=6, part="all").rejects[0].detail.startswith("the prompt has 7 ")
    assert run(make_context, frame, max_chars=7, part="all").rejects == []


def test_tokens_are_those_of_the_chat_template(make_context: Make) -> None:
    turns = chat("<image>" + "请看图回答。" * 30, "购物车页面")
    size = TokenCounter().chat(turns)
    frame = records(turns)
    assert run(make_context, frame, max_chars=None, max_tokens=size.prompt).rejects == []
    (reject,) = run(make_context, frame, max_chars=None, max_tokens=size.prompt - 1).rejects
    assert f"{size.prompt:,} tokens, max_tokens allows {size.prompt - 1:,}" in reject.detail
    assert run(make_context, frame, max_chars=None, max_tokens=size.total, part="all").rejects == []
    assert run(make_context, frame, max_chars=None, max_tokens=size.total - 1, part="all").rejects


def test_a_model_without_a_default_system_turn_has_shorter_prompts(make_context: Make) -> None:
    frame = records(chat("<image>这是什么", "购物车"))
    for layout, heights in (("qwen3_vl", 1), ("qwen2_vl", 0)):
        worker = PromptLength(max_chars=None, max_tokens=12).start(
            make_context(chat_layout=layout), frame.lazy().head(0)
        )
        assert worker(frame).frame.height == heights


def test_both_bounds_are_told(make_context: Make) -> None:
    (reject,) = run(make_context, records(chat("好" * 300, "答")), max_chars=50, max_tokens=40).rejects
    assert "300 characters" in reject.detail
    assert " and " in reject.detail
    assert "max_tokens allows 40" in reject.detail


@pytest.mark.parametrize("bound", [{"max_chars": 13}, {"max_tokens": 31, "part": "all"}])
def test_what_chats_share_counts_though_it_is_kept_apart(make_context: Make, bound: dict[str, Any]) -> None:
    frame = records(*[chat("请看这张截图：" + "一" * size + "。回答", "答") for size in range(8)])
    worker: Any = PromptLength(**bound).start(make_context(), frame.lazy().head(0))
    apart, rejects = worker.factored(factor(frame))
    whole = worker(frame)
    assert apart.shared
    assert 0 < whole.frame.height < 8
    assert (apart.expanded().to_dicts(), rejects) == (whole.frame.to_dicts(), whole.rejects)


def test_column_of_texts_is_measured_alone(make_context: Make) -> None:
    frame = records("加入购物车", "立即购买 立即购买", column="text")
    batch = run(make_context, frame, max_chars=5, column="text")
    assert batch.frame["id"].to_list() == ["r0"]
    assert batch.rejects[0].detail.startswith("`text` has 9 characters")
    most = count("立即购买 立即购买")
    assert run(make_context, frame, max_chars=None, max_tokens=most, column="text").rejects == []
    assert run(make_context, frame, max_chars=None, max_tokens=most - 1, column="text").rejects


@pytest.mark.parametrize("value", [None, []])
def test_record_without_messages_is_rejected(make_context: Make, value: Any) -> None:
    batch = run(make_context, records(value, chat("好", "答")), max_chars=10, max_tokens=1000)
    assert batch.frame["id"].to_list() == ["r1"]
    assert [(reject.id, reject.reason) for reject in batch.rejects] == [("r0", "prompt_missing")]
    assert batch.rejects[0].detail


def test_guard_without_a_bound_is_refused() -> None:
    with pytest.raises(RecipeErrors, match="max_chars"):
        PromptLength(max_chars=None)


def test_column_that_is_no_text_is_refused(make_context: Make) -> None:
    with pytest.raises(UserError, match="`number` holds Int64"):
        run(make_context, records("a", column="text"), column="number")


@given(
    st.lists(st.just([]) | st.lists(st.text(max_size=30), min_size=2, max_size=4), max_size=12),
    st.integers(1, 60),
    st.none() | st.integers(1, 60),
    st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_exactly_the_long_ones_leave_at_any_batch_size(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[str]],
    max_chars: int,
    max_tokens: int | None,
    size: int,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    frame = records(*[chat(*contents) for contents in texts])
    check = PromptLength(max_chars=max_chars, max_tokens=max_tokens).start(
        StepContext(base=folder, project=folder), frame.lazy()
    )
    counter = TokenCounter()
    wanted = [
        f"r{at}"
        for at, contents in enumerate(texts)
        if contents
        and sum(map(len, contents[::2])) <= max_chars
        and (max_tokens is None or counter.chat(chat(*contents)).prompt <= max_tokens)
    ]
    whole = check(frame)
    parts = [check(part) for part in frame.iter_slices(size)]
    assert whole.frame["id"].to_list() == wanted
    assert [id_ for part in parts for id_ in part.frame["id"]] == wanted
    assert len(whole.rejects) == len(texts) - len(wanted)
    assert whole.rejects == [reject for part in parts for reject in part.rejects]
