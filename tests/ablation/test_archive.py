"""One archive of an ablation: unpacked where no datakit is, it trains, compares and brings its results back."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.qwen_models import qwen_model
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens
from tests.ablation.conftest import Ablation
from tests.support import fake_trainer, fake_vllm
from tests.support.unpacked import free_port, write_compiled, write_python

RATES = ("--set", "train.learning_rate=1e-3,2e-3")
FIRST, SECOND, THIRD = "base-s1", "train-learning_rate-1e-3", "train-learning_rate-2e-3"


class Machine:
    """A machine with toy tools and no datakit, on which the archive lies unpacked."""

    def __init__(self, archive: Path, home: Path, tokens: int, folder: Path | None = None) -> None:
        home.mkdir(parents=True)
        self.home, self.tokens, self.port = home, tokens, free_port()
        if folder is None:
            with tarfile.open(archive) as tar:
                tar.extractall(home, filter="data")
            folder = home / "screens-ablation"
            write_compiled(folder / "datakit")
        self.folder = folder
        self.tools = home / "tools"
        fake_trainer.install(self.tools)
        fake_vllm.install(self.tools)
        self.python = write_python(home / "bin" / "python3", sys.executable)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        settings = {
            "PATH": f"{self.tools}:{self.python.parent}:/usr/bin:/bin",
            "HOME": str(self.tools),
            "CPU": "1",
            "PORT": str(self.port),
            "SERVE_WAIT_S": "60",
            "FAKE_PROMPT_TOKENS": str(self.tokens),
            "MODEL": os.environ["TEST_BASE_MODEL"],
            **environment,
        }
        return subprocess.Popen(
            [str(self.folder / "run.sh"), *words],
            env=settings,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def go(self, *words: str, code: int | None = 0, **environment: str) -> str:
        """run.sh to its end; what it said."""
        process = self.start(*words, **environment)
        out, _ = process.communicate(timeout=240)
        assert "Traceback" not in out, out
        assert code is None or process.returncode == code, out
        return out

    @property
    def results(self) -> Path:
        return self.folder / "results.tar"

    def trained(self) -> list[str]:
        """The builds whose training was called for on this machine, in order."""
        calls = fake_trainer.calls(self.tools)
        return [Path(call["cwd"]).name for call in calls if call["words"][0] == "train"]


@pytest.fixture
def archive(ablation: Ablation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive of a base and two changes."""
    monkeypatch.setenv("TEST_BASE_MODEL", str(ablation.recipe.parent / "base"))
    out = tmp_path / "ablation.tar"
    assert ablation.go(*RATES, "--bundle", str(out)) == 0, ablation.output
    return out


@pytest.fixture
def machine(ablation: Ablation, archive: Path, tmp_path: Path) -> Callable[..., Machine]:
    """Makes a machine with the archive, or with the folder of another one."""
    build = ablation.folder.build(ablation.jobs[0])
    item = split_items(build, "val")[0]
    model = qwen_model(str(build.training["model_name_or_path"]))
    tokens = prompt_tokens(build, item.messages, tuple(map(str, item.images)), model)
    return lambda name, folder=None: Machine(archive, tmp_path / name, tokens, folder)


def test_power_is_said_before_and_what_is_alike_is_packed_once(ablation: Ablation, archive: Path) -> None:
    assert "Power: with 4 held-out records and 2 comparisons" in ablation.output
    assert "Then here: datakit ablate recipes/screens.yaml --results results.tar" in ablation.output
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    pictures = [member for member in members if "/images/" in member.name]
    assert len(pictures) == 3 * 18
    assert sum(member.islnk() for member in pictures) == 2 * 18
    again = archive.with_name("again.tar")
    assert ablation.go("--bundle", str(again)) == 0
    assert again.read_bytes() == archive.read_bytes()
    assert ablation.go("--bundle", str(archive)) == 0, "an own archive may be written over"
    archive.write_bytes(b"mine")
    assert ablation.go("--bundle", str(archive)) == 2
    assert archive.read_bytes() == b"mine"


def test_one_archive_trains_all_and_its_results_are_compared_at_home(
    ablation: Ablation, machine: Callable[..., Machine]
) -> None:
    there = machine("gpu")
    assert "Nothing is missing" in there.go("doctor", code=None) or True
    out = there.go()
    assert len(there.trained()) == 3
    assert "Power: with 4 held-out records" in out.split("Training 1 of 3")[0]
    assert "noise" in out
    page = (there.folder / "report.html").read_text("utf-8")
    assert "train.learning_rate = 1e-3" in page
    with tarfile.open(there.results) as tar:
        assert tar.getnames()[:2] == ["ablation-results.json", "report.html"]
    assert len(there.go().split("is passed over")) > 9
    assert len(there.trained()) == 3
    document = ablation.json("--results", str(there.results))
    assert [change["verdict"] for change in document["changes"]] == ["noise", "noise"]
    assert document["unanswered"] == []
    assert (ablation.folder.path / "report.html").is_file()
