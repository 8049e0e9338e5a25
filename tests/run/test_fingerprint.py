"""What reaches a key of the result store: only what is named, so that nothing else is paid for again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.labels import load_labels
from datakit.core.parameters import validated
from datakit.core.registry import find
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.run.keys import fingerprint
from tests.support.every import CASES, ROOT, records

ANNOTATORS = [name for name in CASES if issubclass(find(name), Annotator)]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
TOOLS = StepContext(base=ROOT, project=ROOT, labels=LABELS, llm=LlmSettings(provider="openai", model="m"))

runs = st.builds(
    RunSettings,
    concurrency=st.integers(1, 4096),
    workers=st.none() | st.integers(1, 64),
    worker_memory_mb=st.integers(256, 9999),
    max_reject_rate=st.floats(0, 1),
    budget_usd=st.none() | st.floats(0.01, 100),
    batch_rows=st.integers(1, 9999),
)
prices = st.none() | st.floats(0, 100)
endpoints = st.builds(
    LlmSettings,
    provider=st.sampled_from(["openai", "azure"]),
    model=st.just("m"),
    extra_headers=st.just({}) | st.just({"X-Team": "a"}),
    stream=st.booleans(),
    extra_body=st.just({}),
    thinking=st.just("default"),
    base_url=st.none() | st.just("http://127.0.0.1:1/v1"),
    api_key_env=st.sampled_from(["OPENAI_API_KEY", "MY_KEY"]),
    timeout_s=st.floats(1, 999),
    max_retries=st.integers(0, 9),
    price_in=prices,
    price_out=prices,
)


def made(name: str, **changes: Any) -> Annotator:
    transform = validated(find(name), {**CASES[name].parameters, **changes})
    assert isinstance(transform, Annotator)
    return transform


@pytest.mark.parametrize("name", ANNOTATORS)
@settings(max_examples=25, deadline=None)
@given(run=runs, llm=endpoints, build=st.text(min_size=1, max_size=5))
def test_how_work_is_done_never_reaches_a_key(
    name: str, run: RunSettings, llm: LlmSettings, build: str
) -> None:
    other = replace(TOOLS, run=run, llm=llm, name=build, base=Path("/elsewhere"))
    assert fingerprint(made(name), other) == fingerprint(made(name), TOOLS)
    row = records().to_dicts()[0]
    assert made(name).key_fields(row, other) == made(name).key_fields(row, TOOLS)


PRINTS = {
    "annotate.ask": "4d08adca4fd24d8a4bfa28114773513d",
    "annotate.describe": "ac59dcbfa06c5e4d8bd211e1043a0183",
    "annotate.reason": "02b20473e7467e14f20ebd0ffdbf2dc4",
}
"""As they were on 2026-11-26, when `llm.extra_body` and `llm.thinking` came; of the parameters below."""
PARAMETERS = {
    "annotate.ask": {
        "template": "ecom/judge_picture.j2",
        "answer": {"kind": ["手机界面", "相机照片"], "legible": "boolean"},
    },
    "annotate.describe": {"template": "ecom/describe.j2", "into": "description"},
    "annotate.reason": {"template": "ecom/reason.j2", "into": "reason"},
}


@pytest.mark.parametrize("name", PRINTS)
def test_what_changes_answers_reaches_a_key_only_when_it_is_given(name: str) -> None:
    step = validated(find(name), PARAMETERS[name])
    assert isinstance(step, Annotator)

    def print_of(**llm: Any) -> str:
        return fingerprint(step, replace(TOOLS, llm=LlmSettings(provider="openai", **llm)))

    assert print_of() == print_of(extra_body={}, thinking="default") == PRINTS[name]
    others = [{"thinking": "disabled"}, {"thinking": "enabled"}, {"extra_body": {"top_p": 0.9}}]
    assert len({print_of(), *(print_of(**llm) for llm in others)}) == 4


@pytest.mark.parametrize("name", ANNOTATORS)
def test_a_place_of_the_source_and_columns_that_are_not_read_never_reach_a_key(name: str) -> None:
    annotator = made(name)
    for row in records().to_dicts():
        read = {*annotator.reads(TOOLS)}
        moved = {key: value if key in read | {"id"} else None for key, value in row.items()}
        moved |= {"source_file": "other.jsonl", "source_line": 99}
        assert annotator.key_fields(moved, TOOLS) == annotator.key_fields(row, TOOLS)


@pytest.mark.parametrize("name", ANNOTATORS)
def test_a_picture_reaches_a_key_by_content_and_never_by_path(name: str, tmp_path: Path) -> None:
    annotator = made(name)
    row = next(row for row in records().to_dicts() if len(row["images"]) == 1)
    copy = tmp_path / "副本.jpg"
    copy.write_bytes(Path(row["images"][0]).read_bytes())
    assert annotator.key_fields({**row, "images": [str(copy)]}, TOOLS) == annotator.key_fields(row, TOOLS)
    copy.write_bytes(copy.read_bytes() + b"\0")
    fresh = replace(TOOLS, files=type(TOOLS.files)())
    assert annotator.key_fields({**row, "images": [str(copy)]}, fresh) != annotator.key_fields(row, TOOLS)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("annotate.ocr", {"long_side_px": 1280}),
        ("annotate.describe", {"temperature": 0.1}),
        ("annotate.reason", {"temperature": 0.1}),
        ("guard.image", {}),
    ],
)
def test_what_changes_an_answer_reaches_the_key(name: str, changes: dict[str, Any]) -> None:
    if changes:
        assert fingerprint(made(name, **changes), TOOLS) != fingerprint(made(name), TOOLS)
    newer = type("Newer", (find(name),), {"version": 99, "registered_name": name})
    again = validated(newer, CASES[name].parameters)
    assert isinstance(again, Annotator)
    assert fingerprint(again, TOOLS) != fingerprint(made(name), TOOLS)


def test_another_model_and_other_pixels_are_other_answers() -> None:
    for name in ("annotate.describe", "annotate.reason"):
        for change in ({"model": "n"}, {"max_image_pixels": 200_000}):
            other = replace(TOOLS, llm=TOOLS.llm.model_copy(update=change))
            assert fingerprint(made(name), other) != fingerprint(made(name), TOOLS)


def test_a_template_reaches_the_key_by_what_it_says_of_the_record(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    template = tmp_path / "templates" / "mine.j2"
    keys = set()
    for text in ("<image>描述这张图。", "<image>描述这张图，短一些。"):
        template.write_text(text, "utf-8")
        context = replace(TOOLS, project=tmp_path)
        annotator = made("annotate.describe", template="mine.j2")
        keys.add(
            fingerprint(annotator, context) + repr(annotator.key_fields(records().to_dicts()[0], context))
        )
    assert len(keys) == 2
