"""A build takes the place of another in one step, and a run that is killed at any step is mended by the next.

Every kill is a real one: a child process ends itself with SIGKILL before the n-th change of the file system.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.place import MARK, BuildPlace
from datakit.core.errors import UserError
from datakit.core.exchange import exchange
from datakit.run.build import build
from tests.support.number_recipes import recipe

OLD, NEW = 3, 5
"""Records of the build that stands there, and of the one that takes its place."""
CHILD = """\
import os, signal, sys
from pathlib import Path
from datakit.artifacts import place
last, has_exchange, folder, new = int(sys.argv[1]), sys.argv[2] == "1", Path(sys.argv[3]), Path(sys.argv[4])
changes = 0

def change():
    global changes
    changes += 1
    if changes == last:
        os.kill(os.getpid(), signal.SIGKILL)

def heard(event, args):
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.utime"):
        change()

def exchanged(first, second):
    change()
    return has_exchange and real(first, second)

real, place.exchange = place.exchange, exchanged
sys.addaudithook(heard)
place.BuildPlace(folder).put(new)
print(changes)
"""
READER = """\
import json, os, sys
place, looks = sys.argv[1], 0
print("ready", flush=True)

def stamp():
    status = os.stat(place)
    return status.st_ino, status.st_ctime_ns

while not os.path.exists(sys.argv[2]):
    before = stamp()
    with open(f"{place}/manifest.json", "rb") as file:
        manifest = json.load(file)
    for name in ("report.json", "records.parquet", "ids.txt"):
        with open(f"{place}/{name}", "rb") as file:
            size = len(file.read())
        with open(f"{place}/manifest.json", "rb") as file:
            same = json.load(file) == manifest and stamp() == before  # not swapped to and fro meanwhile
        assert not same or size == manifest["artifacts"][name]["bytes"], name
    looks += 1
print(looks)
"""


@pytest.fixture
def scene(project: Path) -> Path:
    """A folder `build` with an old build, to which somebody added a file, and a new one that is whole."""
    place = build(recipe(project, OLD)).folder
    new = shutil.copytree(build(recipe(project, NEW)).folder, project / "new")
    shutil.rmtree(place)
    build(recipe(project, OLD))
    (place / "notes.md").write_text("read this")
    work = BuildPlace(place).make("work")
    os.rename(new, work / "out")
    return place.parent


def records(place: Path) -> int:
    """Records of a build, every file of which is there as its manifest says."""
    found = BuildFolder.open(place)
    sizes = {name: (place / name).stat().st_size for name in found.manifest.artifacts}
    assert sizes == {name: stamp.bytes for name, stamp in found.manifest.artifacts.items()}
    return len((place / "ids.txt").read_text().split())


def put_and_die(folder: Path, at: int, has_exchange: bool) -> subprocess.CompletedProcess[str]:
    """Puts the new build into its place, and is killed before the change of this number."""
    words = [sys.executable, "-c", CHILD, str(at), str(int(has_exchange))]
    words += [str(folder / "toy"), str(folder / ".toy.work" / "out")]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.fault(
    "kill -9 at any change of a file while a build takes the place of another",
    "readers find the old build or the new one, whole; the next build mends the rest",
    kind="signals",
)
@pytest.mark.parametrize("has_exchange", [True, False], ids=["exchange", "two renames"])
def test_run_that_is_killed_at_any_change_of_the_swap_is_mended(
    project: Path, scene: Path, has_exchange: bool
) -> None:
    before = shutil.copytree(scene, project / "before")
    counts, seen = [], set()
    for at in range(1, 100):
        done = put_and_die(scene, at, has_exchange)
        seen.add(records(scene / "toy"))  # a reader, before any build
        made = build(recipe(project, NEW))
        assert records(made.folder) == NEW
        assert not (made.folder / "notes.md").exists()
        assert not (made.folder / MARK).exists()
        assert sorted(path.name for path in scene.iterdir()) == [".toy.lock", "toy", "toy.kept"]
        assert [path.read_text() for path in scene.rglob("notes.md")] == ["read this"]
        assert sum(path.is_file() for path in (scene / "toy.kept").rglob("*")) == 1
        counts.append(at)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        shutil.rmtree(scene)
        shutil.copytree(before, scene)
    assert len(counts) > 10
    assert done.returncode == 0
    assert seen == {OLD, NEW}


@pytest.mark.fault(
    "a build is read while another takes its place",
    "its files are there all the time, and those of one manifest fit it",
    kind="signals",
)
@pytest.mark.skipif(sys.platform != "linux", reason="file systems of other systems may lack it")
def test_reader_in_a_loop_never_sees_no_build_or_half_of_one(project: Path, scene: Path) -> None:
    stop = project / "stop"
    words = [sys.executable, "-c", READER, str(scene / "toy"), str(stop)]
    reader = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    place = BuildPlace(scene / "toy")
    other = shutil.copytree(scene / ".toy.work" / "out", project / "other")
    one = shutil.copytree(scene / "toy", project / "one")
    for _ in range(60):
        for new in (one, other):
            shutil.copytree(new, place.make("work") / "out")
            place.put(place.beside("work") / "out")
    stop.touch()
    looks, errors = reader.communicate(timeout=120)
    assert reader.returncode == 0, errors
    assert int(looks) > 10


def test_reader_waits_for_nothing_where_no_build_is_on_its_way(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished build"):
        BuildFolder.open(tmp_path / "build" / "toy")


def test_two_folders_exchange_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").touch()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot exchange names")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["a.txt"]


def test_exchange_with_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "b")
