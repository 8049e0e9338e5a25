"""annotate.predict with a served model: asked as it was trained, paid once, looked for first."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import DatakitError, Exit, RecipeErrors
from datakit.library import build
from datakit.run.build import BuildResult
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.served import ROOT, asked_images, asked_text, made_build, saying
from tests.support.waiting import until

CART, REFUND = "购物车页面", "退款页面"
RECIPE = """\
name: {name}
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: ../train.jsonl, image: image, image_root: /, label: label}}
  - read.jsonl: {{path: ../new.jsonl, image: image, image_root: /, label: label}}
  - annotate.ocr: {ocr}
  - annotate.predict: {predict}
  - render.chat: {{prompt: small/ask.j2, answer: label_only, shrink: [ocr_text]}}
emit:
  - llamafactory: {{images: link}}
run: {{concurrency: 2, max_reject_rate: 1{run}}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a build, and four further screens."""
    folder = tmp_path_factory.mktemp("served")
    made_build(folder)
    lines = (ROOT / "examples" / "ecom" / "unlabelled.jsonl").read_text("utf-8").splitlines()[:4]
    rows = [json.loads(line) for line in lines]
    rows = [{**row, "image": str(ROOT / "examples" / "ecom" / row["image"]), "label": REFUND} for row in rows]
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with Loopback(models=("small",)) as found:
        found.script = lambda call: sure()
        yield found


def sure(label: str = CART, probability: float = 0.9) -> Reply:
    first, other = label, REFUND if label == CART else CART
    return saying(label, [(first, {first: probability, other: 1 - probability})])


def recipe_of(
    project: Path, name: str, parameters: dict[str, Any], *, ocr: str = "{}", run: str = ""
) -> Path:
    given = json.dumps({"from_build": "../build/small", **parameters})
    recipe = project / "recipes" / f"{name}.yaml"
    recipe.write_text(RECIPE.format(name=name, ocr=ocr, predict=given, run=run))
    return recipe


def predicted(project: Path, server: Loopback, name: str = "p", **parameters: Any) -> BuildResult:
    return build(recipe_of(project, name, {"base_url": server.url, **parameters}), card=False)


def rows_of(result: BuildResult) -> dict[str, dict[str, Any]]:
    frame = pl.read_parquet(result.folder / "records.parquet")
    return {row["id"]: row for row in frame.to_dicts()}


def trained(project: Path) -> dict[str, list[dict[str, str]]]:
    """Id -> messages of the training part of the build that is asked."""
    small = BuildFolder.open(project / "build" / "small")
    return {row["id"]: row["messages"] for row in small.rows("train")}


def test_prompts_equal_those_of_training_and_records_of_training_are_not_asked_about(
    project: Path, server: Loopback
) -> None:
    rows = rows_of(predicted(project, server, weights="first"))
    learnt = trained(project)
    assert set(learnt) < set(rows)
    assert len(rows) == 10
    assert {id_ for id_, row in rows.items() if row["prediction"] is None} == set(learnt)
    assert len(server.calls) == len(rows) - len(learnt)
    small = BuildFolder.open(project / "build" / "small")
    (messages, *_) = [row["messages"] for row in small.rows("val")]
    sent = {asked_text(call) for call in server.calls}
    assert messages[1]["content"] in sent
    call = server.calls[0]
    assert (call.body["model"], call.body["temperature"], call.body["logprobs"]) == ("small", 0, True)
    assert "response_format" not in call.body
    assert asked_images(call)[0].startswith("data:image/png;base64,")


def test_probabilities_are_those_of_the_label_set_and_who_predicted_is_named_by_content(
    project: Path, server: Loopback
) -> None:
    server.script = lambda call: sure(CART, 0.8)
    row = rows_of(predicted(project, server, weights="second"))["screen-0000"]
    assert row["prediction"] == CART
    assert row["prediction_probability"] == pytest.approx(0.8)
    told = json.loads(row["prediction_probabilities"])
    assert told[REFUND] == pytest.approx(0.2)
    assert sum(told.values()) == pytest.approx(1.0)
    content = BuildFolder.open(project / "build" / "small").manifest.content
    assert row["prediction_by"] == f"small of small (content {content[:12]}), weights second"


def test_answers_are_paid_once_and_other_weights_are_asked_anew(project: Path, server: Loopback) -> None:
    predicted(project, server, "once", weights="third")
    asked = server.count
    predicted(project, server, "twice", weights="third")
    assert server.count == asked
    predicted(project, server, "thrice", weights="fourth")
    assert server.count == 2 * asked


@pytest.mark.fault(
    "Ctrl-C while a served model is asked for predictions", "none is asked for twice", kind="signals"
)
def test_a_build_that_was_stopped_goes_on_where_it_was(project: Path, server: Loopback) -> None:
    server.script = lambda call: dataclasses.replace(sure(), delay_s=0.0 if call.number < 3 else 30.0)
    recipe = recipe_of(project, "stopped", {"base_url": server.url, "weights": "fifth"})
    command = [sys.executable, "-m", "datakit.cli", "build", str(recipe), "--no-card"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: server.count > 3)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in words
    before = server.count
    server.script = lambda call: sure()
    rows = rows_of(build(recipe, card=False))
    wanted = len(rows) - len(trained(project))
    assert sum(row["prediction"] is not None for row in rows.values()) == wanted
    assert server.count - before == wanted - 3


def test_an_endpoint_that_is_not_there_is_told_before_anything_is_paid(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    recipe = recipe_of(project, "gone", {"base_url": "http://127.0.0.1:9/v1", "weights": "gone"})
    recipe.write_text(recipe.read_text() + "llm: {max_down_s: 0}\n")
    with pytest.raises(RecipeErrors, match=r"127\.0\.0\.1:9") as raised:
        build(recipe, card=False)
    assert "gone.yaml:7" in str(raised.value)
    assert raised.value.exit_code == Exit.PROVIDER


def test_a_model_that_is_not_served_is_told_with_its_neighbour(project: Path, server: Loopback) -> None:
    with pytest.raises(RecipeErrors, match="smal"):
        predicted(project, server, "misspelt", model="smal")


def test_no_key_stands_in_any_file(project: Path, server: Loopback) -> None:
    folder = predicted(project, server, "secret", weights="sixth").folder
    for path in folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()
    assert server.calls[-1].headers["authorization"] == f"Bearer {KEY}"
    with pytest.raises(RecipeErrors, match="base_url"):
        predicted(project, server, "secret", base_url=f"http://user:{KEY}@127.0.0.1:1/v1")


def test_the_key_of_another_service_is_not_sent(
    project: Path, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebody-elses")
    monkeypatch.delenv("VLLM_API_KEY")
    server.key = "none"
    predicted(project, server, "keyless", weights="seventh")
    assert all("somebody" not in str(call.headers) for call in server.calls)


def test_an_answer_without_a_label_is_no_prediction_and_the_record_stays(
    project: Path, server: Loopback
) -> None:
    server.script = lambda call: saying("我不知道") if call.number == 0 else saying(CART)
    result = predicted(project, server, "odd", weights="eighth")
    rows = rows_of(result)
    assert len(rows) == 10
    asked = [row for id_, row in rows.items() if id_ not in trained(project)]
    assert sum(row["prediction"] is None for row in asked) == 1
    # Without log-probabilities there is a label, and nothing that says how sure it is.
    assert all(row["prediction_probability"] is None for row in asked)
    assert "Records without a prediction: 1 label_" in str(result.report.warnings) + str(
        [step.notes for step in result.report.steps]
    )


def test_a_server_without_log_probabilities_is_asked_without(project: Path, server: Loopback) -> None:
    def script(call: Call) -> Reply:
        if "logprobs" in call.body:
            return Reply(400, "`logprobs` is not supported by this server")
        return saying(CART)

    server.script = script
    rows = rows_of(predicted(project, server, "plain", weights="ninth"))
    assert rows["screen-0000"]["prediction"] == CART
    assert "top_logprobs" not in server.calls[-1].body


def test_a_build_that_is_gone_and_one_half_given_are_told(project: Path, server: Loopback) -> None:
    with pytest.raises(RecipeErrors, match="build/none"):
        predicted(project, server, "lost", from_build="../build/none")
    with pytest.raises(RecipeErrors, match="`base_url`"):
        predicted(project, server, "half", base_url=None)
    with pytest.raises(RecipeErrors, match="means nothing"):
        predicted(project, server, "half", from_build=None, base_url=None, weights="x")


def test_a_step_that_reads_otherwise_than_in_training_is_told(project: Path, server: Loopback) -> None:
    recipe = recipe_of(project, "other", {"base_url": server.url}, ocr="{long_side_px: 700}")
    with pytest.raises(RecipeErrors, match="otherwise than it did for the training"):
        build(recipe, card=False)


def test_the_budget_holds(project: Path, server: Loopback) -> None:
    dear = {"base_url": server.url, "price_in": 1000, "weights": "tenth"}
    with pytest.raises(DatakitError, match="budget"):
        build(recipe_of(project, "dear", dear, run=", budget_usd: 0.05"), card=False)
    assert server.count == 0
