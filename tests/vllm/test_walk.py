"""A bundle walked whole with the real trainer and the real vLLM, killed and disturbed on its way.

Both environments are needed: TRAINER_VENV of scripts/test_vllm.sh. One walk serves all tests: each looks at
what one of its calls of run.sh said.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from datakit.artifacts import predictions
from datakit.cli import run
from datakit.training.run_folder import checkpoints
from datakit.training.trainer_process import TrainerProcess
from tests.support.real_bundle import LOADED_S, RealBundle
from tests.support.train_builds import build_screens
from tests.support.waiting import until

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DATAKIT_LLAMAFACTORY" not in os.environ,
        reason="run scripts/test_vllm.sh with TRAINER_VENV, which scripts/test_trainer.sh makes",
    ),
]
SECTION = {
    "image_max_pixels": 12_544,
    "gradient_accumulation_steps": 1,
    "per_device_train_batch_size": 1,
    "preprocessing_num_workers": 1,
    "max_steps": 6,
    "save_steps": 2,
    "eval_steps": 2,
    "logging_steps": 1,
}
SLOWLY = {"SERVE_FLAGS": "--max-num-seqs 1"}
"""One answer after the other, so that a server can be killed between them."""
STAGES = ("train", "export", "predict", "evaluate")


@dataclass
class Walk:
    """What the calls of run.sh came to."""

    bundle: RealBundle
    calls: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)
    training: TrainerProcess | None = None

    def said(self, call: str, code: int = 0) -> str:
        """All that a call printed; it ended with this code."""
        done = self.calls[call]
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        return text


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    project = tmp_path_factory.mktemp("home")
    section = {**SECTION, "model": os.environ["DATAKIT_UNTIED_MODEL"]}
    build = build_screens(project, section, records=32)
    walk = Walk(RealBundle(build, tmp_path_factory.mktemp("machine") / "there"))
    try:
        walk.calls["doctor"] = walk.bundle.go("doctor")
        kill_in_predict(walk, kill_in_training(walk))
        walk.calls["again"] = walk.bundle.go(**SLOWLY)
        yield walk
    finally:
        walk.bundle.end_all()


def kill_in_training(walk: Walk) -> subprocess.Popen[str]:
    """The command that attaches to a training whose first command was killed (kill -9) at a checkpoint.

    The training stands still meanwhile, and a third command is turned away.
    """
    bundle = walk.bundle
    first = bundle.start(**SLOWLY)
    until(lambda: list(bundle.folder.glob("screens-runs/*/trained")), first, within_s=LOADED_S)
    until(lambda: checkpoints(bundle.run / "trained")[0], first, within_s=LOADED_S)
    with bundle.trainer_at_rest() as walk.training:
        walk.calls["status of the first"] = bundle.go("--status")
        first.kill()
        first.communicate()
        walk.calls["status of nobody"] = bundle.go("--status")
        second = bundle.start(**SLOWLY)
        bundle.comes_to("This run is already training", second)
        walk.calls["third"] = bundle.go(**SLOWLY)
    return second


def kill_in_predict(walk: Walk, process: subprocess.Popen[str]) -> None:
    """vLLM's engine is killed (kill -9) while it answers; the command goes to its end."""
    bundle = walk.bundle
    bundle.comes_to("Serving at", process)
    bundle.server_process(is_engine).kill()
    out, err = process.communicate(timeout=bundle.patience_s)
    walk.calls["second"] = subprocess.CompletedProcess(process.args, process.returncode, out, err)


def is_engine(process: psutil.Process) -> bool:
    """vLLM's engine: what the system ends first when memory runs out. The server outlives it a while."""
    return "EngineCore" in " ".join([process.name(), *process.cmdline()])


def test_doctor_finds_both_tools_and_nothing_missing(walk: Walk) -> None:
    text = walk.said("doctor")
    assert "ok       trainer: LLaMA-Factory 0.9.5" in text
    assert "ok       server: vLLM 0.32.0" in text
    assert "Nothing is missing. Start: ./run.sh" in text


def test_walk_imports_the_bundles_own_code(walk: Walk) -> None:
    python = walk.bundle.environment["PYTHON"]
    done = subprocess.run([python, "-I", "-c", "import datakit"], capture_output=True, text=True, check=False)
    assert "No module named 'datakit'" in done.stderr


def test_status_tells_the_step_while_the_real_trainer_works(walk: Walk) -> None:
    text = walk.said("status of the first")
    assert "train: running since" in text
    assert " of 6" in text
    assert "Log: " in text


def test_training_outlives_its_killed_command_and_the_next_one_attaches(walk: Walk) -> None:
    assert walk.training is not None
    assert f"The training goes on by itself ({walk.training.who})" in walk.said("status of nobody")
    text = walk.said("second")
    assert re.search(
        rf"This run is already training \({re.escape(walk.training.who)}\), step [1-6] of 6", text
    )
    assert "(6 steps, loss " in text
    assert len(list(walk.bundle.run.glob("logs/train-*.log"))) == 1  # one trainer has done it all


@pytest.mark.fault(
    "a second handoff is started in a run that one works on",
    "turned away, with who works there and the command that shows how far it is",
    kind="processes",
)
def test_second_handoff_at_once_is_turned_away_and_told_who_works_there(walk: Walk) -> None:
    text = walk.said("third", 2)
    assert "works on this run already" in text
    assert "run.sh --status" in text


@pytest.mark.fault(
    "vLLM's engine is killed while it answers",
    "noticed; the server is started once more, and every record has its answer",
    kind="processes",
)
def test_server_killed_in_predict_is_started_once_more_and_every_record_is_answered(walk: Walk) -> None:
    text = walk.said("second")
    assert text.count("The server is gone; starting it once more.") == 1
    assert len(list(walk.bundle.run.glob("logs/serve-*.log"))) == 2
    answers = list(predictions.read(walk.bundle.answers))
    assert len(answers) == walk.bundle.evaluation["records"] > 4
    assert not [line for line in answers if line.problem == predictions.NOT_ANSWERED]


@pytest.mark.fault(
    "the model answers with words that are no label",
    "kept, counted by reason, and scored as wrong",
    kind="answers",
)
def test_answers_outside_of_the_set_are_kept_counted_and_scored_as_wrong(walk: Walk) -> None:
    answers = list(predictions.read(walk.bundle.answers))
    outside = [line for line in answers if line.problem == "label_unknown"]
    assert outside
    assert all(line.detail for line in outside)
    assert f"{len(outside)} label_unknown" in walk.said("second")
    assert walk.bundle.evaluation["metrics"]["accuracy"]["value"] == 0


def test_second_walk_passes_over_every_stage_with_its_reason(walk: Walk) -> None:
    text = walk.said("again")
    for stage in STAGES:
        assert f"{stage} is passed over: done 20" in text
    assert text.count("inputs unchanged") == len(STAGES)
    assert len(list(walk.bundle.run.glob("logs/serve-*.log"))) == 2


def test_results_are_taken_over_and_scored_at_home(
    walk: Walk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = walk.bundle.folder / "results.tar"
    assert f":{archive} . && datakit evaluate results.tar" in walk.said("again")
    with tarfile.open(archive) as tar:
        assert not [name for name in tar.getnames() if name.endswith((".safetensors", ".jpg", ".png"))]
    project = home_of(walk)
    monkeypatch.chdir(project)
    assert run(["evaluate", str(archive)]) == 0, capsys.readouterr().err
    at_home = project / "build" / "screens-runs" / walk.bundle.run.name
    (scores,) = at_home.glob("evaluation*.json")
    assert json.loads(scores.read_text("utf-8"))["metrics"] == walk.bundle.evaluation["metrics"]


def home_of(walk: Walk) -> Path:
    """The project that the bundle was packed in."""
    return walk.bundle.build.parent.parent
