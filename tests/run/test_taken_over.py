"""A build takes over what stands in the one before: pictures are neither read nor looked into again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.core import files as files_module
from datakit.emit import _images
from datakit.library import build
from datakit.run.build import BuildResult
from datakit.run.build_inputs import InputsChanged
from datakit.run.engine import Engine

RECIPE = """\
version: 1
name: toy
steps:
  - read.jsonl: {path: ../rows.jsonl, image: image, label: label}
  - guard.image: {min_side_px: 4}
  - annotate.image_facts: {}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit:
  - llamafactory: {images: HOW}
"""


class Project:
    """A project of a few pictures: plain ones, an equal pair, and one that is transparent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("recipes", "templates", "pictures"):
            (folder / name).mkdir()
        (folder / "templates" / "ask.j2").write_text("<image>{{ text }}\n")
        for number in range(6):
            mode, colour = ("RGBA", (9, 9, 9, 9)) if number == 5 else ("RGB", (min(number, 3), 0, 0))
            Image.new(mode, (8, 8), colour).save(folder / "pictures" / f"{number}.png")
        self.rows = [
            {"id": f"r{number}", "label": "a", "text": f"text {number}", "image": f"pictures/{number}.png"}
            for number in range(6)
        ]
        self.recipe("link")

    def recipe(self, how: str) -> None:
        (self.folder / "recipes" / "toy.yaml").write_text(RECIPE.replace("HOW", how))

    def build(self) -> BuildResult:
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        if not (self.folder / "rows.jsonl").exists() or (self.folder / "rows.jsonl").read_text() != text:
            (self.folder / "rows.jsonl").write_text(text)
        recipe = self.folder / "recipes" / "toy.yaml"
        return build(recipe, card=False, check=False)

    def files(self) -> dict[str, bytes]:
        """The data files and pictures of the build."""
        folder = self.folder / "build" / "toy"
        paths = [*folder.glob("toy_*.json"), *folder.glob("images/*"), folder / "emitted.json"]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a file was read for its digest, and a picture for its header."""
    counts: Counter[str] = Counter()
    for module, name in ((files_module, "_read_digest"), (_images, "read_header")):
        monkeypatch.setattr(module, name, _counted(getattr(module, name), name, counts))
    return counts


def _counted(function: Callable[[Any], Any], name: str, counts: Counter[str]) -> Callable[[Any], Any]:
    def counted(path: str | Path) -> Any:
        counts[name] += str(path).endswith(".png")
        return function(path)

    return counted


def test_one_edited_record_has_no_picture_read_again(project: Project, looks: Counter[str]) -> None:
    project.build()
    assert +looks == {"_read_digest": 6, "read_header": 5}
    looks.clear()
    project.rows[1]["text"] = "another text"
    again = project.build()
    assert not again.report.reused
    assert +looks == {"read_header": 1}  # the transparent one, which is written anew
    looks.clear()
    assert project.build().report.reused
    assert not +looks


def test_a_build_that_takes_over_holds_what_one_made_anew_holds(project: Project) -> None:
    project.build()
    project.rows[1]["text"] = "another text"
    project.build()
    taken_over = project.files()
    shutil.rmtree(project.folder / "build")
    project.build()
    assert project.files() == taken_over
    assert len([name for name in taken_over if name.startswith("images/")]) == 5


@pytest.mark.parametrize("how", ["copy", "resize"])
def test_pictures_are_taken_over_in_the_new_way(project: Project, how: str) -> None:
    project.build()
    project.recipe(how)
    project.build()
    copied = project.files()
    pictures = [*(project.folder / "build" / "toy" / "images").iterdir()]
    assert {os.stat(path).st_nlink for path in pictures} == {1}
    shutil.rmtree(project.folder / "build")
    project.build()
    assert project.files() == copied


@pytest.mark.fault(
    "a picture is edited between two builds, and its size and time are put back",
    "the build has the edited picture, not the one that stands in the build before",
    kind="inputs changed",
)
def test_an_edited_picture_is_not_taken_over(project: Project) -> None:
    project.build()
    path = project.folder / "pictures" / "1.png"
    status, before = path.stat(), path.read_bytes()
    Image.new("RGB", (8, 8), (200, 0, 0)).save(project.folder / "other.png", compress_level=9)
    edited = (project.folder / "other.png").read_bytes()
    path.unlink()  # not into the file that the build links to
    path.write_bytes(edited.ljust(len(before), b"\0") if len(edited) < len(before) else edited)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    content = path.read_bytes()
    assert not project.build().report.reused
    assert content in project.files().values()
    assert before not in project.files().values()


def test_a_picture_edited_after_it_was_read_is_answered_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored results are looked up by what was read; what is asked anew is looked at again."""
    path = project.folder / "pictures" / "1.png"
    watch = Engine._watch

    def edited_afterwards(engine: Engine, named: set[str]) -> None:
        watch(engine, named)
        Image.new("RGB", (8, 8), (90, 90, 90)).save(path)

    monkeypatch.setattr(Engine, "_watch", edited_afterwards)
    with pytest.raises(InputsChanged, match=r"1\.png"):
        project.build()
    monkeypatch.undo()
    edited = hashlib.sha256(path.read_bytes()).hexdigest()
    built = pl.read_parquet(project.build().folder / "records.parquet")
    assert built.filter(id="r1")["sha256"].to_list() == [edited]


def test_a_build_of_another_version_lends_no_names(project: Project, looks: Counter[str]) -> None:
    made = project.build()
    manifest = json.loads((made.folder / "manifest.json").read_bytes())
    (made.folder / "manifest.json").write_text(json.dumps({**manifest, "datakit": "0.0.1"}))
    looks.clear()
    project.rows[1]["text"] = "another text"
    project.build()
    assert looks["read_header"] == 5
