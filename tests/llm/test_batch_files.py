"""Lines of batch files: one with an answer is that answer, whatever its form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.settings import LlmSettings
from datakit.llm.answer import Answer
from datakit.llm.batch import files as batch_files
from datakit.llm.providers import provider_of

GOOD = {"choices": [{"message": {"content": '{"description": "红"}'}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 200, "body": GOOD},
        {"status_code": "200", "body": GOOD},
        {"status_code": 200.0, "body": json.dumps(GOOD)},
        {"status_code": 200, "body": [GOOD]},
        {"status_code": 200, "body": {**GOOD, "usage": {"prompt_tokens": float("nan")}}},
        {"status_code": 200, "body": {**GOOD, "created": 10**30, "model": "半\ud83d"}},
        GOOD,
    ],
)
def test_line_of_any_form_is_the_answer_that_was_paid_for(tmp_path: Path, response: Any) -> None:
    path = tmp_path / "output.jsonl"
    line = json.dumps({"custom_id": "a", "response": response, "error": None})
    path.write_text(f"\ufeff{line}\n\nnull\n[]\n{line[:30]}\n", "utf-8")
    provider = provider_of(LlmSettings(provider="openai", base_url="http://127.0.0.1:9/v1"))
    ((id_, found),) = batch_files.read(provider, path)
    assert id_ == "a"
    assert isinstance(found, Answer), found
    assert found.content == '{"description": "红"}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["status_code", "body", "choices", "error", "message", "code"]), inner
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from(["response", "error"]),
)
def test_any_line_is_an_answer_or_has_its_fault(
    tmp_path_factory: pytest.TempPathFactory, value: Any, name: str
) -> None:
    path = tmp_path_factory.mktemp("lines") / "output.jsonl"
    path.write_text(json.dumps({"custom_id": "a", name: value}) + "\n", "utf-8")
    provider = provider_of(LlmSettings(provider="openai", base_url="http://127.0.0.1:9/v1"))
    ((id_, _),) = batch_files.read(provider, path)
    assert id_ == "a"
