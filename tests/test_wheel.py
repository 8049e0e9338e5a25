"""The wheel works in an empty environment, in an empty folder outside the clone, and says its version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

import datakit as dk

ROOT = Path(__file__).resolve().parent.parent
INSTALL_S = 1500
Bare = Callable[..., "subprocess.CompletedProcess[str]"]


def test_version_is_that_of_the_package_metadata() -> None:
    assert dk.__version__ == version("datakit")


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints, in an environment without keys and without this clone."""
    done = tried(*command, folder=folder)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def tried(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same, however it ends."""
    own = ("OPENAI_", "DATAKIT_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_S,
    )


def clean_copy(target: Path) -> Path:
    """The clone without what git ignores."""
    ignored = [line.strip().rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".git", *filter(None, ignored)))
    return target


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
    clone, out = clean_copy(tmp_path / "clone"), tmp_path / "out"
    out.mkdir()
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


# installed without any extra


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds datakit from its wheel, without any extra."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", "venv", folder=folder)
    run(folder / "venv" / "bin" / "pip", "install", "-q", wheel, folder=folder)
    return folder / "venv" / "bin"


@pytest.mark.clean_install
def test_wheel_starts_and_builds_a_project_in_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    place = run(programs / "python", "-c", "import datakit; print(datakit.__file__)", folder=tmp_path)
    assert Path(place.strip()).is_relative_to(programs.parent)
    run(programs / "datakit", "init", "--example", "films", "--from", "medical", folder=tmp_path)
    report = json.loads(
        run(programs / "datakit", "build", "recipes/films.yaml", "--json", folder=tmp_path / "films")
    )
    assert report["steps"][-1]["name"] == "emit.llamafactory"
    assert (tmp_path / "films" / "build" / "films" / "dataset_info.json").is_file()
    assert (tmp_path / "films" / "data_cards" / "films.html").is_file()
    shown = run(programs / "datakit", "--version", folder=tmp_path)
    assert dk.__version__ in shown


@pytest.fixture(scope="module")
def bare(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    """Runs one of those programs in a clone without the package: only the installed one is there."""
    source = clean_copy(tmp_path_factory.mktemp("bare") / "source")
    shutil.rmtree(source / "datakit")
    return lambda *words: tried(programs / words[0], *words[1:], folder=source)


@pytest.mark.clean_install
def test_bare_install_imports_every_module(bare: Bare) -> None:
    walk = (
        "import datakit, importlib, pkgutil\n"
        "names = [m.name for m in pkgutil.walk_packages(datakit.__path__, 'datakit.')]\n"
        "names = [name for name in names if not name.endswith('__main__')]\n"
        "[importlib.import_module(name) for name in names]\n"
        "print(len(names))"
    )
    done = bare("python", "-c", walk)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100


@pytest.mark.clean_install
@pytest.mark.parametrize("words", [("--help",), ("--version",), ("transforms",), ("schema",), ("doctor",)])
def test_bare_install_has_the_command_line(bare: Bare, words: tuple[str, ...]) -> None:
    done = bare("datakit", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.clean_install
def test_bare_install_plans_and_builds_a_recipe_that_needs_no_extra(bare: Bare) -> None:
    planned = bare("datakit", "plan", "recipes/ecom_v1.yaml")
    assert planned.returncode == 0, planned.stderr
    done = bare("datakit", "build", "recipes/ecom_v1.yaml", "--json")
    assert done.returncode == 0, done.stderr
    assert {step["name"] for step in json.loads(done.stdout)["steps"]} >= {"render.chat", "emit.llamafactory"}


@pytest.mark.clean_install
@pytest.mark.fault(
    "a package that a recipe needs is not installed",
    "told before the work, with the extra to install",
    kind="dependencies",
)
def test_bare_install_says_which_extra_ocr_needs(bare: Bare) -> None:
    done = bare("datakit", "build", "recipes/ecom_v2.yaml", "--no-card")
    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert "datakit[ocr]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.clean_install
def test_bare_install_starts_a_project_of_its_own(bare: Bare) -> None:
    assert bare("datakit", "init", "--example", "../mine").returncode == 0
    done = bare("datakit", "plan", "--help")
    assert done.returncode == 0
