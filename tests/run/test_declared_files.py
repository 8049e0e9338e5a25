"""What a step reads is declared: an edit makes the build anew, and no other file can be opened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.manifest import FileStamp
from datakit.core.errors import UserError
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import UndeclaredFile
from datakit.core.transform import Emitter, Reader, Transform
from datakit.recipe.recipe import Recipe, Step, load_recipe
from datakit.run.build import Options, build
from datakit.run.build_inputs import InputsChanged
from datakit.run.explain_changes import why_build
from tests.support.every import ROOT
from tests.support.file_toys import Banned, Glossary, Letter, Prices, ProcessGlossary, Signed, Words
from tests.support.toys import Lines, Numbers

Make = Callable[..., Recipe]


@dataclass(frozen=True)
class Kind:
    """A step that reads `beside.txt`, what stands in it before and after, and what the build makes of it."""

    step: type[Transform]
    parameter: str
    before: str
    after: str
    made: tuple[Any, Any]
    column: str = "text"

    def with_file(self, **more: Any) -> Transform:
        return self.step(**{self.parameter: "beside.txt", **more})


KINDS = {
    "reader": Kind(Words, "path", "one two", "three", (["one", "two"], ["three"])),
    "table": Kind(
        Prices, "table", "text,price\n0,10\n", "text,price\n0,1\n1,7\n", ([10, None], [1, 7]), "price"
    ),
    "guard": Kind(Banned, "words", "0\n", "1\n", (["1"], ["0"])),
    "renderer": Kind(Signed, "words", "!", "?", (["0!", "1!"], ["0?", "1?"]), "signed"),
    "annotator": Kind(Glossary, "terms", "0=zero", "1=one", (["zero", None], [None, "one"]), "meaning"),
    "process": Kind(ProcessGlossary, "terms", "0=zero", "1=one", (["zero", None], [None, "one"]), "meaning"),
    "emitter": Kind(Letter, "head", "dear", "hi", ("dear\n0\n1", "hi\n0\n1")),
}


@pytest.fixture
def recipe(project: Path) -> Make:
    """A recipe with the step; relative paths start from recipes/."""

    def make(step: Transform) -> Recipe:
        steps = [step] if isinstance(step, Reader) else [Numbers(count=2)]
        steps += [] if isinstance(step, Reader | Emitter) else [step]
        emitter = step if isinstance(step, Emitter) else Lines()
        return Recipe(
            path=project / "recipes" / "toy.yaml",
            name="toy",
            seed=1,
            steps=tuple(Step(n, item, f"r.yaml:{n}:1") for n, item in enumerate(steps, 1)),
            emitters=(Step(1, emitter, "r.yaml:9:1"),),
            llm=LlmSettings(),
            run=RunSettings(max_reject_rate=1.0, workers=1),
            labels=None,
            data={"name": "toy"},
        )

    return make


@pytest.fixture
def beside(project: Path) -> Path:
    """The file that the step reads."""
    return project / "recipes" / "beside.txt"


def made_of(kind: Kind, folder: Path) -> Any:
    if issubclass(kind.step, Emitter):
        return (folder / "letter.txt").read_text("utf-8")
    return pl.read_parquet(folder / "records.parquet")[kind.column].to_list()


@pytest.mark.parametrize("name", KINDS)
def test_edit_of_a_declared_file_makes_the_build_anew(name: str, recipe: Make, beside: Path) -> None:
    kind = KINDS[name]
    it = recipe(kind.with_file())
    beside.write_text(kind.before, "utf-8")
    first = build(it)
    assert made_of(kind, first.folder) == kind.made[0]
    assert build(it).report.reused
    beside.write_text(kind.after, "utf-8")
    (why,) = why_build(it, it.context(), BuildFolder(first.folder), None)
    assert why.endswith("beside.txt was edited")
    again = build(it)
    assert not again.report.reused
    assert made_of(kind, again.folder) == kind.made[1]


def rewrite_unseen(path: Path, data: bytes) -> None:
    """Puts other bytes of the same number into a file, and its time of change back."""
    before = os.stat(path)
    assert len(data) == before.st_size
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    now = os.stat(path)
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("name", KINDS)
def test_edit_of_a_declared_file_that_restores_size_and_time_makes_the_build_anew(
    name: str, recipe: Make, beside: Path
) -> None:
    kind = KINDS[name]
    size = max(len(kind.before), len(kind.after))
    before, after = (f"{text:{size}}" for text in (kind.before, kind.after))
    beside.write_text(before, "utf-8")
    it = recipe(kind.with_file())
    build(it)
    assert build(it).report.reused
    rewrite_unseen(beside, after.encode())
    assert not build(it).report.reused


@pytest.mark.parametrize("name", KINDS)
def test_touched_file_of_the_same_content_leaves_the_build(name: str, recipe: Make, beside: Path) -> None:
    kind = KINDS[name]
    it = recipe(kind.with_file())
    beside.write_text(kind.before, "utf-8")
    build(it)
    beside.unlink()
    beside.write_text(kind.before, "utf-8")
    assert build(it).report.reused


@pytest.mark.parametrize("name", KINDS)
def test_undeclared_file_cannot_be_opened(name: str, recipe: Make, beside: Path) -> None:
    kind = KINDS[name]
    beside.write_text(kind.before, "utf-8")
    with pytest.raises(UndeclaredFile) as caught:
        build(recipe(kind.with_file(declares=False)))
    words = str(caught.value)
    assert kind.step.name() in words
    assert str(beside) in words
    assert "`files` must name every file" in words


def test_missing_declared_file_is_the_users_error_with_its_path(recipe: Make, beside: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*beside\.txt: No such file"):
        build(recipe(KINDS["guard"].with_file()))


def test_file_in_no_known_encoding_says_so(recipe: Make, beside: Path) -> None:
    beside.write_bytes(b"\xff\x80\x81")
    with pytest.raises(UserError, match=r"beside\.txt is not UTF-8"):
        build(recipe(KINDS["renderer"].with_file()))


def test_build_of_before_that_stamped_no_such_file_is_made_once_from_the_store(
    recipe: Make, beside: Path
) -> None:
    it = recipe(KINDS["annotator"].with_file())
    beside.write_text("0=zero", "utf-8")
    folder = build(it).folder
    old = BuildFolder(folder).find_manifest()
    assert old is not None
    assert list(old.sources) == [str(beside)]
    BuildDraft(folder).write_manifest(old.model_copy(update={"sources": {}}))
    again = build(it)
    assert not again.report.reused
    assert (again.report.steps[1].cached, again.report.steps[1].new) == (2, 0)
    assert build(it).report.reused


def shown(project: Path, steps: str, images: str = "copy") -> Recipe:
    """A recipe of shipped steps on one screenshot, whose column `variant` says which template is included."""
    shutil.copyfile(ROOT / "examples" / "ecom" / "images" / "0001.jpg", project / "recipes" / "1.jpg")
    row = {"id": "a", "image": "1.jpg", "label": "购物车页面", "variant": "short.j2"}
    (project / "recipes" / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    (project / "templates" / "ask.j2").write_text(
        "{% for _ in images %}<image>{% endfor %}这是什么？{% include variant %}", "utf-8"
    )
    (project / "templates" / "short.j2").write_text("请简短回答。", "utf-8")
    path = project / "recipes" / "shown.yaml"
    path.write_text(
        "steps:\n"
        "  - read.jsonl: {path: rows.jsonl, image: image, label: label}\n"
        f"  - render.chat: {{prompt: ask.j2, answer: label_only}}\n{steps}"
        f"emit:\n  - llamafactory: {{images: {images}}}\n",
        "utf-8",
    )
    return load_recipe(path)


def test_edit_of_a_template_that_a_variable_names_makes_the_build_anew(project: Path) -> None:
    it = shown(project, "")
    folder = build(it).folder
    assert build(it).report.reused
    (project / "templates" / "short.j2").write_text("请详细回答。", "utf-8")
    assert not build(it).report.reused
    assert "请详细回答" in (folder / "shown_train.json").read_text("utf-8")


GENERAL = "  - mix.general: {read.llamafactory: {path: general, dataset: talk}, share: 0.5, licence: MIT}\n"


def general_picture(project: Path) -> Path:
    """The picture of a general dialogue."""
    folder = project / "recipes" / "general"
    folder.mkdir()
    picture = folder / "dog.jpg"
    shutil.copyfile(ROOT / "examples" / "ecom" / "images" / "0004.jpg", picture)
    talk = {
        "messages": [
            {"role": "user", "content": "<image>图里有什么？"},
            {"role": "assistant", "content": "图里有一只小狗在草地上。"},
        ],
        "images": ["dog.jpg"],
    }
    (folder / "talk.json").write_text(json.dumps([talk]), "utf-8")
    entry = {
        "file_name": "talk.json",
        "formatting": "openai",
        "columns": {"messages": "messages", "images": "images"},
    }
    (folder / "dataset_info.json").write_text(json.dumps({"talk": entry}), "utf-8")
    return picture


def test_edit_of_a_general_picture_makes_the_build_anew(project: Path) -> None:
    picture = general_picture(project)
    it = shown(project, GENERAL)
    folder = build(it).folder
    assert build(it).report.reused
    shutil.copyfile(ROOT / "examples" / "ecom" / "images" / "0007.jpg", picture)
    reasons = why_build(it, it.context(), BuildFolder(folder), None)
    assert reasons == ["pictures were edited, moved or touched"]
    assert not build(it).report.reused
    assert build(it).report.reused


def test_picture_edited_between_reading_and_mixing_ends_the_build_with_its_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    general_picture(project)
    it = shown(project, GENERAL)
    mixed = next(step.transform for step in it.steps if step.name == "mix.general")
    apply = type(mixed).apply

    def edit_first(self: Any, frame: pl.LazyFrame, context: Any) -> Any:
        if frame.select(pl.len()).collect().item():
            shutil.copyfile(ROOT / "examples" / "ecom" / "images" / "0007.jpg", project / "recipes" / "1.jpg")
        return apply(self, frame, context)

    with monkeypatch.context() as patch:
        patch.setattr(type(mixed), "apply", edit_first)
        with pytest.raises(InputsChanged, match=r"recipes/1\.jpg"):
            build(it)
    assert not (project / "build" / it.name).exists()
    assert not build(it).report.reused


@pytest.mark.parametrize("how", ["link", "copy"])
@pytest.mark.parametrize("which", ["record", "general"])
def test_edit_of_a_picture_that_restores_size_and_time_makes_the_build_anew(
    project: Path, which: str, how: str
) -> None:
    general = general_picture(project)
    it = shown(project, GENERAL, images=how)
    folder = build(it).folder
    assert build(it).report.reused, "links to pictures change their time of status alone"
    picture = general if which == "general" else project / "recipes" / "1.jpg"
    data = bytearray(picture.read_bytes())
    data[-9] ^= 1
    rewrite_unseen(picture, bytes(data))
    reasons = why_build(it, it.context(), BuildFolder(folder), None)
    assert "pictures were edited, moved or touched" in reasons
    assert not build(it).report.reused
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    assert (folder / "images" / f"{digest[:32]}.jpg").read_bytes() == picture.read_bytes()
    assert build(it).report.reused


@pytest.mark.parametrize("name", ["shown_train.json", "picture"])
def test_edit_of_a_builds_file_that_restores_size_and_time_makes_the_build_anew(
    project: Path, name: str
) -> None:
    it = shown(project, "")
    folder = build(it).folder
    path = folder / name if name.endswith("json") else next((folder / "images").iterdir())
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    rewrite_unseen(path, bytes(data))
    assert why_build(it, it.context(), BuildFolder(folder), None) == [
        f"{path.relative_to(folder)} of the build is missing or was edited"
    ]
    assert not build(it).report.reused


def test_force_reads_every_file_anew(project: Path) -> None:
    it = shown(project, "")
    folder = build(it).folder
    digest = hashlib.sha256((project / "recipes" / "1.jpg").read_bytes()).hexdigest()
    wrong = "0" * 64
    with sqlite3.connect(next(project.rglob("results.sqlite"))) as store:  # as a disk that keeps no ctime
        store.execute("UPDATE digests SET sha256 = ?", (wrong,))
    build(it, Options(force=True))
    assert [path.stem for path in (folder / "images").iterdir()] == [digest[:32]]
    assert build(it).report.reused
    with sqlite3.connect(next(project.rglob("results.sqlite"))) as store:
        assert store.execute("SELECT count(*) FROM digests WHERE sha256 = ?", (wrong,)).fetchone() == (0,)


def test_build_of_0_1_with_stamps_of_size_and_time_stays_current_until_an_edit(project: Path) -> None:
    it = shown(project, "")
    folder = build(it).folder
    manifest = BuildFolder(folder).find_manifest()
    assert manifest is not None
    picture = project / "recipes" / "1.jpg"
    status = os.stat(picture)
    line = f"{picture}\0{status.st_size}\0{status.st_mtime_ns}\n".encode()
    plain = {"images": hashlib.blake2b(line, digest_size=16).hexdigest()}
    for kind in ("sources", "artifacts"):
        stamps: dict[str, FileStamp] = getattr(manifest, kind)
        plain[kind] = {  # type: ignore[assignment]
            path: FileStamp(bytes=old.bytes, mtime_ns=old.mtime_ns, sha256=old.sha256)
            for path, old in stamps.items()
        }
    BuildDraft(folder).write_manifest(manifest.model_copy(update=plain))
    assert build(it).report.reused
    os.utime(picture, ns=(0, 0))
    assert not build(it).report.reused
