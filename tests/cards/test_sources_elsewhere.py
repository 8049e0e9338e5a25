"""Sources outside of the project, as `datakit init` leaves them: told apart, and grouped by their folders."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.told_paths import shared_folder
from datakit.cards.inputs import inputs_of
from datakit.cards.overview import sources_section
from datakit.library import build
from datakit.pages.blocks import Table

RECIPE = """\
name: cats
steps:
  - read.image_folder: {{path: ../../{folder}}}
  - render.chat: {{prompt: ask.j2, answer: label_only}}
emit: [parquet: {{}}]
run: {{max_reject_rate: 1}}
"""


def built(folder: Path, data: str, files: list[str]) -> BuildFolder:
    for at, name in enumerate(files):
        (folder / data / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (at * 20, 90, 255 - at * 20)).save(folder / data / name)
    for name in ("recipes", "templates"):
        (folder / "project" / name).mkdir(parents=True)
    (folder / "project" / "templates" / "ask.j2").write_text("<image>?{{ answer_format }}")
    recipe = folder / "project" / "recipes" / "cats.yaml"
    recipe.write_text(RECIPE.format(folder=data), "utf-8")
    return BuildFolder.open(build(recipe, check=False, card=False).folder)


def first_table(folder: BuildFolder) -> list[list[str]]:
    table = sources_section(folder).blocks[0]
    assert isinstance(table, Table)
    return [[str(getattr(cell, "text", cell)) for cell in row] for row in table.rows]


def test_files_of_one_name_in_two_labels_are_two_sources(tmp_path: Path) -> None:
    names = [f"{label}/{at}.png" for label in ("猫", "狗") for at in range(6)]
    folder = built(tmp_path, "我的 图", names)
    assert sorted(inputs_of(folder).sources) == sorted(names)
    assert len(set(inputs_of(folder).sources.values())) == 12
    assert {row[0] for row in first_table(folder)} == {"猫/", "狗/"}
    assert [row[2:] for row in first_table(folder)] == [["6", "6"]] * 2


def test_many_files_without_a_folder_are_one_line(tmp_path: Path) -> None:
    assert shared_folder([f"/data/pictures/{at}.png" for at in range(9)], []) == "/data/pictures"
    names = [f"猫/{at}.png" for at in range(9)]
    assert [row[0] for row in first_table(built(tmp_path, "图", names))] == ["files elsewhere"]


def test_no_folder_near_the_root_is_told() -> None:
    assert shared_folder(["/home/wang/a.png", "/home/li/b.png"], []) == ""
    assert shared_folder([f"/home/{who}/{at}.png" for who in ("wang", "li") for at in range(9)], []) == ""
    assert shared_folder(["/home/wang/x/1.png", "/home/wang/y/1.png"], []) == "/home/wang"
    assert shared_folder([f"/p/images/{at}.png" for at in range(9)], [Path("/p")]) == ""
    assert shared_folder([], []) == ""
