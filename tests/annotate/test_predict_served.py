"""annotate.predict with a served model: asked as it was trained, paid once, looked for before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import Exit, RecipeErrors, UserError
from datakit.library import build
from datakit.run.build import BuildResult
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.served import ROOT, asked_images, asked_text, made_build, saying

CART, REFUND = "购物车页面", "退款页面"
RECIPE = """\
name: predicted
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: ../train.jsonl, image: image, image_root: /, label: label}}
  - read.jsonl: {{path: ../new.jsonl, image: image, image_root: /, label: null}}
  - annotate.ocr: {{}}
  - annotate.predict: {predict}
emit:
  - parquet: {{images: none}}
run: {{concurrency: 2, max_reject_rate: 1}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a build, and four further screens that have no label."""
    folder = tmp_path_factory.mktemp("served")
    made_build(folder)
    lines = (ROOT / "examples" / "ecom" / "unlabelled.jsonl").read_text("utf-8").splitlines()[:4]
    rows = [json.loads(line) for line in lines]
    rows = [{**row, "image": str(ROOT / "examples" / "ecom" / row["image"])} for row in rows]
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


def predicted(project: Path, server: Loopback, name: str = "p", **parameters: Any) -> BuildResult:
    given = {"from_build": "../build/small", "base_url": server.url, **parameters}
    recipe = project / "recipes" / f"{name}.yaml"
    recipe.write_text(RECIPE.format(predict=json.dumps(given)).replace("name: predicted", f"name: {name}"))
    return build(recipe, card=False)


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
    assert set(learnt) < set(rows) and len(rows) == 10
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
    assert told[REFUND] == pytest.approx(0.2) and sum(told.values()) == pytest.approx(1.0)
    content = BuildFolder.open(project / "build" / "small").manifest.content
    assert row["prediction_by"] == f"small of small (content {content[:12]}), weights second"


def test_answers_are_paid_once_and_other_weights_are_asked_anew(project: Path, server: Loopback) -> None:
    predicted(project, server, "once", weights="third")
    asked = server.count
    predicted(project, server, "twice", weights="third")
    assert server.count == asked
    predicted(project, server, "thrice", weights="fourth")
    assert server.count == 2 * asked


def test_a_build_that_was_stopped_goes_on_where_it_was(project: Path, server: Loopback) -> None:
    def script(call: Call) -> Reply:
        return Reply(401, "Incorrect API key", "invalid_api_key") if call.number >= 2 else sure()

    server.script = script
    with pytest.raises(Exception, match=r"key|VLLM_API_KEY"):
        predicted(project, server, "stopped", weights="fifth")
    answered = server.replies[200]
    server.script = lambda call: sure()
    before = server.count
    predicted(project, server, "stopped", weights="fifth")
    assert server.count - before == 6 - min(answered, 2)


def test_an_endpoint_that_is_not_there_is_told_before_anything_is_paid(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    recipe = project / "recipes" / "gone.yaml"
    given = {"from_build": "../build/small", "base_url": "http://127.0.0.1:9/v1", "weights": "gone"}
    text = RECIPE.format(predict=json.dumps(given)).replace("name: predicted", "name: gone")
    recipe.write_text(text + "llm: {max_down_s: 0}\n")
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
    with pytest.raises(UserError, match="build/none"):
        predicted(project, server, "lost", from_build="../build/none")
    with pytest.raises(RecipeErrors, match="`base_url`"):
        predicted(project, server, "half", base_url=None)
    with pytest.raises(RecipeErrors, match="means nothing"):
        predicted(project, server, "half", from_build=None, base_url=None, weights="x")


def test_a_step_that_reads_otherwise_than_in_training_is_told(project: Path, server: Loopback) -> None:
    recipe = project / "recipes" / "other.yaml"
    given = {"from_build": "../build/small", "base_url": server.url}
    text = RECIPE.format(predict=json.dumps(given)).replace(
        "annotate.ocr: {}", "annotate.ocr: {max_side_px: 700}"
    )
    recipe.write_text(text)
    with pytest.raises(UserError, match="otherwise than it did for the training"):
        build(recipe, card=False)


def test_the_budget_holds(project: Path, server: Loopback) -> None:
    recipe = project / "recipes" / "dear.yaml"
    given = {"from_build": "../build/small", "base_url": server.url, "price_in": 1000, "weights": "tenth"}
    text = RECIPE.format(predict=json.dumps(given)).replace("name: predicted", "name: dear")
    recipe.write_text(text.replace("max_reject_rate: 1", "max_reject_rate: 1, budget_usd: 0.05"))
    result = None
    try:
        result = build(recipe, card=False)
    except Exception as error:
        assert "budget" in str(error)
    assert server.count == 0
    assert result is None or result.report.steps
