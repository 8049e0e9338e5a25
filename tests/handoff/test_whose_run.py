"""A copied or renamed build does not work in the runs of another without a word."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.training.run_folder import RunFolder
from tests.handoff.conftest import Home
from tests.handoff.test_home import ALL


def at(home: Home, build: Path) -> Home:
    """The same machine, with another folder as the build."""
    return replace(home, build=build)


def copied(home: Home, name: str = "copy") -> Home:
    return at(home, Path(shutil.copytree(home.build, home.build.with_name(name))))


def renamed(home: Home, name: str = "after") -> Home:
    return at(home, home.build.rename(home.build.with_name(name)))


def state(folder: Path) -> list[tuple[str, bytes]]:
    return [(str(path), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.mark.fault(
    "a build folder is copied, and the copy is trained, exported, served or handed off",
    "it is refused: its configuration names the runs of the original; the line that gives it runs of its own",
    kind="inputs changed",
)
def test_copy_does_not_touch_the_runs_of_the_original(home: Home) -> None:
    assert home.ran() == ALL
    copy, before = copied(home), state(home.run.folder)
    assert copy.go() == 2
    assert f"{copy.build} is a copy of {home.build}" in copy.output
    for command in (["train", "--cpu"], ["export"], ["serve", "--check-only"]):
        assert run([command[0], str(copy.build), *command[1:]]) == 2, command
        assert "is a copy of" in home.capsys.readouterr().err
    assert state(home.run.folder) == before
    assert home.ran() == ["check"]


def test_copy_is_refused_before_the_original_was_ever_trained(home: Home) -> None:
    copy = copied(home)
    assert copy.go() == 2
    assert not home.run.folder.exists()
    assert home.ran() == ALL


def test_line_of_the_refusal_gives_a_copy_runs_of_its_own(home: Home) -> None:
    assert home.ran() == ALL
    copy, before = copied(home, "a copy"), state(home.run.folder)
    assert copy.go() == 2
    line = next(line for line in copy.output.splitlines() if line.strip().startswith("sed "))
    subprocess.run(line, shell=True, check=True)
    assert copy.ran() == ALL
    assert copy.run.folder.parent == copy.build.with_name("a copy-runs") == BuildFolder(copy.build).runs
    assert state(home.run.folder) == before


@pytest.mark.fault(
    "a build folder is renamed after its training",
    "it goes on in its own runs, with a line that says so",
    kind="inputs changed",
)
def test_renamed_build_takes_its_runs_along_with_a_line(home: Home) -> None:
    assert home.ran() == ALL
    after = renamed(home)
    assert after.go() == 0, after.output
    assert f"This build was {home.build} when its runs began" in after.output
    assert after.go() == 0
    assert "when its runs began" not in after.output
    assert BuildFolder(after.build).runs == home.build.with_name("screens-runs")
    home.capsys.readouterr()
    assert run(["evaluate", str(after.build)]) == 0
    assert run(["handoff", str(after.build), "--status"]) == 0
    assert "evaluate: done" in home.capsys.readouterr().out


def test_renamed_build_of_runs_without_a_note_takes_them_along(home: Home) -> None:
    assert home.ran() == ALL
    (home.run.folder / "owner.json").unlink()  # as an earlier version left it
    after = renamed(home)
    assert after.ran() == ["check"]


def test_copy_of_a_build_that_was_renamed_is_refused(home: Home) -> None:
    assert home.ran() == ALL
    after = renamed(home)
    assert after.go() == 0
    assert copied(after).go() == 2


@pytest.mark.parametrize("was_noted", [False, True], ids=["before the next call", "after it"])
def test_copy_under_the_old_name_of_a_renamed_build_is_the_copy(home: Home, was_noted: bool) -> None:
    assert home.ran() == ALL
    after = renamed(home)
    if was_noted:
        assert after.go() == 0
    copy = copied(after, home.build.name)
    assert copy.go() == 2
    assert f"{copy.build} is a copy of {after.build}" in copy.output
    line = next(line for line in copy.output.splitlines() if line.strip().startswith("sed "))
    assert after.ran() == ["check"]
    subprocess.run(line, shell=True, check=True)
    assert copy.ran() == ALL
    assert BuildFolder(copy.build).runs == copy.run.folder.parent != after.run.folder.parent


def test_build_made_anew_in_its_place_goes_on_in_its_runs(home: Home) -> None:
    assert home.ran() == ALL
    draft = Path(shutil.copytree(home.build, home.build.with_name(".draft")))
    shutil.rmtree(home.build)
    draft.rename(home.build)
    assert home.go() == 0
    assert "when its runs" not in home.output
    owner = json.loads((home.run.folder / "owner.json").read_text())
    assert owner["inode"] == home.build.stat().st_ino


def test_project_that_was_copied_as_a_whole_has_its_own_runs(home: Home, tmp_path: Path) -> None:
    assert home.ran() == ALL
    other = Path(shutil.copytree(home.build.parent, tmp_path / "project" / "build")) / home.build.name
    before = state(home.run.folder)
    there = at(home, other)
    assert there.go("--only", "check") == 0, there.output
    assert "when its runs" not in there.output
    assert there.run.folder != home.run.folder
    assert state(home.run.folder) == before


def test_link_to_a_build_is_the_build(home: Home) -> None:
    assert home.ran() == ALL
    link = home.build.with_name("latest")
    link.symlink_to(home.build.name)
    assert at(home, link).ran() == ["check"]
    assert RunFolder.of(link).folder == home.run.folder
