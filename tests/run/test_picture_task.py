"""A recipe about pictures of which no record has one stops at its reader, unless text is what is meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.checking.build_check import checked, is_picture_task
from datakit.checking.check import Check
from datakit.checking.training import Training
from datakit.core.errors import Exit, UserError
from datakit.library import load
from datakit.run.build import build

VL = "train: {model: Qwen/Qwen2.5-VL-3B-Instruct}\n"
GUARD = "  - guard.image: {}\n"


def recipe(
    folder: Path, table: str, *, reader: str = "", steps: str = "", emit: str = "{}", more: str = ""
) -> Path:
    Image.new("RGB", (60, 90), (200, 30, 40)).save(folder / "a.jpg")
    (folder / "d.csv").write_text(table, encoding="utf-8")
    (folder / "templates").mkdir()
    (folder / "templates/p.j2").write_text("{% for _ in images %}<image>{% endfor %}类别？", encoding="utf-8")
    (folder / "r.yaml").write_text(
        f"name: x\nsteps:\n  - read.csv: {{path: d.csv{reader}}}\n{steps}"
        f"  - render.chat: {{prompt: p.j2, answer: label_only}}\n"
        f"emit:\n  - llamafactory: {emit}\n{more}run: {{store: .store, max_reject_rate: 1}}\n",
        encoding="utf-8",
    )
    return folder / "r.yaml"


@pytest.mark.parametrize(
    ("steps", "emit", "more", "need"),
    [
        (GUARD, "{}", "", r"step 2 \(guard.image\) works on pictures"),
        ("  - annotate.image_facts: {}\n", "{}", "", r"annotate.image_facts"),
        ("  - annotate.ocr: {engine: rapidocr}\n", "{}", "", r"annotate.ocr"),
        ("", "{images: resize, image_max_pixels: 200000}", "", r"emit.llamafactory limits pictures"),
        ("", "{}", VL, r"Qwen2.5-VL-3B-Instruct"),
    ],
)
def test_a_picture_task_without_pictures_stops_at_its_reader(
    steps: str, emit: str, more: str, need: str, tmp_path: Path
) -> None:
    path = recipe(tmp_path, "bild,label\na.jpg,x\nb.jpg,y\n", steps=steps, emit=emit, more=more)
    with pytest.raises(UserError, match=need) as stopped:
        build(load(path))
    assert stopped.value.exit_code == Exit.USAGE
    assert "none of 2 records has a picture" in stopped.value.message
    assert "Columns there: `bild`, `label`" in stopped.value.message
    assert "`image: <column>`" in stopped.value.remedy
    assert "`images: none`" in stopped.value.remedy
    assert stopped.value.where.endswith("r.yaml:3:5")
    assert not (tmp_path / "build/x").exists()


def test_text_only_is_built_where_it_is_said(tmp_path: Path) -> None:
    path = recipe(tmp_path, "frage,label\na,x\n", reader=", images: none", steps=GUARD, more=VL)
    folder = BuildFolder(build(load(path)).folder)
    assert not is_picture_task(folder, Training.load(None))
    assert [finding.code for finding in checked(folder).findings.all if finding.code == "no_pictures"] == []


def test_one_picture_is_enough(tmp_path: Path) -> None:
    path = recipe(tmp_path, "image,label\n,x\na.jpg,y\n", steps=GUARD)
    assert build(load(path)).report.steps[0].records_out == 2


def test_a_recipe_without_a_word_of_pictures_builds_text(tmp_path: Path) -> None:
    path = recipe(tmp_path, "frage,label\na,x\n")
    assert build(load(path)).report.steps[0].records_out == 1


def test_the_check_of_a_build_calls_it_an_error(tmp_path: Path) -> None:
    path = recipe(tmp_path, "frage,label\na,x\n", reader=", images: none", steps=GUARD)
    folder = BuildFolder(build(load(path)).folder)
    text = folder.recipe_file.read_text("utf-8").replace("    images: none\n", "")
    assert "images: none" not in text
    folder.recipe_file.write_text(text, "utf-8")
    folder = BuildFolder(folder.path)
    (finding,) = [found for found in checked(folder).findings.all if found.code == "no_pictures"]
    assert finding.message == "none of 1 rows has a picture"


def test_the_check_of_another_data_set_knows_no_recipe(tmp_path: Path) -> None:
    path = recipe(tmp_path, "frage,label\na,x\n")
    folder = build(load(path)).folder
    report = Check(Training.load(None), dataset_dir=folder, dataset=["x_train"]).run()
    assert report.errors == 0
