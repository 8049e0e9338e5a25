"""The wheel works in an empty folder outside the clone, and says what version it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import datakit as dk

ROOT = Path(__file__).resolve().parent.parent
INSTALL_S = 1500


def test_version_is_that_of_the_package_metadata() -> None:
    assert dk.__version__ == version("datakit")


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints, in an environment without keys and without this clone."""
    own = ("OPENAI_", "DATAKIT_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_S,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def built(source: Path, folder: Path) -> Path:
    """The wheel of a clone."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source, folder=folder)
    (path,) = folder.glob("datakit-*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.mark.clean_install
def test_wheel_holds_types_and_what_ships_and_nothing_of_the_repository(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"datakit/py.typed", "datakit/_shipped/recipes/ecom_v3.yaml"} <= names
    assert {
        "datakit/_shipped/templates/ecom/labels.yaml",
        "datakit/_shipped/examples/ecom/train.jsonl",
    } <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"datakit", f"datakit-{dk.__version__}.dist-info"}
    metadata = zipfile.ZipFile(wheel).read(f"datakit-{dk.__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {dk.__version__}\n" in metadata


LEFT_BY_WORK = (
    *("recipes/.env", "datakit/core/.env.local", "templates/server.pem", "templates/.ask.j2.swp"),
    *(
        "examples/ecom/.datakit/results.sqlite",
        "datakit/.datakit/results.sqlite",
        "recipes/build/x/train.json",
    ),
    *("examples/plugin/dist/a.whl", "examples/plugin/it.egg-info/PKG-INFO", "examples/ecom/.DS_Store"),
)


@pytest.mark.fault(
    "a wheel is made in a clone that holds a .env, a result store and builds",
    "none of them is in the wheel, and no file of it is writable by others",
    kind="secrets",
)
@pytest.mark.clean_install
def test_wheel_of_a_clone_that_was_worked_in_holds_nothing_of_the_work(wheel: Path, tmp_path: Path) -> None:
    clone, out = tmp_path / "clone", tmp_path / "out"
    out.mkdir()
    ignored = [line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", *filter(None, ignored)))
    for place in LEFT_BY_WORK:
        (clone / place).parent.mkdir(parents=True, exist_ok=True)
        (clone / place).write_text("sk-planted")
        (clone / place).chmod(0o666)
    (clone / "datakit" / "doctor.py").chmod(0o666)
    with zipfile.ZipFile(built(clone, out)) as archive:
        assert sorted(archive.namelist()) == sorted(zipfile.ZipFile(wheel).namelist())
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o022} == {}
    programs = sorted(name for name, mode in modes.items() if mode & 0o111)
    assert programs == [f"datakit/bundling/payload/{name}.sh" for name in ("run",)]


@pytest.mark.clean_install
def test_wheel_starts_and_builds_a_project_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    programs = tmp_path / "venv" / "bin"
    run(programs / "pip", "install", "-q", wheel, folder=tmp_path)
    place = run(programs / "python", "-c", "import datakit; print(datakit.__file__)", folder=tmp_path)
    assert Path(place.strip()).is_relative_to(tmp_path / "venv")
    run(programs / "datakit", "init", "--example", "films", "--from", "medical", folder=tmp_path)
    report = json.loads(
        run(programs / "datakit", "build", "recipes/films.yaml", "--json", folder=tmp_path / "films")
    )
    assert report["steps"][-1]["name"] == "emit.llamafactory"
    assert (tmp_path / "films" / "build" / "films" / "dataset_info.json").is_file()
    assert (tmp_path / "films" / "data_cards" / "films.html").is_file()
    shown = run(programs / "datakit", "--version", folder=tmp_path)
    assert dk.__version__ in shown
