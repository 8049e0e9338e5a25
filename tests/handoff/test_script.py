"""scripts/handoff.sh: the words and settings of earlier versions reach `datakit handoff`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.handoff.conftest import Home

SCRIPT = Path(__file__).resolve().parent.parent.parent / "scripts" / "handoff.sh"


def call(tmp_path: Path, *words: str, **environment: str) -> list[str]:
    """The words that datakit is called with."""
    listed = tmp_path / "words"
    fake = tmp_path / "datakit"
    fake.write_text(f"#!/bin/bash\nprintf '%s\\0' \"$@\" > {shlex.quote(str(listed))}\n")
    fake.chmod(0o755)
    env = {"PATH": "/usr/bin:/bin", "DATAKIT": str(fake), **environment}
    subprocess.run([str(SCRIPT), *words], env=env, check=True)
    return listed.read_text().split("\0")[:-1]


@pytest.mark.parametrize(
    "words", [["build/it"], ["build/it", "train", "export"], ["build/a b", "--again", "predict"]]
)
def test_words_are_those_of_the_command(tmp_path: Path, words: list[str]) -> None:
    assert call(tmp_path, *words) == ["handoff", *words]


def test_settings_of_the_environment_become_options(tmp_path: Path) -> None:
    settings = {"TRAIN_FLAGS": "--ignore-memory\n--nodes 1", "SERVE_FLAGS": "--gpus 2", "PORT": "8001"}
    settings |= {"PREDICT_FLAGS": "--split 'my test.jsonl'", "CPU": "1", "SERVE_WAIT_S": "20"}
    assert call(tmp_path, "build/it", **settings) == [
        *("handoff", "build/it", "--train-flags", "--ignore-memory\n--nodes 1"),
        *("--predict-flags", "--split 'my test.jsonl'", "--serve-flags", "--gpus 2 --timeout-s 20"),
        *("--port", "8001", "--cpu"),
    ]


@pytest.mark.parametrize("text", ["", "0", "no", "False", "OFF"])
def test_cpu_that_is_switched_off_is_off(tmp_path: Path, text: str) -> None:
    assert call(tmp_path, "build/it", CPU=text) == ["handoff", "build/it"]


def test_build_is_taken_to_its_scores_by_the_script(home: Home, tmp_path: Path) -> None:
    datakit = tmp_path / "datakit"
    datakit.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m datakit.cli "$@"\n')
    datakit.chmod(0o755)
    own = {"DATAKIT": str(datakit), "PORT": str(home.port), "CPU": "1", "DATAKIT_VLLM": str(home.vllm)}
    own |= {"PREDICT_FLAGS": "--closed", "TRAIN_FLAGS": "--nodes 1"}
    done = subprocess.run(
        [str(SCRIPT), str(home.build)],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "macro F1" in done.stdout
    assert home.answers.is_file()
    wrong = {**os.environ, **own, "PORT": "80a"}
    done = subprocess.run(
        [str(SCRIPT), str(home.build)], env=wrong, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "'80a' is not a valid integer" in done.stderr) == (2, True)


def test_other_nodes_only_check_and_train(
    home: Home, make_build: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home.build)
    make_build(gpus=2, nodes=2)
    monkeypatch.setenv("NODE_RANK", "1")
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    account = home.account()
    assert [stage["stage"] for stage in account["stages"]] == ["check", "train"]
    monkeypatch.delenv("NODE_RANK")
    assert (home.run.folder / "stages" / "train-1.json").is_file()
    account = home.account("--train-flags", "--node-rank 1 --master 10.0.0.1")
    assert [stage["stage"] for stage in account["stages"]] == ["check", "train"]
