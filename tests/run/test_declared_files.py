"""What a step reads is declared: an edit makes the build anew, and no other file can be opened."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import UndeclaredFile
from datakit.core.transform import Emitter, Reader, Transform
from datakit.recipe.recipe import Recipe, Step, load_recipe
from datakit.run import manifest as manifests
from datakit.run.build import build
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


def shown(project: Path, steps: str) -> Recipe:
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
        "emit:\n  - llamafactory: {images: copy}\n",
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


def test_picture_edited_between_reading_and_mixing_leaves_no_build_that_passes_for_current(
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
        folder = build(it).folder
    assert not manifests.is_current(BuildFolder(folder), it, it.context(), None)
    assert not build(it).report.reused
