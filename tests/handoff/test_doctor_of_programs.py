"""The doctor of a bundle with programs that are not what they should be: Pythons, trainers, servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.finding import FAULT, FINE, WARNING
from datakit.training.run_folder import RunFolder
from datakit.training.trainer import Call
from datakit.training.trainer_process import TrainerProcess, trainer_file
from tests.handoff.conftest import Home
from tests.handoff.test_doctor import machine, only, settings
from tests.support.train_builds import _builds, make_build
from tests.support.unpacked import Unpacked, write_python

__all__ = ["_builds", "machine", "make_build", "settings"]
Make = Callable[..., Path]
NOT_TRAINERS = ["/bin/echo", "/bin/true", "/bin/cat", "/usr/bin/env", sys.executable, "/bin/bash"]
OLD = """\
#!/bin/sh
case "$2" in *">= (3, 10)"*) echo False ;; *) echo Python 3.9.18 ;; esac
"""
HIDDEN = """\
import sys

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden)
"""
BROKEN = """\
#!/bin/sh
echo "Fatal Python error: init_fs_encoding: failed to get the Python codec" >&2
echo "ModuleNotFoundError: No module named 'encodings'" >&2
exit 1
"""


@pytest.fixture
def unpacked(make_build: Make, tmp_path: Path) -> Unpacked:
    return Unpacked(make_build(), tmp_path / "there")


def program(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.fault(
    "PYTHON of a bundle is too old, broken, a folder, a dead link, another program or nothing",
    "each is told with what it is and how another is named; nothing is started",
    kind="dependencies",
)
@pytest.mark.parametrize("word", ["doctor", ""])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("old", "is Python 3.9.18: too old"),
        ("broken", "does not start as a Python: ModuleNotFoundError: No module named 'encodings'"),
        ("folder", "is a folder: name the Python in it"),
        ("dead", "which is gone: make its environment anew"),
        ("nothing", "is no program here"),
        ("echo", "does not start as a Python: -c import sys"),
        ("true", "does not start as a Python: it prints nothing"),
    ],
)
def test_python_that_cannot_be_used_is_told_with_the_remedy(
    unpacked: Unpacked, tmp_path: Path, kind: str, words: str, word: str
) -> None:
    (tmp_path / "dead").symlink_to(tmp_path / "gone")
    pythons = {
        "old": program(tmp_path / "old", OLD),
        "broken": program(tmp_path / "broken", BROKEN),
        "folder": str(tmp_path),
        "dead": str(tmp_path / "dead"),
        "nothing": "/nowhere/python",
        "echo": "/bin/echo",
        "true": "/bin/true",
    }
    done = unpacked.go(*filter(None, [word]), PYTHON=pythons[kind])
    assert done.returncode == 1
    assert f"  {pythons[kind]} " in done.stderr, done.stderr
    assert words in done.stderr, done.stderr
    assert "PYTHON=/environment/bin/python ./run.sh" in done.stderr
    assert not (unpacked.folder / "screens-runs").exists()


@pytest.mark.parametrize(
    ("package", "code", "words"),
    [
        ("numpy", None, "lacks numpy"),
        ("PIL", None, "lacks pillow"),
        ("numpy", "raise ImportError('libopenblas.so.0: no such file')", "numpy does not load (ImportError"),
        ("PIL", "", "pillow does not load (No module named 'PIL.Image')"),
        ("pydantic", "__version__ = '1.10.2'", "pydantic is 1.10.2, and 2 or later is needed"),
    ],
    ids=["no numpy", "no pillow", "broken numpy", "half a pillow", "old pydantic"],
)
def test_python_whose_packages_are_missing_or_broken_is_told_by_the_doctor(
    unpacked: Unpacked, tmp_path: Path, package: str, code: str | None, words: str
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    if code is not None:
        (packages / package).mkdir()
        (packages / package / "__init__.py").write_text(f"{code}\n")
    else:
        (packages / "sitecustomize.py").write_text(HIDDEN.format(package=package))
    python = tmp_path / "environment" / "bin" / "python3"
    write_python(python, f"env PYTHONPATH={packages} {sys.executable}")
    done = unpacked.go("doctor", PYTHON=str(python))
    assert done.returncode == 1
    assert words in done.stdout, done.stdout
    assert "PYTHON=/environment/bin/python" in done.stdout
    assert "-m pip install" in done.stdout
    stages = unpacked.go(PYTHON=str(python))
    assert (stages.returncode, words in stages.stderr) == (1, True), stages.stderr
    status = unpacked.go("--status", PYTHON=str(python))
    assert (status.returncode, words in status.stderr) == (2, True), status.stderr


def test_environment_whose_python_is_gone_is_told(unpacked: Unpacked, tmp_path: Path) -> None:
    real = tmp_path / "real"
    shutil.copytree(Path(sys.executable).resolve().parent, real / "bin", symlinks=True)
    venv.EnvBuilder(symlinks=True).create(tmp_path / "environment")
    python = tmp_path / "environment" / "bin" / "python"
    python.unlink()
    python.symlink_to(real / "bin" / "python3-of-before")
    done = unpacked.go("doctor", PYTHON=str(python))
    assert (done.returncode, "make its environment anew" in done.stderr) == (1, True), done.stderr


@pytest.mark.fault(
    "TRAINER or VLLM of a bundle names a program that is something else, such as /bin/echo",
    "the doctor says that it is no LLaMA-Factory or vLLM, and what it answered",
    kind="dependencies",
)
@pytest.mark.parametrize("given", NOT_TRAINERS)
def test_program_that_is_something_else_is_no_trainer_and_no_server(
    settings: BundleSettings, given: str
) -> None:
    trainer = only(replace(settings, trainer=given), "trainer")
    if Path(given).name.startswith("python"):  # its environment is meant, which has no trainer
        assert trainer.state == FAULT
    else:
        assert (trainer.state, "TRAINER=" in trainer.remedy or "install" in trainer.remedy) == (FAULT, True)
    server = only(replace(settings, vllm=given), "server")
    assert (server.state, "vllm" in server.remedy) == (FAULT, True), server.text


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("0.32.0", FINE),
        ("0.32.0+cpu", FINE),
        ("INFO 11-26 12:00:00 [__init__.py:244] platform 2.1 is cpu\n0.25.1.dev3+g1a2b", FINE),
        ("vllm 0.32.0", FINE),
        ("git version 2.39.2", FAULT),
        ("Python 3.11.7", FAULT),
        ("", FAULT),
    ],
)
def test_server_is_known_by_how_vllm_tells_its_version(
    settings: BundleSettings, machine: Path, text: str, state: str
) -> None:
    program(machine / "vllm", f"#!/bin/sh\n/bin/cat <<'END'\n{text}\nEND\n")
    assert only(settings, "server").state == state


def left_behind(run: RunFolder, *, exit_code: int | None, leads: bool = False) -> subprocess.Popen[bytes]:
    """A process of a training that was started in a run, which lives."""
    log = run.folder / "train.log"
    run.folder.mkdir(parents=True, exist_ok=True)
    call = Call(("/bin/sleep", "300"), run.folder, {})
    training = TrainerProcess.planned(call, log)
    with open(log, "wb") as file:
        process = training.start(call, file, trainer_file(run.folder, 0), None)
    training.exit = exit_code
    training.write(trainer_file(run.folder, 0))
    assert os.path.exists(f"/proc/{process.pid}") or not os.path.exists("/proc")
    return process


@pytest.mark.fault(
    "processes of an earlier training live on, and may hold a GPU's memory",
    "doctor, training and handoff name them with the line that ends them",
    kind="processes",
)
def test_processes_that_a_training_left_are_told_by_the_doctor(
    settings: BundleSettings, make_build: Make
) -> None:
    run = RunFolder.of(make_build())
    mine = replace(settings, run=run.folder)
    process = left_behind(run, exit_code=0)
    try:
        finding = only(mine, "training")
        assert (finding.state, "left 1 process," in finding.message) == (WARNING, True), finding.text
        assert f"kill {process.pid}" in finding.remedy
    finally:
        process.kill()
        process.wait()
    process = left_behind(run, exit_code=None)
    try:
        assert only(mine, "training").state == FINE  # it works: the next call attaches
    finally:
        process.kill()
        process.wait()


def test_processes_that_a_training_left_are_told_when_it_ends_and_by_the_next_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "stray")
    try:
        assert home.go("--only", "train") == 0, home.output
        assert "left 1 process, which may hold a GPU's memory" in home.output
        monkeypatch.delenv("FAKE_TRAINER")
        assert home.go("--only", "train", "--again", "train") == 0, home.output
        assert home.output.count("left 1 process, which may hold a GPU's memory") >= 1
    finally:
        (line,) = {line.partition("kill ")[2] for line in home.output.splitlines() if "  End what" in line}
        os.kill(int(line), 9)
