"""One truth during a build: what is edited meanwhile is not seen, or ends the build with a sentence."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.report import StepReport
from datakit.core.errors import Exit
from datakit.core.outcome import Outcome, Rejected
from datakit.core.step_context import StepContext
from datakit.core.templates import Templates
from datakit.core.transform import Row, RowWorker
from datakit.library import build
from datakit.run.annotation import Annotation
from datakit.run.build_inputs import InputsChanged
from datakit.run.progress import Progress
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.toys import Work

LABELS = "labels:\n  - {name: red, description: OLD words}\n  - {name: blue, description: sea}\n"
RECIPE = """\
labels: ../labels.yaml
steps:
  - %s
  - annotate.image_facts: {}
  - annotate.describe: {template: describe.j2, into: description}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
run: {max_reject_rate: 1.0}
"""
ROWS = "read.jsonl: {path: ../rows.jsonl, image: image, label: label}"
FOLDER = "read.image_folder: {path: ../pictures}"


class EditAt(Progress):
    """Edits something at the moment at which a step starts."""

    def __init__(self, step: str, edit: Callable[[], object]) -> None:
        super().__init__(quiet=True)
        self.step, self.edit = step, edit

    def start(self, name: str, total: int) -> None:
        if self.step in name:
            self.edit()
        super().start(name, total)


@dataclass
class Shop:
    project: Path

    @property
    def recipe(self) -> Path:
        return self.project / "recipes" / "shop.yaml"

    def picture(self, name: str) -> Path:
        return self.project / "pictures" / name

    def write(self, name: str, text: str) -> None:
        (self.project / name).write_text(text, "utf-8")

    def asked(self) -> str:
        """The first chat of the build."""
        rows = json.loads((self.project / "build/shop/shop_train.json").read_text("utf-8"))
        return "".join(turn["content"] for turn in rows[0]["messages"])


@pytest.fixture
def shop(project: Path) -> Shop:
    it = Shop(project)
    for label, colour in (("red", "#f00"), ("blue", "#00f")):
        for number in range(3):
            path = it.picture(f"{label}/{number}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60 + number, 60), colour).save(path)
    files = sorted((project / "pictures").rglob("*.png"))
    rows = [{"image": str(file.relative_to(project)), "label": file.parent.name} for file in files]
    it.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    it.write("labels.yaml", LABELS)
    (project / "templates").mkdir(exist_ok=True)
    it.write("templates/describe.j2", "Describe it as {{ label }}.")
    parts = "{% include 'end.j2' %}{% include 'x' ~ 'y.j2' %}"
    places = "{% for _ in images %}<image>{% endfor %}"
    it.write("templates/ask.j2", f"OLD ask {places}{{{{ label_json }}}}{parts}")
    it.write("templates/end.j2", "OLD end")
    it.write("templates/xy.j2", "OLD part")
    it.write("recipes/shop.yaml", RECIPE % ROWS)
    return it


def stored(project: Path) -> int:
    store = Store(project / ".datakit")
    count = len(list(store.entries()))
    store.close()
    return count


@pytest.mark.fault(
    "the label file is edited during a build",
    "prompts and the kept file have the old labels; the next build has the new ones",
    kind="inputs changed",
)
def test_labels_edited_during_a_build_are_those_of_the_next_one_in_prompts_and_in_the_kept_file(
    shop: Shop,
) -> None:
    edit = EditAt("annotate.describe", lambda: shop.write("labels.yaml", LABELS.replace("OLD", "NEW")))
    folder = build(shop.recipe, progress=edit, card=False).folder
    assert (folder / "labels.yaml").read_bytes() == LABELS.encode()
    assert "OLD words" in shop.asked()
    again = build(shop.recipe, card=False)
    assert not again.report.reused
    assert (folder / "labels.yaml").read_text("utf-8") == LABELS.replace("OLD", "NEW")
    assert "NEW words" in shop.asked()


@pytest.mark.fault(
    "a template is edited during a build",
    "the build keeps it as it was rendered",
    kind="inputs changed",
)
@pytest.mark.parametrize("name", ["ask.j2", "end.j2", "xy.j2"])
@pytest.mark.parametrize("at", ["annotate.describe", "emit.llamafactory"])
def test_templates_edited_during_a_build_are_kept_as_they_were_rendered(
    shop: Shop, name: str, at: str
) -> None:
    file = shop.project / "templates" / name
    before = file.read_text("utf-8")
    edit = EditAt(at, lambda: shop.write(f"templates/{name}", before.replace("OLD", "NEW")))
    folder = build(shop.recipe, progress=edit, card=False).folder
    assert (folder / "templates" / name).read_text("utf-8") == before
    assert "NEW" not in shop.asked()
    manifest = BuildFolder(folder).manifest
    assert manifest is not None
    assert manifest.templates["ask.j2"] == Templates([folder / "templates"]).digest("ask.j2")
    assert not build(shop.recipe, card=False).report.reused
    assert "NEW" in shop.asked()


@pytest.mark.fault("a template is removed or added during a build", "nothing changes", kind="inputs changed")
def test_a_template_removed_or_added_during_a_build_changes_nothing(shop: Shop) -> None:
    def edit() -> None:
        (shop.project / "templates/end.j2").unlink()
        shop.write("templates/late.j2", "late")

    folder = build(shop.recipe, progress=EditAt("annotate.describe", edit), card=False).folder
    assert (folder / "templates/end.j2").read_text("utf-8") == "OLD end"
    assert not (folder / "templates/late.j2").exists()


def test_pinned_templates_are_the_same_in_a_worker_process(shop: Shop) -> None:
    context = StepContext(base=shop.project, project=shop.project).pinned()
    context.templates.digest("ask.j2", whole=True)
    for name in ("ask.j2", "end.j2", "xy.j2"):
        shop.write(f"templates/{name}", "NEW")
    theirs = pickle.loads(pickle.dumps(context)).templates
    assert theirs.get("ask.j2").render(label_json="", images=[]) == "OLD ask OLD endOLD part"
    assert theirs.digest("ask.j2", whole=True) == context.templates.digest("ask.j2", whole=True)
    loose = StepContext(base=shop.project, project=shop.project)
    assert pickle.loads(pickle.dumps(loose)).templates.source("ask.j2") == "NEW"


def _other(path: Path) -> None:
    Image.new("RGB", (90, 70), "#0f0").save(path)


PICTURE_EDITS: dict[str, Callable[[Path], object]] = {
    "replaced": _other,
    "removed": Path.unlink,
    "no picture any more": lambda path: path.write_text("none"),
}


@pytest.mark.fault(
    "a picture is changed, removed or replaced during a build",
    "the build ends with its name; no paid answer is lost",
    kind="inputs changed",
)
@pytest.mark.parametrize(
    ("edit", "at", "reader"),
    [
        ("replaced", "annotate.image_facts", ROWS),
        ("replaced", "annotate.describe", ROWS),
        ("replaced", "emit.llamafactory", FOLDER),
        ("removed", "annotate.image_facts", FOLDER),
        ("removed", "emit.llamafactory", ROWS),
        ("no picture any more", "annotate.describe", ROWS),
        ("no picture any more", "emit.llamafactory", FOLDER),
    ],
)
def test_a_picture_changed_during_a_build_ends_it_with_its_name_and_loses_no_answer(
    shop: Shop, edit: str, at: str, reader: str
) -> None:
    shop.write("recipes/shop.yaml", RECIPE % reader)
    path = shop.picture("red/1.png")
    with pytest.raises(
        InputsChanged, match=r"1 file was changed while the build ran(.|\n)*red/1\.png"
    ) as error:
        build(shop.recipe, progress=EditAt(at, lambda: PICTURE_EDITS[edit](path)), card=False)
    assert error.value.exit_code == Exit.FAILED
    assert not (shop.project / "build/shop").exists()
    held = stored(shop.project)
    _other(path)
    folder = build(shop.recipe, card=False).folder
    assert stored(shop.project) - held <= 2  # the changed picture's facts, and its description
    digests = pl.read_parquet(folder / "records.parquet")["sha256"].to_list()
    images = {file.stem for file in (folder / "images").iterdir()}
    assert {digest[:32] for digest in digests} == images


class Hindered(Work):
    """A step whose picture is gone by the time that it looks."""

    registered_name: ClassVar[str] = "toy.hindered"

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("images",)

    def start(self, context: StepContext) -> RowWorker:
        return _HinderedWorker()


class _HinderedWorker(RowWorker):
    def answer(self, row: Row) -> Outcome:
        Path(row["images"][0]).unlink()
        return Rejected("image_missing", "there is no such file")


@pytest.mark.fault(
    "a picture is replaced while a step reads it",
    "what is said of the new one is not stored under the old one's key",
    kind="inputs changed",
)
def test_what_is_said_of_another_picture_is_not_stored_under_the_key_of_the_one_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.png"
    _other(path)
    schema: dict[str, Any] = {
        "id": pl.String,
        "source_file": pl.String,
        "source_line": pl.Int64,
        "images": pl.List(pl.String),
    }
    frames = RecordFrames(tmp_path / "frames")
    frames.append(pl.DataFrame([["a", "rows", 1, [str(path)]]], schema, orient="row"))
    store, report = Store(tmp_path), StepReport(number=1, name="toy.hindered")
    context = StepContext(base=tmp_path, project=tmp_path)
    work = Annotation(Hindered(log=""), context, store, Progress(quiet=True), report)
    work.pay(frames)
    (batch,) = work.join(frames)
    assert [reject.reason for reject in batch.rejects] == ["retry:image_changed"]
    assert list(store.entries()) == []
    store.close()


@pytest.mark.fault("an input changed during a build", "the build before stands", kind="inputs changed")
def test_the_build_before_stands_when_an_input_changed(shop: Shop) -> None:
    folder = build(shop.recipe, card=False).folder
    before = (folder / "manifest.json").read_bytes()
    shop.write("labels.yaml", LABELS.replace("OLD", "NEW"))
    path = shop.picture("blue/0.png")
    with pytest.raises(InputsChanged, match=r"blue/0\.png"):
        build(shop.recipe, progress=EditAt("annotate.describe", lambda: _other(path)), card=False)
    assert (folder / "manifest.json").read_bytes() == before


@pytest.mark.fault(
    "a source is edited during a build, even if it is put back",
    "the build ends with its name",
    kind="inputs changed",
)
@pytest.mark.parametrize("put_back", [False, True])
def test_a_source_edited_during_a_build_ends_it_even_when_it_was_put_back(shop: Shop, put_back: bool) -> None:
    rows = (shop.project / "rows.jsonl").read_text("utf-8")

    def edit() -> None:
        shop.write("rows.jsonl", rows.replace('"red"', '"blue"'))
        if put_back:
            shop.write("rows.jsonl", rows)

    with pytest.raises(InputsChanged, match=r"rows\.jsonl"):
        build(shop.recipe, progress=EditAt("read.jsonl", edit), card=False)


@pytest.mark.fault("a picture comes into the folder during a build", "it is named", kind="inputs changed")
def test_a_picture_that_comes_into_the_folder_during_a_build_is_named(shop: Shop) -> None:
    shop.write("recipes/shop.yaml", RECIPE % FOLDER)
    late = shop.picture("red/late.png")
    with pytest.raises(InputsChanged, match=r"red/late\.png"):
        build(shop.recipe, progress=EditAt("read.image_folder", lambda: _other(late)), card=False)


def test_hard_links_and_modes_are_no_edits(shop: Shop) -> None:
    def touch() -> None:
        os.link(shop.project / "rows.jsonl", shop.project / "link.jsonl")
        (shop.project / "rows.jsonl").chmod(0o600)
        shutil.copystat(shop.picture("red/0.png"), shop.picture("red/1.png"))

    assert build(shop.recipe, progress=EditAt("annotate.describe", touch), card=False).folder.is_dir()
