"""run.sh of a bundle: the whole way, on a machine without datakit."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts import predictions
from datakit.bundling.pack import bundle
from tests.support.fake_trainer import calls, write_checkpoint
from tests.support.fake_vllm import asked, install
from tests.support.waiting import until

Make = Callable[..., Path]
PAYLOAD = Path(bundle.__code__.co_filename).parent / "payload"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    """Returns when something listens on the port."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens)


class Unpacked:
    """A bundle on a machine with a fake LLaMA-Factory and a fake vLLM."""

    def __init__(self, build: Path, folder: Path, tools: Path) -> None:
        made = bundle(build, folder / "it.tar")
        with tarfile.open(folder / "it.tar") as tar:
            tar.extractall(folder, filter="data")
        self.folder, self.tools = folder / made.starts_with, tools
        install(tools)
        self.port = free_port()

    def go(self, *stages: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.tools}:{Path(sys.executable).parent}:/usr/bin:/bin"
        settings = {"PATH": path, "HOME": str(self.tools), "CPU": "1", "PORT": str(self.port)}
        settings |= {"SERVE_WAIT_S": "30", **environment}
        command = [str(self.folder / "run.sh"), *stages]
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False, timeout=120)

    @property
    def run(self) -> Path:
        return next((self.folder / "screens-runs").glob("*-*"))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture
def unpacked(make_build: Make, trainer: Path, tmp_path: Path) -> Unpacked:
    return Unpacked(make_build(), tmp_path / "there", trainer.parent)


@pytest.fixture(autouse=True)
def _there(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()


def test_every_stage_runs_and_a_second_call_does_nothing_again(unpacked: Unpacked) -> None:
    done = unpacked.go()
    assert done.returncode == 0, done.stdout + done.stderr
    stages = {path.name for path in (unpacked.run / "stages").iterdir()}
    assert stages == {f"{name}-0.done" for name in ("check", "train", "export", "predict", "evaluate")}
    assert [call["words"][0] for call in calls(unpacked.tools)] == ["train", "export"]
    assert json.loads((unpacked.run / "evaluation.json").read_text())["records"] == len(unpacked.lines())
    again = unpacked.go()
    assert again.returncode == 0
    assert "train is done" in again.stdout
    assert len(calls(unpacked.tools)) == 2


def test_server_is_stopped_when_the_answers_are_there(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", unpacked.port)) != 0


@pytest.mark.fault(
    "training is killed while it writes a checkpoint",
    "half-written checkpoints are set aside; training goes on from a whole one",
    kind="signals",
)
def test_killed_training_goes_on_and_half_written_checkpoints_are_set_aside(unpacked: Unpacked) -> None:
    died = unpacked.go("train", FAKE_TRAINER="die:2")
    assert died.returncode != 0
    write_checkpoint(unpacked.run / "trained" / "checkpoint-3", whole=False)
    done = unpacked.go("train")
    assert done.returncode == 0, done.stdout
    assert "checkpoint-3 was only half-written" in done.stdout
    assert len((unpacked.run / "trained" / "trainer_log.jsonl").read_text().splitlines()) == 4


def test_failing_stage_stops_the_run_with_its_log(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_TRAINER="oom")
    assert done.returncode != 0
    assert "CUDA out of memory" in done.stdout
    assert not (unpacked.run / "stages" / "train-0.done").exists()
    assert not (unpacked.run / "served").exists()


def test_model_that_lost_a_tensor_is_not_served(unpacked: Unpacked) -> None:
    base = json.loads((unpacked.folder / "bundle.json").read_text())
    assert base["name"] == "screens"
    keys = (unpacked.folder / "screens" / "train.yaml").read_text()
    model = next(line.split(": ")[1] for line in keys.splitlines() if line.startswith("model_name_or_path"))
    done = unpacked.go("train", "export", FAKE_TRAINER="renamed", MODEL=model)
    assert done.returncode != 0
    assert "1 tensors are missing" in done.stderr
    assert not (unpacked.run / "served").exists()


def test_server_that_dies_ends_the_run_with_its_last_words(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_VLLM="dies")
    assert done.returncode == 1
    assert "estimated maximum model length" in done.stderr
    assert "ended before it was ready" in done.stderr


@pytest.mark.fault("a server of another model answers on the port", "it is never asked", kind="answers")
def test_server_of_another_model_on_the_port_is_never_asked(unpacked: Unpacked) -> None:
    other = subprocess.Popen(
        [unpacked.tools / "vllm", "serve", "/other", "--served-model-name", "x", "--port", str(unpacked.port)]
    )
    try:
        assert unpacked.go("train", "export").returncode == 0
        wait_for(unpacked.port)
        done = unpacked.go("predict")
    finally:
        other.kill()
        other.wait()
    assert done.returncode == 2
    assert "taken by a server of something else" in done.stderr
    assert asked(unpacked.tools) == []


def test_second_node_trains_and_does_nothing_else(unpacked: Unpacked) -> None:
    place = {"NNODES": "2", "NODE_RANK": "1", "GPUS": "4"}
    assert "MASTER_ADDR" in unpacked.go("train", **place).stderr
    done = unpacked.go(MASTER_ADDR="10.0.0.1", **place)
    assert done.returncode == 0, done.stdout
    (call,) = calls(unpacked.tools)
    assert call["env"] == {
        "FORCE_TORCHRUN": "1",
        "NPROC_PER_NODE": "4",
        "NNODES": "2",
        "NODE_RANK": "1",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
    }


def test_model_and_further_settings_reach_the_trainer(unpacked: Unpacked) -> None:
    unpacked.go("train", MODEL="/models/mine", TRAIN_FLAGS="num_train_epochs=1 flash_attn=fa2")
    words = calls(unpacked.tools)[0]["words"]
    assert {"model_name_or_path=/models/mine", "num_train_epochs=1", "flash_attn=fa2"} <= set(words)


def test_predictions_are_what_datakit_evaluate_reads(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    found = list(predictions.read(unpacked.run / "predictions.jsonl"))
    assert {line.predicted for line in found} == {"购物车页面"}
    assert all(line.label for line in found)
    assert len({line.id for line in found}) == len(found)


def test_pictures_are_sent_where_they_stand_in_the_prompt(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    body = asked(unpacked.tools)[0]
    assert (body["model"], body["temperature"]) == ("screens", 0)
    user = next(turn for turn in body["messages"] if turn["role"] == "user")
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "<image>" not in user["content"][1]["text"]
    assert body["messages"][-1]["role"] == "user"  # the true answer is never sent


def test_answers_that_are_there_are_not_asked_again(unpacked: Unpacked) -> None:
    assert unpacked.go("train", "export").returncode == 0
    done = unpacked.go("predict", FAKE_VLLM="refuses:1")
    assert done.returncode == 3, done.stdout + done.stderr
    assert [line["problem"] for line in unpacked.lines() if "problem" in line] == ["not_answered"]
    before = len(asked(unpacked.tools))
    assert unpacked.go("predict").returncode == 0
    assert len(asked(unpacked.tools)) == before + 1
    assert not any("problem" in line for line in unpacked.lines())


def test_model_that_was_trained_anew_is_asked_anew(unpacked: Unpacked) -> None:
    assert unpacked.go("train", "export", "predict").returncode == 0
    before = len(asked(unpacked.tools))
    done = unpacked.go("--again", "predict", "evaluate", FAKE_ANSWER="退款页面")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(asked(unpacked.tools)) == 2 * before
    assert {line["predicted"] for line in unpacked.lines()} == {"退款页面"}
    assert "Kept: predictions with other answers" in done.stdout


def test_failed_questions_are_tried_again(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_VLLM="fails:1")
    assert done.returncode == 0, done.stdout
    assert not any(line.get("problem") for line in unpacked.lines())


def test_server_with_a_key_is_started_asked_and_scored(unpacked: Unpacked) -> None:
    key = "sk-bundle-77c1e0"
    done = unpacked.go(VLLM_API_KEY=key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((unpacked.run / "evaluation.json").read_text())["metrics"]["accuracy"]
    files = [path for path in unpacked.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert key not in done.stdout + done.stderr


def test_python_of_the_trainer_asks_where_the_usual_one_lacks_packages(
    unpacked: Unpacked, tmp_path: Path
) -> None:
    bare = tmp_path / "bare" / "python3"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    path = f"{bare.parent}:{unpacked.tools}:/usr/bin:/bin"
    none = unpacked.go("check", PATH=path)
    assert none.returncode == 1
    assert "with numpy, jinja2, pydantic and pillow" in none.stderr
    (unpacked.tools / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (unpacked.tools / "python3").chmod(0o755)
    done = unpacked.go(PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"predict and evaluate take {unpacked.tools}/python3" in done.stdout
    told = unpacked.go("check", PATH=path, PYTHON=str(bare))
    assert told.returncode == 1  # what was named is never replaced
    assert f"tried: {bare}" in told.stderr


def test_unknown_stage_and_no_gpu_are_told(unpacked: Unpacked) -> None:
    wrong = unpacked.go("tarin")
    assert (wrong.returncode, "unknown stage tarin" in wrong.stderr) == (2, True)
    done = unpacked.go("check", CPU="")
    assert done.returncode == 1
    assert "GPU" in done.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_are_clean_by_shellcheck() -> None:
    root = Path(__file__).parent.parent.parent
    scripts = [*root.glob("scripts/*.sh"), *PAYLOAD.glob("*.sh")]
    assert len(scripts) >= 3
    subprocess.run(["shellcheck", *map(str, scripts)], check=True, cwd=root)


def test_scripts_are_whole_by_bash() -> None:
    root = Path(__file__).parent.parent.parent
    for script in (*root.glob("scripts/*.sh"), *PAYLOAD.glob("*.sh")):
        assert os.access(script, os.X_OK), script
        subprocess.run(["bash", "-n", str(script)], check=True)
