"""A prompt may ask whether a column is there, and do without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from jinja2 import Environment

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.step_context import StepContext
from datakit.core.template_names import needed_names
from datakit.library import build
from datakit.render.chat import Chat
from tests.support.chat_records import LABELS, SCHEMA, record, write

PROMPT = (
    "{{ label_names }}\n{% if ocr_text is defined and ocr_text %}文字：{{ ocr_text }}\n{% endif %}"
    "{% for _ in images %}<image>{% endfor %}回答类别。"
)


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("{{ a }}", {"a"}),
        ("{% if a is defined %}{{ a }}{% endif %}", set()),
        ("{% if a is defined and a %}{{ a }}{% endif %}", set()),
        ("{% if a is defined or a %}x{% endif %}", {"a"}),
        ("{% if a is not defined or not a %}x{% else %}{{ a }}{% endif %}", set()),
        ("{% if a is undefined %}x{% elif b %}{{ a }}{% endif %}", {"b"}),
        ("{% if a is defined %}x{% else %}{{ a }}{% endif %}", {"a"}),
        ("{% if a is defined %}x{% endif %}{{ a }}", {"a"}),
        ("{{ a if a is defined else b }}", {"b"}),
        ("{{ a | default('') }}{{ b | d(c) }}", {"c"}),
        ("{% if a is defined and b is defined %}{{ a }}{{ b }}{% endif %}", set()),
        ("{% if a is defined or b is defined %}{{ a }}{% endif %}", {"a"}),
        ("{% for x in y %}{% if a is defined %}{{ a }}{% endif %}{% endfor %}", {"y"}),
    ],
)
def test_a_name_that_is_asked_for_first_is_not_needed(source: str, needed: set[str]) -> None:
    assert needed_names(Environment().parse(source)) == needed


def _chat(context: StepContext, **changes: Any) -> Chat:
    write(context, PROMPT, "own.j2")
    return Chat(**{"prompt": "own.j2", "answer": "label_only", **changes})


def _prompts(chat: Chat, context: StepContext, frame: pl.DataFrame) -> list[str]:
    batch = chat.start(context, frame.lazy().head(0))(frame)  # type: ignore[operator]
    return [chat[1]["content"] for chat in batch.frame["messages"].to_list()]


@pytest.mark.parametrize("count", [False, True], ids=["column by column", "record by record"])
def test_records_with_the_column_have_its_part_and_others_not(
    make_context: Callable[..., StepContext], count: bool
) -> None:
    context = make_context(labels=LABELS)
    chat = _chat(context, count_tokens=count)
    rows = [record(0), record(1, ocr_text=None), record(2, ocr_text="a <image> b")]
    frame = pl.DataFrame(rows, schema=SCHEMA)
    with_text = _prompts(chat, context, frame)
    assert "文字：全选\n结算(2)\n" in with_text[0]
    assert "文字" not in with_text[1]
    assert "文字：a ＜image＞ b\n" in with_text[2]
    without = _prompts(chat, context, frame.drop("ocr_text"))
    assert without == [with_text[1]] * 3


def test_the_column_is_an_optional_input_and_may_be_shortened(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context(labels=LABELS)
    chat = _chat(context, shrink=("ocr_text",), max_chars=330)
    assert "ocr_text" not in chat.inputs(context)
    assert chat.optional(context) == ("ocr_text",)
    frame = pl.DataFrame([record(0, ocr_text="长句子。" * 200)], schema=SCHEMA)
    assert len(_prompts(chat, context, frame)[0]) <= 330
    assert len(_prompts(chat, context, frame.drop("ocr_text"))) == 1


def test_an_optional_column_that_gives_the_answer_away_is_still_refused(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context(labels=LABELS)
    write(context, "{{ label_names }}{% if label is defined %}{{ label }}{% endif %}", "leak.j2")
    with pytest.raises(UserError, match="gives the answer away"):
        Chat(prompt="leak.j2", answer="label_only").inputs(context)


def test_a_condition_in_an_answer_template_is_refused_with_the_form_that_can_be_read_back(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context(labels=LABELS)
    write(context, PROMPT, "own.j2")
    write(context, "{% if reason is defined %}理由：{{ reason }}\n{% endif %}类别：{{ label }}", "answer.j2")
    with pytest.raises(UserError, match="a condition") as error:
        Chat(prompt="own.j2", answer="answer.j2").inputs(context)
    assert "optional: true" in error.value.remedy
    assert error.value.where.endswith("answer.j2:1")


def test_the_form_that_is_named_instead_leaves_an_empty_field_out_and_reads_it_back(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context(labels=LABELS)
    write(context, PROMPT + "\n{{ answer_format }}", "asks.j2")
    fields: Any = {"fields": [{"name": "reason", "optional": True}, "label"]}
    chat = Chat(prompt="asks.j2", answer=fields)
    frame = pl.DataFrame([record(0), record(1, reason=None)], schema=SCHEMA)
    batch = chat.start(context, frame.lazy().head(0))(frame)  # type: ignore[operator]
    form = chat.answer_format(context)
    for at in range(batch.frame.height):
        answer = batch.frame["messages"].to_list()[at][2]["content"]
        read = form.parse(answer, LABELS)
        assert read.label == record()["label"]
        assert read.reason == (record()["reason"] if at == 0 else None)


def test_an_edit_of_the_column_makes_the_build_anew(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "own.j2").write_text("{% if note is defined %}{{ note }}{% endif %}{{ text }}")
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "x", "note": "one", "label": "p"}\n')
    recipe = tmp_path / "recipes" / "r.yaml"
    recipe.write_text(
        "steps:\n  - read.jsonl: {path: ../rows.jsonl}\n"
        "  - render.chat: {prompt: own.j2, answer: label_only}\nemit:\n  - llamafactory: {}\n"
    )

    def prompt() -> str:
        (row,) = BuildFolder(build(recipe, card=False).folder).rows("train")
        return str(row["messages"][1]["content"])

    assert prompt() == "onex"
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "x", "note": "two", "label": "p"}\n')
    assert prompt() == "twox"
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "text": "x", "label": "p"}\n')
    assert prompt() == "x"
    (tmp_path / "templates" / "own.j2").write_text("{{ note }}{{ text }}")
    with pytest.raises(RecipeErrors, match="`note`"):
        prompt()
