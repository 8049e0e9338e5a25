"""Predictions over a split, a folder or a file: joined by id, resumable, conserved."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.artifacts import predictions as files
from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.errors import StopProvider, UserError
from datakit.serving.classifier import Classifier
from datakit.serving.endpoint import Endpoint
from datakit.serving.predict import predict
from datakit.serving.prompting import BuildPrompts
from datakit.serving.records import items_of, split_items
from tests.support.loopback import Call, Loopback, Reply
from tests.support.served import ROOT, asked_text, made_build, saying

SCREENS = ROOT / "examples" / "ecom" / "images"


def classifier(build: Path, server: Loopback, *, rendered: bool = True, retries: int = 0) -> Classifier:
    endpoint = Endpoint(server.url, max_retries=retries)
    return Classifier(BuildPrompts.load(BuildFolder(build), rendered=rendered), endpoint)


def test_split_is_asked_with_the_builds_own_prompts(small: Path, server: Loopback, tmp_path: Path) -> None:
    items = split_items(BuildFolder(small), "train") + split_items(BuildFolder(small), "val")
    out = tmp_path / "predictions.jsonl"
    with classifier(small, server) as classify:
        account = predict(classify, items, out)
    found = list(files.read(out))
    assert [one.id for one in found] == [item.id for item in items]
    assert all(one.label for one in found)
    assert (account.records, account.answered, account.known) == (6, 6, 6)
    assert account.correct == sum(item.label == "购物车页面" for item in items)
    prompts = {item.messages[-1]["content"] for item in items}
    assert {asked_text(call) for call in server.calls} == prompts


def test_second_run_asks_only_for_what_had_no_answer(small: Path, server: Loopback, tmp_path: Path) -> None:
    items = split_items(BuildFolder(small), "train")
    out = tmp_path / "predictions.jsonl"
    refused = items[1].messages[-1]["content"]

    def script(call: Call) -> Reply:
        return Reply(503) if asked_text(call) == refused else saying("店铺页面")

    server.script = script
    with classifier(small, server) as classify:
        first = predict(classify, items, out)
    assert (first.retry, first.exit_code) == (1, 3)
    assert [one.problem for one in files.read(out)].count("not_answered") == 1
    server.script, server.count = (lambda call: saying("店铺页面")), 0
    with classifier(small, server) as classify:
        second = predict(classify, items, out)
    assert (second.retry, second.resumed, server.count) == (0, len(items) - 1, 1)
    assert [one.id for one in files.read(out)] == [item.id for item in items]
    assert list(tmp_path.glob(".*")) == []  # complete: the next run asks the model anew


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize("status", [401, 402, 403, 404, 429])
def test_one_refusal_among_answers_is_that_moments_own(
    small: Path, server: Loopback, tmp_path: Path, status: int, concurrency: int, at: int
) -> None:
    items = split_items(BuildFolder(small), "train")
    words = "insufficient_quota" if status == 429 else "not now"
    server.script = lambda call: Reply(status, words) if call.number == at else saying("店铺页面")
    with classifier(small, server) as classify:
        classify.concurrency = concurrency
        account = predict(classify, items, tmp_path / "predictions.jsonl")
    assert (account.answered, account.retry, server.count) == (len(items), 0, len(items) + 1)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_record_that_is_always_refused_is_left_to_the_next_run(
    small: Path, server: Loopback, tmp_path: Path, status: int
) -> None:
    items = split_items(BuildFolder(small), "train")
    refused = items[1].messages[-1]["content"]
    server.script = lambda call: Reply(status) if asked_text(call) == refused else saying("店铺页面")
    with classifier(small, server) as classify:
        account = predict(classify, items, tmp_path / "predictions.jsonl")
    assert (account.answered, account.retry, account.exit_code) == (len(items) - 1, 1, 3)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_server_that_refuses_everybody_ends_the_run_in_its_words(
    small: Path, server: Loopback, tmp_path: Path, status: int
) -> None:
    server.script = lambda call: Reply(status, "who are you")
    with classifier(small, server) as classify, pytest.raises(StopProvider, match="who are you"):
        predict(classify, split_items(BuildFolder(small), "train"), tmp_path / "predictions.jsonl")
    assert server.count <= 8


def test_record_refused_in_unknown_words_again_and_again_is_asked_to_the_end_once(
    small: Path, server: Loopback, tmp_path: Path
) -> None:
    items, out = split_items(BuildFolder(small), "train"), tmp_path / "predictions.jsonl"
    refused = items[0].messages[-1]["content"]
    slow = replace(saying("店铺页面"), delay_s=0.3)
    server.script = lambda call: Reply(451, "no") if asked_text(call) == refused else replace(slow)
    with classifier(small, server) as classify:
        account = predict(classify, items, out)
    assert (account.answered, account.problems, account.retry) == (len(items) - 1, {"request_refused": 1}, 0)


def test_interrupted_run_goes_on_where_it_was(
    small: Path, server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = split_items(BuildFolder(small), "train")
    out = tmp_path / "predictions.jsonl"
    server.script = lambda call: saying("店铺页面") if call.number < 2 else Reply(401)
    monkeypatch.setattr("datakit.llm._evidence.TURNED", 3)
    with classifier(small, server) as classify:
        classify.concurrency = 1
        with pytest.raises(StopProvider, match="401"):
            predict(classify, items, out)
    assert not out.exists()
    (kept,) = tmp_path.glob(".predictions.jsonl.*")
    kept.write_bytes(kept.read_bytes() + b'{"id": "half')  # as kill -9 leaves it
    server.script, server.count = (lambda call: saying("店铺页面")), 0
    with classifier(small, server) as classify:
        account = predict(classify, items, out)
    assert (account.resumed, server.count) == (2, len(items) - 2)


def test_answers_for_another_prompt_are_not_taken_over(small: Path, server: Loopback, tmp_path: Path) -> None:
    items = split_items(BuildFolder(small), "train")
    out = tmp_path / "predictions.jsonl"
    server.script = lambda call: Reply(503) if call.number else saying("店铺页面")
    with classifier(small, server) as classify:
        classify.concurrency = 1
        predict(classify, items, out)
        changed = [*items[:-1], split_items(BuildFolder(small), "val")[0]]
        server.script = lambda call: saying("购物车页面")
        assert predict(classify, changed, out).resumed == 0


def test_answer_about_a_picture_that_was_changed_since_is_not_taken_over(
    small: Path, server: Loopback, tmp_path: Path
) -> None:
    items = [
        replace(item, images=(shutil.copy(item.images[0], tmp_path / f"{item.id}.jpg"),))
        for item in split_items(BuildFolder(small), "train")
    ]
    out = tmp_path / "predictions.jsonl"
    refused = items[-1].messages[-1]["content"]
    server.script = lambda call: Reply(503) if asked_text(call) == refused else saying("店铺页面")
    with classifier(small, server) as classify:
        predict(classify, items, out)
    shutil.copy(items[1].images[0], items[0].images[0])
    server.script, server.count = (lambda call: saying("店铺页面")), 0
    with classifier(small, server) as classify:
        assert predict(classify, items, out).resumed == len(items) - 2
    assert server.count == 2


def test_folder_and_file_go_through_the_recipes_ocr(small: Path, server: Loopback, tmp_path: Path) -> None:
    folder = tmp_path / "screens"
    (folder / "more").mkdir(parents=True)
    for number, path in enumerate(sorted(SCREENS.glob("*.jpg"))[:2]):
        shutil.copyfile(path, folder / ("more" if number else "") / path.name)
    (folder / "broken.png").write_bytes(b"x")
    items = items_of(BuildFolder(small), str(folder))
    with classifier(small, server, rendered=False) as classify:
        account = predict(classify, items, tmp_path / "out.jsonl")
    assert account.text.startswith("3 records = 2 answered + 1 image_unreadable")
    found = list(files.read(tmp_path / "out.jsonl"))
    assert [one.id for one in found] == ["0000.jpg", "broken.png", "more/0001.jpg"]
    assert all("图中文字：" in asked_text(call) for call in server.calls)
    lines = [{"image": "screens/0000.jpg", "label": "首页"}, {"id": "b", "image": "screens/more/0001.jpg"}]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (first, second) = items_of(BuildFolder(small), str(tmp_path / "test.jsonl"))
    assert (first.id, first.label, second.id, second.label) == ("screens/0000.jpg", "首页", "b", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"id": "a"', "not JSON"),
        ('{"label": "a"}', "neither `id` nor a picture"),
        ('{"image": "../../etc/passwd"}', "leaves its root"),
        ('{"id": "a"}\n{"id": "a"}', "stands twice"),
        ('{"id": "a", "image": 3}', "must be a path"),
        ("\n", "holds no record"),
    ],
)
def test_broken_file_is_named_with_its_line(small: Path, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as error:
        items_of(BuildFolder(small), str(path))
    assert error.value.where.startswith(str(path)) or words == "holds no record"


def test_command_writes_predictions_and_tells_its_account(
    small: Path, server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.jsonl"
    call = ["predict", str(small), "--split", "train", "--base-url", server.url, "--out", str(out)]
    assert run([*call, "--json"]) == 0
    account = json.loads(capsys.readouterr().out)
    assert (account["records"], account["answered"], account["known"]) == (5, 5, 5)
    assert len(list(files.read(out))) == 5
    server.script = lambda call: Reply(400, "This model's maximum context length is 10 tokens")
    assert run([*call, "-q"]) == 0
    assert "5 context_too_long" in capsys.readouterr().out
    server.script = lambda call: saying("<think>像是", finish_reason="length")
    assert run([*call, "-q", "--max-answer-tokens", "7"]) == 0
    assert "5 thinking_cut" in capsys.readouterr().out
    assert server.calls[-1].body["max_tokens"] == 7


def test_answers_of_another_model_are_kept_and_other_files_left_alone(
    small: Path, server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.jsonl"
    call = ["predict", str(small), "--split", "train", "--base-url", server.url, "--out", str(out), "-q"]
    assert run(call) == 0
    first = out.read_bytes()
    assert run(call) == 0
    assert "Kept" not in capsys.readouterr().out, "the same answers are not kept twice"
    server.script = lambda call: Reply(400, "This model's maximum context length is 10 tokens")
    assert run(call) == 0
    assert "Kept: predictions with other answers" in capsys.readouterr().out
    (kept,) = tmp_path.glob("p.kept-*.jsonl")
    assert [one.answer for one in files.read(kept)] == [
        json.loads(line)["answer"] for line in first.splitlines()
    ]
    out.write_text("my notes\n")
    seen = len(server.calls)
    assert run(call) == 2
    assert "is not a file of predictions" in capsys.readouterr().err
    assert (out.read_text(), len(server.calls)) == ("my notes\n", seen)


def test_answers_are_named_by_the_run_whose_weights_are_served(
    server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = BuildFolder(made_build(tmp_path / "project"))
    call = ["predict", str(built.path), "--split", "train", "--base-url", server.url, "--json"]
    written = []
    for root in (str(built.runs / "lora-1a2b3c" / "served"), "/models/other", "/models/third"):
        server.root = root
        assert run(call) == 0
        account = json.loads(capsys.readouterr().out)
        assert (account["kept"], Path(account["out"]).parent) == (None, built.runs / account["run"])
        written.append(account["run"])
    assert written[0] == "lora-1a2b3c"
    assert len(set(written)) == 3
    assert sorted(built.answer_files("train")) == sorted(
        built.runs / name / f"predictions_train_{name}.jsonl" for name in written
    )
    assert run(["evaluate", str(built.path), "--split", "train"]) == 2
    commands = [line for line in capsys.readouterr().err.splitlines() if "--predictions /" in line]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command, comments=True)
        assert words[:3] == ["datakit", "evaluate", str(built.path)]
        assert run([*words[1:], "--no-ledger"]) == 0
    assert any("# lora-1a2b3c, written " in command for command in commands)


def test_unfinished_run_of_an_earlier_version_goes_on_under_the_runs_name(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = BuildFolder(made_build(tmp_path / "project"))
    items, earlier = split_items(built, "train"), built.predictions_file("train")
    server.script = lambda call: saying("店铺页面") if call.number < 2 else Reply(401)
    monkeypatch.setattr("datakit.llm._evidence.TURNED", 3)
    with classifier(built.path, server) as classify:
        classify.concurrency = 1
        with pytest.raises(StopProvider, match="401"):
            predict(classify, items, earlier, options="closed=False")
    server.script, server.count = (lambda call: saying("店铺页面")), 0
    assert run(["predict", str(built.path), "--split", "train", "--base-url", server.url, "-q"]) == 0
    assert server.count == len(items) - 2
    assert not list(built.runs.glob(".*"))
    assert len(list(built.predictions("train"))) == len(items)


def test_wrong_call_ends_with_2_and_words(
    small: Path, server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for call in (
        [str(small), "--split", "nowhere", "--base-url", server.url],
        [str(tmp_path), "--base-url", server.url],
        [str(small), "--base-url", "localhost:8000"],
    ):
        assert run(["predict", *call]) == 2
        assert "Traceback" not in capsys.readouterr().err
    assert run(["predict", str(small), "--base-url", "http://127.0.0.1:9/v1"]) == 5
    assert "datakit serve" in capsys.readouterr().err


def test_answers_that_are_no_labels_are_not_called_wrong(server: Loopback, tmp_path: Path) -> None:
    built = made_build(tmp_path / "project", answers="[{fields: [{name: seen, kind: text, column: id}]}]")
    items = [replace(item, label="购物车页面") for item in split_items(BuildFolder(built), "train")]
    with classifier(built, server) as classify:
        account = predict(classify, items, tmp_path / "predictions.jsonl")
    assert (account.answered, account.known, account.correct) == (len(items), 0, 0)
    assert "right" not in account.text
    assert "datakit evaluate" in account.text
