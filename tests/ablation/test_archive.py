"""One archive of an ablation: unpacked where no datakit is, it trains, compares and brings results home."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.ablation.packed_command import KEPT, trainings
from datakit.artifacts.ablation_results import trainings_of
from datakit.cli import run
from datakit.core.qwen_models import qwen_model
from datakit.serving.records import split_items
from datakit.serving.requirements import prompt_tokens
from tests.ablation.conftest import Ablation
from tests.support import fake_trainer, fake_vllm
from tests.support.unpacked import free_port, write_compiled, write_python
from tests.support.waiting import until

RATES = ("--set", "train.learning_rate=1e-3,2e-3")
FIRST = "base-s1"


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
    assert run(["bundle", str(ablation.folder.path), "-o", str(again)]) == 2
    assert "datakit ablate RECIPE --bundle" in ablation.folds.capsys.readouterr().err
    archive.write_bytes(b"mine")
    assert ablation.go("--bundle", str(archive)) == 2
    assert archive.read_bytes() == b"mine"


def test_one_archive_trains_all_and_its_results_are_compared_at_home(
    ablation: Ablation, machine: Callable[..., Machine]
) -> None:
    there = machine("gpu")
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
    assert run(["evaluate", str(there.results)]) == 2
    assert "datakit ablate RECIPE --results" in ablation.folds.capsys.readouterr().err
    document = ablation.json("--results", str(there.results))
    assert [change["verdict"] for change in document["changes"]] == ["noise", "noise"]
    assert document["unanswered"] == []
    assert (ablation.folder.path / "report.html").is_file()


def test_two_machines_of_one_folder_share_out_and_a_dead_one_is_taken_over_from(
    machine: Callable[..., Machine],
) -> None:
    first = machine("first")
    second = machine("second", first.folder)
    one = first.start(FAKE_TRAINER="hold")
    until(lambda: first.trained() == [FIRST], one)
    other = second.start()
    until(lambda: len(second.trained()) == 2, other)
    assert other.stdout is not None
    lines = iter(other.stdout.readline, "")
    waiting = next(line for line in lines if line.startswith("Waiting"))
    assert f"{FIRST} (process {one.pid} on " in waiting
    one.kill()
    one.communicate()
    assert any("is already training" in line for line in lines)  # the trainer outlived its driver
    fake_trainer.release(first.tools)
    out, _ = other.communicate(timeout=240)
    assert other.returncode == 0, out
    assert (len(first.trained()), len(second.trained())) == (1, 2)
    with trainings_of(first.results) as found:
        assert len(found) == 3


@pytest.mark.fault(
    "an ablation's archive is killed (kill -9) while it exports or asks",
    "the same command goes on, and trains nothing again",
    kind="signals",
)
def test_killed_while_it_exports_and_while_it_asks_it_goes_on(machine: Callable[..., Machine]) -> None:
    there = machine("gpu")
    process = there.start(FAKE_TRAINER="slow_export")
    until(lambda: bool(list(there.folder.glob("*/*-runs/*/served.part"))), process)
    process.kill()
    process.communicate()
    process = there.start(FAKE_VLLM="hangs:2")
    until(lambda: len(fake_vllm.asked(there.tools)) > 2, process)
    process.kill()
    process.communicate()
    assert f"{FIRST} (the base): not finished" in there.go("--status")
    out = there.go()
    assert len(there.trained()) == 3
    assert out.count("train runs") == 2


def test_machines_without_a_shared_folder_take_parts_and_a_lost_one_is_named(
    ablation: Ablation, machine: Callable[..., Machine]
) -> None:
    first, second = machine("first"), machine("second")
    first.go("--part", "1/2")
    second.go("--part", "2/2")
    assert [len(first.trained()), len(second.trained())] == [2, 1]
    assert ablation.go("--results", str(first.results)) == 3
    lost = ablation.jobs[1].path.name
    assert f"Not answered yet: {lost}" in ablation.output
    assert ablation.go("--results", str(second.results), "--results", str(first.results)) == 0
    assert ablation.output.count("noise") >= 2
    single = second.folder / lost / "results.tar"
    assert ablation.go("--results", str(single)) == 0  # the results of one training are taken too
    assert "is not I/N" in first.go("--part", "3/2", code=2)


@pytest.mark.fault(
    "a training of an ablation's archive fails", "told; the others go on and are compared", kind="bounds"
)
def test_a_training_that_fails_keeps_no_other_from_its_turn(
    ablation: Ablation, machine: Callable[..., Machine]
) -> None:
    there = machine("gpu")
    broken = ablation.jobs[1].path.name
    with open(there.folder / broken / broken / "train.yaml", "a") as file:
        file.write("# edited\n")
    assert "train.yaml was changed since the bundle was packed" in there.go("doctor", code=1)
    out = there.go(code=1)
    assert f"Failed: {broken} (exit code 1)" in out
    assert len(there.trained()) == 2
    assert "train.learning_rate = 2e-3" in (there.folder / "report.html").read_text("utf-8")
    assert ablation.go("--results", str(there.results)) == 3
    assert f"{broken}, run " in ablation.output
    assert "no answers; its logs lie in" in ablation.output


def test_after_two_failures_in_a_row_no_further_training_is_begun(machine: Callable[..., Machine]) -> None:
    there = machine("gpu")
    out = there.go(code=1, FAKE_TRAINER="oom")
    assert "2 trainings in a row failed: the 1 others are not begun" in out
    assert len(there.trained()) == 2
    there.go()


@pytest.mark.parametrize(
    ("variable", "value"), [("NNODES", "2"), ("SPLIT", "train"), ("BASE_URL", "http://127.0.0.1:1/v1")]
)
def test_settings_that_a_row_of_trainings_cannot_have_are_refused(
    machine: Callable[..., Machine], variable: str, value: str
) -> None:
    out = machine("gpu").go(code=2, **{variable: value})
    assert f"unset {variable}" in out


@pytest.mark.fault(
    "an ablation's builds were made anew since they were packed",
    "their results are refused, each by name",
    kind="answers",
)
def test_results_of_another_state_of_the_builds_are_refused(
    ablation: Ablation, machine: Callable[..., Machine]
) -> None:
    there = machine("gpu")
    there.go()
    ablation.folds.edit("val: 0.25", "val: 0.5")
    assert ablation.go() == 0
    assert ablation.go("--results", str(there.results)) == 2
    assert ablation.output.count("another state of") == 3
    assert f"({FIRST})" in ablation.output
    assert not list(ablation.folder.path.glob("*-runs/*/predictions*"))


def test_results_that_this_ablation_does_not_have_are_named(
    ablation: Ablation, machine: Callable[..., Machine]
) -> None:
    there = machine("gpu")
    there.go()
    assert ablation.go("--set", "train.lora_rank=4", "--again") == 0
    assert ablation.go("--results", str(there.results)) == 2
    assert "name the changes that were packed" in ablation.output


@pytest.mark.fault("an archive of an ablation's results is damaged or foreign", "refused", kind="answers")
@pytest.mark.parametrize("how", ["empty", "cut", "foreign", "link", "missing"])
def test_archives_that_are_no_results_are_refused(ablation: Ablation, tmp_path: Path, how: str) -> None:
    assert ablation.go(*RATES) == 0
    path = tmp_path / "results.tar"
    if how == "foreign":
        path.write_bytes(b"PK\x03\x04 no results")
    elif how != "missing":
        with tarfile.open(path, "w") as tar:
            about = json.dumps({"version": 1, "recipe": "screens", "trainings": [FIRST]}).encode()
            head = tarfile.TarInfo("ablation-results.json")
            head.size = len(about)
            tar.addfile(head, io.BytesIO(about))
            if how == "link":
                entry = tarfile.TarInfo(f"{FIRST}.tar")
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(entry)
        if how == "cut":
            path.write_bytes(path.read_bytes()[:700])
    assert ablation.go("--results", str(path)) == 2
    assert str(path) in ablation.output
    assert not (ablation.project / "data_cards").exists()


def test_the_options_that_are_left_are_those_of_a_bundle(machine: Callable[..., Machine]) -> None:
    there = machine("gpu")
    out = there.go("--help")
    assert all(f"--{option}" in out for option in KEPT)
    assert trainings(there.folder)[0] == FIRST
