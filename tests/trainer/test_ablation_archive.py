"""An ablation's archive with the real LLaMA-Factory: killed at random moments of every stage, and resumed.

The server is a toy, or the real vLLM that DATAKIT_VLLM names. Run by itself:

    scripts/test_trainer.sh .venv-trainer -k ablation_archive
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.qwen_models import qwen_model
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens
from tests.support import fake_vllm
from tests.support.unpacked import free_port
from tests.support.waiting import until
from tests.trainer.conftest import ROOT, SMALL

pytestmark = pytest.mark.trainer

STEPS = 6
STAGES = ("train", "export", "serve", "predict")
RECIPE = """\
name: tiny
labels: ../templates/ecom/labels.yaml
steps:
  - read.jsonl: {path: ../examples/ecom/train.jsonl, image: image, label: label}
  - curate.split: {val: 0.1, stratify: null}
  - render.chat: {prompt: ecom/classify_v1.j2, answer: label_only, max_chars: 2500}
emit: [llamafactory]
"""


class Machine:
    """The archive unpacked, and a machine's environment of which datakit is no part."""

    def __init__(
        self, archive: Path, home: Path, settings: dict[str, str], folder: Path | None = None
    ) -> None:
        home.mkdir()
        if folder is None:
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
            folder = home / "tiny-ablation"
        self.folder, self.home, self.settings = folder, home, {**settings, "PORT": str(free_port())}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        log = open(self.home / "run.log", "ab")  # noqa: SIM115 (the process writes it)
        words = (str(self.folder / "run.sh"), *words)
        return subprocess.Popen(
            words, env=self.settings, cwd=self.home, stdout=log, stderr=log, start_new_session=True
        )

    def go(self, *words: str) -> int:
        return self.start(*words).wait(1800)

    @property
    def log(self) -> str:
        return (self.home / "run.log").read_text("utf-8", "replace")

    @property
    def states(self) -> dict[str, dict[str, Any]]:
        """Name of each training that was begun -> its status."""
        found = {}
        for path in sorted(self.folder.glob("*/*-runs/*/status.json")):
            found[path.parents[2].name] = json.loads(path.read_text("utf-8"))
        return found

    def is_in(self, stage: str) -> bool:
        return any(own["stage"] == stage and own["state"] == "running" for own in self.states.values())

    def trainings(self) -> dict[str, int]:
        """Name of each training -> how often a trainer was started for it."""
        logs = self.folder.glob("*/*-runs/*/logs/train-*.log")
        found: dict[str, int] = {}
        for path in logs:
            found[path.parents[3].name] = found.get(path.parents[3].name, 0) + 1
        return found

    def finished(self) -> set[str]:
        records = self.folder.glob("*/*-runs/*/stages/train.json")
        return {path.parents[3].name for path in records if json.loads(path.read_text())["exit"] == 0}

    def weights(self) -> dict[str, bytes]:
        files = self.folder.glob("*/*-runs/*/served/model.safetensors")
        return {path.parents[3].name: path.read_bytes() for path in files}

    def steps(self) -> dict[str, list[int]]:
        """Name of each training -> the steps in its trainer's log."""
        logs = self.folder.glob("*/*-runs/*/trained/trainer_log.jsonl")
        return {
            path.parents[3].name: [
                entry["current_steps"]
                for entry in map(json.loads, path.read_text().splitlines())
                if "loss" in entry
            ]
            for path in logs
        }


@pytest.fixture(scope="module")
def archive(
    tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """The archive of a base and one change, and the environment that runs it."""
    project = tmp_path_factory.mktemp("ablated")
    for name in ("templates", "examples"):
        os.symlink(ROOT / name, project / name)
    (project / "recipes").mkdir()
    model = Path(os.environ.get("DATAKIT_UNTIED_MODEL") or tiny_model("qwen2_5_vl"))
    keys = "".join(f"  {value.removeprefix('train.').replace('=', ': ')}\n" for value in SMALL)
    train = f"train:\n  model: {model}\n  method: lora\n  preset: ecom\n  max_steps: {STEPS}\n{keys}"
    (project / "recipes" / "tiny.yaml").write_text(RECIPE + train, "utf-8")
    words = [
        "ablate",
        "recipes/tiny.yaml",
        "--set",
        "train.learning_rate=1e-3",
        "--bundle",
        "it.tar",
        "--limit",
        "48",
        "--quiet",
    ]
    subprocess.run(
        [sys.executable, "-m", "datakit.cli", *words],
        check=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    build = BuildFolder(project / "build" / "tiny.ablate" / "base-s1")
    item = split_items(build, "val")[0]
    tokens = prompt_tokens(build, item.messages, tuple(map(str, item.images)), qwen_model(str(model)))
    own = os.environ.get("DATAKIT_VLLM")
    vllm = Path(own) if own else fake_vllm.install(project / "vllm")
    python = vllm.with_name("python") if own else Path(sys.executable)
    home = project / "home"
    home.mkdir()
    settings = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CPU": "1",
        "MODEL": str(model),
        "TRAINER": str(Path(sys.executable).with_name("llamafactory-cli")),
        "VLLM": str(vllm),
        "PYTHON": str(python),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "FAKE_PROMPT_TOKENS": str(tokens),
    }
    return project / "it.tar", settings


@pytest.fixture
def machine(archive: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    made = []

    def make(name: str, folder: Path | None = None) -> Machine:
        made.append(Machine(archive[0], tmp_path / name, archive[1], folder))
        return made[-1]

    yield make
    for one in made:
        kill(own_processes(one.folder))


def own_processes(folder: Path) -> list[psutil.Process]:
    """What works on the archive: its driver, its trainers and servers."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(process)
    return found


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=60)


def comes_to(there: Machine, stage: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether a call comes to a stage before its end."""
    while process.poll() is None:
        if there.is_in(stage):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.fault(
    "an ablation's archive is killed (kill -9) at any moment of any stage",
    "the same command goes on to the weights of a whole run; no finished training is repeated",
    kind="signals",
)
def test_killed_at_random_moments_it_comes_to_the_weights_of_a_whole_run(
    machine: Callable[..., Machine],
) -> None:
    """Now only the driver dies, now everything, as when the machine loses power."""
    draw = random.Random(int(os.environ.get("DATAKIT_SEED", "11")))
    whole, there = machine("whole"), machine("killed")
    assert whole.go() == 0, whole.log[-3000:]
    kills = 0
    for stage in STAGES * 2:
        process = there.start()
        if not comes_to(there, stage, process):
            break  # it came to its end
        time.sleep(draw.uniform(0.0, 2.0))
        before, done = there.trainings(), there.finished()
        if draw.random() < 0.5:
            os.kill(process.pid, signal.SIGKILL)
        else:
            kill(own_processes(there.folder))
        process.wait(60)
        kills += 1
        print(f"killed in {stage}; finished: {sorted(done)}; trainers so far: {before}")
    assert kills >= len(STAGES)
    assert there.go() == 0, there.log[-3000:]
    assert there.weights() == whole.weights()
    assert set(whole.trainings().values()) == {1}
    after = there.trainings()
    assert {name: after[name] for name in done} == {name: before[name] for name in done}
    assert all(steps[-1] == STEPS for steps in there.steps().values())
    with tarfile.open(there.folder / "results.tar") as tar:
        assert {"report.html", "base-s1.tar"} <= set(tar.getnames())


@pytest.mark.fault(
    "one of two machines that share an ablation dies in the middle of a training",
    "the other one takes the training over, after its own; each training is begun once",
    kind="signals",
)
def test_two_nodes_share_the_trainings_and_one_takes_over_from_the_dead(
    machine: Callable[..., Machine],
) -> None:
    first = machine("first")
    second = machine("second", first.folder)
    one = first.start()
    until(lambda: first.is_in("train"), one, within_s=300)
    other = second.start()
    until(lambda: len(first.trainings()) == 2, other, within_s=300)
    until(lambda: first.steps().get("base-s1"), one, within_s=600)
    os.kill(one.pid, signal.SIGKILL)  # its trainer lives on
    one.wait(60)
    assert other.wait(1800) == 0, second.log[-3000:]
    assert set(first.trainings().values()) == {1}
    assert "base-s1" in second.log
    assert len(first.weights()) == 2
