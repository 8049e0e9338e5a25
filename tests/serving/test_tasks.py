"""One model of several tasks: each is asked by its own prompt, read and scored by its own answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.errors import UserError
from datakit.library import build
from datakit.serving.classifier import Classifier
from datakit.serving.smoke import smoke_test
from tests.support.loopback import Loopback
from tests.support.served import asked_text, saying
from tests.support.task_builds import MOODS, TOPICS, project


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(tmp_path_factory.mktemp("served_both"))).folder


def test_each_task_is_predicted_and_scored_by_its_own_contract(
    both: Path, server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    server.script = lambda call: saying("类别：生气\n理由：投诉" if "情绪" in asked_text(call) else "退款")
    for task, names in (("topics", TOPICS), ("moods", MOODS)):
        words = ["predict", str(both), "--task", task, "--base-url", server.url, "--quiet"]
        assert run([*words, "--json"]) == 0
        account = json.loads(capsys.readouterr().out)
        assert account["problems"] == {}
        assert Path(account["out"]).parts[-3] == f"both.{task}-runs"
        assert run(["evaluate", str(both), "--task", task, "--json"]) == 0
        (scored,) = json.loads(capsys.readouterr().out)["evaluations"]
        assert scored["build"] == f"both.{task}"
        assert set(scored["confusion"]["labels"]) <= set(names)
        assert scored["records"] == account["records"]
        right = "退款" if task == "topics" else "生气"
        found = {one["label"]: one["recall"] for one in scored["classes"]}
        assert found[right] == 1.0
    card = (both.parents[1] / "data_cards" / "both.md").read_text("utf-8")
    assert "both.topics" in card or "of topics" in card


def test_a_build_of_tasks_is_asked_and_scored_by_name_only(
    both: Path, server: Loopback, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["predict", str(both), "--base-url", server.url], ["evaluate", str(both)]):
        assert run(words) == 2
        assert "--task topics" in capsys.readouterr().err
    with pytest.raises(UserError, match="2 tasks"):
        Classifier.from_build(both, server.url)


def test_a_classifier_of_a_task_writes_the_prompt_of_that_task(both: Path, server: Loopback) -> None:
    server.script = lambda call: saying("类别：平静\n理由：谢谢")
    with Classifier.from_build(both, server.url, task="moods") as classify:
        found = classify(None, text="好的谢谢")
    assert found.predicted == "平静"
    assert "好的谢谢" in asked_text(server.calls[-1])
    assert "生气" in asked_text(server.calls[-1])


def test_a_server_of_several_tasks_is_tried_with_a_record_of_the_first(both: Path, server: Loopback) -> None:
    server.script = lambda call: saying("物流")
    tried = smoke_test(BuildFolder(both), server.url, "small")
    assert tried.good, tried.text
    assert "这条内容是哪一类" in asked_text(server.calls[-1])


def test_a_bundle_of_several_tasks_says_what_to_do_instead(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bundle", str(both), "--out", str(tmp_path / "b.tar")]) == 2
    told = capsys.readouterr().err
    assert f"datakit handoff {both} --task topics" in told
    assert "--task moods" in told
    assert not (tmp_path / "b.tar").exists()
