"""A real vLLM: what was planned is what it does, and what it is asked is what the training saw."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import datakit
from datakit.annotate.describe import Describe
from datakit.artifacts import predictions as files
from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.errors import StopProvider
from datakit.core.labels import load_labels
from datakit.core.outcome import Done, Outcome, Rejected, Retry
from datakit.core.pixels import image_tokens
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.core.tokens import token_ids
from datakit.llm.answer_schema import AnswerSchema
from datakit.llm.calls import Calls
from datakit.llm.client import Client
from datakit.llm.request import Completion, Request
from datakit.serving.asking import Question, Reply, closed_form, contents
from datakit.serving.classifier import Classifier
from datakit.serving.endpoint import Endpoint
from datakit.serving.items import Item
from datakit.serving.plan import longest_context
from datakit.serving.prompting import BuildPrompts
from datakit.serving.records import split_items
from datakit.serving.requirements import processor_of, prompt_tokens, trainer_limits
from datakit.serving.serve_command import CPU_BLOCK
from datakit.serving.served import Served
from datakit.serving.smoke import smoke_test
from tests.support.vllm_server import Running

pytestmark = pytest.mark.vllm

ROOT = Path(__file__).resolve().parents[2]
SCREENS = sorted((ROOT / "examples" / "ecom" / "images").glob("*.jpg"))
NAME = "small"


def items(vllm: Running) -> list[Item]:
    return split_items(BuildFolder(vllm.build), "train") + split_items(BuildFolder(vllm.build), "val")


def asked(vllm: Running, body: dict[str, Any]) -> Reply:
    """The reply to a raw request."""

    async def go() -> Reply:
        endpoint = Endpoint(vllm.server.url)
        try:
            return await endpoint.chat({"model": NAME, "temperature": 0, **body})
        finally:
            await endpoint.close()

    return asyncio.run(go())


def messages_of(vllm: Running, item: Item) -> list[dict[str, Any]]:
    """The messages that the classifier sends for a record of the build."""
    sent: list[dict[str, Any]] = []

    class Listening(Endpoint):
        async def chat(self, body: dict[str, Any]) -> Reply:
            sent.extend(body["messages"])
            return Reply("", "stop", None, None, None, 0)

    view = BuildPrompts.load(BuildFolder(vllm.build), rendered=True).view
    question = Question("a", *contents(item.messages), tuple(map(view.data_url, map(str, item.images))))
    asyncio.run(question.ask(Listening(vllm.server.url), NAME, 1, None))
    return sent


def test_longest_context_is_the_servers_own_figure(vllm: Running) -> None:
    planned = longest_context(16 << 20, vllm.model.kv_bytes_per_token(element_bytes=4), CPU_BLOCK)
    assert vllm.plan.memory.longest_context == planned
    first = vllm.first_log.read_text("utf-8", "replace")
    assert f"the estimated maximum model length is {planned}" in first
    assert vllm.server.plan.max_model_len == planned


def test_failed_start_was_tried_once_more_with_the_parsed_figure(vllm: Running) -> None:
    async def served() -> Served:
        endpoint = Endpoint(vllm.server.url)
        try:
            return await endpoint.served(NAME)
        finally:
            await endpoint.close()

    again = [line for line in vllm.said if "Trying once more with " in line]
    assert len(again) == 1, vllm.said
    assert f"--max-model-len {vllm.server.plan.max_model_len}" in again[0]
    assert asyncio.run(served()).max_model_len == vllm.server.plan.max_model_len


def test_prompt_tokens_are_those_of_the_training_for_every_record(vllm: Running) -> None:
    with Classifier(
        BuildPrompts.load(BuildFolder(vllm.build), rendered=True), Endpoint(vllm.server.url)
    ) as classify:
        counted = {item.id: classify.ask(item).tokens_in for item in items(vllm)}
    expected = {
        item.id: prompt_tokens(
            BuildFolder(vllm.build), item.messages, list(map(str, item.images)), vllm.model
        )
        for item in items(vllm)
    }
    assert counted == expected


def test_token_ids_are_those_of_the_trainers_layout(vllm: Running) -> None:
    """The layout is LLaMA-Factory's own, as tests/trainer compares it: system, user, assistant."""
    item = items(vllm)[0]
    body = {"messages": messages_of(vllm, item), "max_tokens": 1, "return_token_ids": True}
    width, height = Image.open(str(item.images[0])).size
    pads = image_tokens(width, height, processor_of(vllm.model), trainer_limits(BuildFolder(vllm.build)))
    picture = "<|vision_start|>" + "<|image_pad|>" * pads + "<|vision_end|>"
    system, (user,) = contents(item.messages)
    layout = (
        f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user.replace('<image>', picture)}"
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    assert list(asked(vllm, body).token_ids) == token_ids(layout)


def test_source_pictures_are_classified_with_a_confidence(vllm: Running) -> None:
    labels = load_labels(vllm.build / "labels.yaml")
    with datakit.Classifier.from_build(vllm.build, vllm.server.url, closed=True) as classify:
        found = list(classify.classify_many(SCREENS[:6]))
        again = classify(SCREENS[0].read_bytes())
    assert [Path(one.images[0]) for one in found] == SCREENS[:6]
    for one in found:
        assert one.predicted in labels.names
        # Parts of characters are as probable as anything to a random model: then there is no confidence.
        if one.probabilities is not None:
            assert sum(one.probabilities.values()) == pytest.approx(1, abs=1e-3)
        assert one.confidence != 1.0
    assert again.predicted == found[0].predicted


def test_reason_and_label_can_be_held_to_the_trained_form(vllm: Running) -> None:
    from datakit.core.answer import AnswerFormat, TurnFormat

    labels = load_labels(vllm.build / "labels.yaml")
    form = AnswerFormat((TurnFormat(("reason", "label"), ("理由：", "\n类别：", "")),))
    pattern = closed_form(form, labels.names)["regex"].replace("{1,400}", "{1,12}")
    body = {
        "messages": messages_of(vllm, items(vllm)[0]),
        "max_tokens": 128,
        "structured_outputs": {"regex": pattern},
    }
    assert form.parse(asked(vllm, body).text, labels).label in labels.names


def test_open_answers_of_a_random_model_are_problems_never_guesses(vllm: Running) -> None:
    with datakit.Classifier.from_build(vllm.build, vllm.server.url, max_answer_tokens=16) as classify:
        (found,) = classify.classify_many(SCREENS[:1])
    assert found.predicted is None
    assert found.problem in ("empty", "label_missing", "label_unknown", "label_ambiguous")


def test_predictions_of_a_split_are_written_and_counted(
    vllm: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "predictions.jsonl"
    call = ["predict", str(vllm.build), "--split", "train", "--base-url", vllm.server.url, "--closed"]
    assert run([*call, "--out", str(out), "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    found = list(files.read(out))
    assert account["records"] == account["answered"] == len(found) == 5
    assert all(one.confidence is None or 0 < one.confidence < 1 for one in found)


def test_smoke_test_tells_that_tokens_are_those_of_the_training(vllm: Running) -> None:
    found = smoke_test(BuildFolder(vllm.build), vllm.server.url, NAME, vllm.model)
    assert found.good, found.text
    assert "as in training" in found.text


def test_wrong_name_is_told_with_the_served_one(vllm: Running) -> None:
    with (
        datakit.Classifier.from_build(vllm.build, vllm.server.url, model="smal") as classify,
        pytest.raises(StopProvider, match="Did you mean `small`"),
    ):
        classify(SCREENS[0])


def test_answers_in_a_schema_come_through_the_client_of_the_annotators(vllm: Running) -> None:
    settings = LlmSettings(provider="openai", base_url=vllm.server.url, model=NAME, max_image_pixels=50_176)

    async def go() -> Completion | Rejected | Retry:
        client = Client(Calls(settings))
        try:
            schema = AnswerSchema.of({"kind": ("截图", "照片")})
            return await client.complete(Request("这是什么图？", (str(SCREENS[0]),), schema, 0.0, 64))
        finally:
            await client.close()

    found = asyncio.run(go())
    assert isinstance(found, Completion), found
    assert found.text in ("截图", "照片")
    assert found.finish_reason == "stop"


def test_description_by_a_random_model_is_a_text_or_left_to_retry(vllm: Running, tmp_path: Path) -> None:
    """Never an empty text, never an error of the program; what it used up is counted."""
    settings = LlmSettings(provider="openai", base_url=vllm.server.url, model=NAME, max_image_pixels=50_176)
    context = StepContext(base=tmp_path, project=tmp_path, llm=settings)
    row = {"id": "a", "images": [str(SCREENS[0])], "ocr_text": None, "label": None}

    async def go() -> Outcome:
        worker = Describe(max_tokens=24, temperature=0).start(context)
        try:
            found: Outcome = await worker.answer(row)
            return found
        finally:
            await worker.close()

    found = asyncio.run(go())
    assert isinstance(found, Done | Retry), found
    if isinstance(found, Retry):
        assert found.reason in ("answer_truncated", "answer_malformed", "answer_empty")
    assert found.meta["tokens_in"] > 100
    assert found.meta["tokens_out"] > 0
