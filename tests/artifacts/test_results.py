"""results.tar: what it holds of a run, and what it never does."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from datakit.artifacts.predictions import Prediction, write
from datakit.artifacts.results import LOG_END_BYTES, Results, is_results, write_results
from datakit.core.errors import UserError

ANSWER = Prediction(id="a", label="购物车", predicted="首页", confidence=0.9)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that went through all stages."""
    folder = tmp_path / "small-runs" / "lora-1a2b3c"
    write(folder / "predictions_val_lora-1a2b3c.jsonl", [ANSWER])
    for name, text in {
        "evaluation.json": '{"records": 1}',
        "status.json": '{"state": "done"}',
        "stages/train.json": '{"exit": 0}',
        "trained/trainer_log.jsonl": '{"loss": 0.5}\n',
        "trained/adapter_model.safetensors": "weights",
        "served/model.safetensors": "weights",
        "logs/train-20261126.log": "step 1\nstep 2\n",
        "predictions.kept-20261126T120000.jsonl": "{}\n",
        ".predictions_val.jsonl.0a.part.jsonl": "{}\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def packed(run: Path) -> tuple[Results, dict[str, bytes]]:
    """What `write_results` gives, and what another program finds in the archive."""
    results = write_results(run / "results.tar", run, name="small", content="c" * 64, weights="w" * 64)
    with tarfile.open(run / "results.tar") as tar:
        return results, {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def test_answers_scores_accounts_and_logs_are_packed_and_no_weights(run: Path) -> None:
    results, files = packed(run)
    assert set(files) == {
        *("results.json", "predictions_val_lora-1a2b3c.jsonl", "evaluation.json", "status.json"),
        *("stages/train.json", "trained/trainer_log.jsonl", "logs/train-20261126.log"),
    }
    assert files["predictions_val_lora-1a2b3c.jsonl"] == (run / results.answers[0]).read_bytes()
    document = json.loads(files.pop("results.json"))
    assert document == results.model_dump()
    assert (document["name"], document["content"], document["run"]) == ("small", "c" * 64, "lora-1a2b3c")
    assert document["weights"] == "w" * 64
    assert {name: len(data) for name, data in files.items()} == {
        name: file.bytes for name, file in results.files.items()
    }
    assert list(results.answers) == ["predictions_val_lora-1a2b3c.jsonl"]


def test_a_run_that_failed_early_brings_its_logs_home(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "check.log").write_text("no GPU\n", "utf-8")
    results, files = packed(tmp_path)
    assert set(files) == {"results.json", "logs/check.log"}
    assert results.answers == []


def test_of_a_long_log_the_end_is_packed_from_a_whole_line_on(run: Path) -> None:
    lines = "".join(f"step {number:09}\n" for number in range(20_000))
    (run / "logs" / "train-20261126.log").write_text(lines, "utf-8")
    log = packed(run)[1]["logs/train-20261126.log"].decode()
    assert lines.endswith(log)
    assert log.startswith("step ")
    assert LOG_END_BYTES - 15 <= len(log) <= LOG_END_BYTES


@pytest.mark.fault(
    "a log of a run holds the server's key",
    "results.tar brings the log home without it",
    kind="secrets",
)
def test_keys_of_this_machine_stay_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-0123456789abcdef")
    (run / "logs" / "train-20261126.log").write_text("api_key='sk-0123456789abcdef'\n", "utf-8")
    assert packed(run)[1]["logs/train-20261126.log"] == b"api_key='***'\n"


def test_earlier_results_are_replaced_and_another_file_is_not(run: Path) -> None:
    packed(run)
    assert is_results(run / "results.tar")
    (run / "evaluation.json").write_text('{"records": 2}', "utf-8")
    assert packed(run)[1]["evaluation.json"] == b'{"records": 2}'
    (run / "results.tar").write_text("my own notes", "utf-8")
    with pytest.raises(UserError, match="is not an archive of results, and would be written over"):
        packed(run)
    assert (run / "results.tar").read_text("utf-8") == "my own notes"


def test_names_that_no_archive_takes_are_shortened_and_told_apart(run: Path) -> None:
    for mark in "ab":
        write(run / f"predictions_{'截图' * 25}{mark}_lora-1a2b3c.jsonl", [ANSWER])
    results, files = packed(run)
    assert len(results.answers) == 3
    assert set(results.answers) < set(files)


def test_links_to_answers_are_followed_and_pipes_left_out(run: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere.jsonl", [ANSWER])
    (run / "predictions_test.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    os.mkfifo(run / "predictions_pipe.jsonl")
    results, files = packed(run)
    assert "predictions_pipe.jsonl" not in files
    assert files["predictions_test.jsonl"] == (tmp_path / "elsewhere.jsonl").read_bytes()
    assert results.files["predictions_test.jsonl"].bytes > 0
