"""`datakit init owner/name`: a data set of a hub, asked for as `datasets` does, becomes a project."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import datasets
import polars as pl
import pytest
from datasets.table import embed_table_storage
from PIL import Image

from datakit.emit.hub import Hub
from tests.support.emitter_records import emit, several
from tests.support.hub_of_data import HubOfData

ROOT = Path(__file__).resolve().parents[2]
SCREEN = str(ROOT / "examples" / "ecom" / "images" / "0001.jpg")


def run_at(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own: the hub's address is read once, when the library loads."""
    own = ("HF_", "OPENAI_", "DATAKIT_")
    known = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    known |= {"HF_ENDPOINT": url, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
    known["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True, check=False)


def init_at(url: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run_at(url, folder, "-m", "datakit.cli", "init", *words)


def pets(folder: Path) -> Path:
    """A set of two configurations with two columns of classes and no column that is called a label."""
    features = datasets.Features(
        photo=datasets.Image(),
        species=datasets.ClassLabel(names=["猫", "狗"]),
        colour=datasets.ClassLabel(names=["黑", "白"]),
    )
    rows = {"photo": [SCREEN] * 4, "species": [0, 1, 0, 1], "colour": [0, 0, 1, 1]}
    made = datasets.Dataset.from_dict(rows, features=features)
    embedded = made.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)
    files = ""
    for config in ("few", "many"):
        files += f"- config_name: {config}\n  data_files:\n"
        for split in ("train", "test"):
            (folder / config).mkdir(parents=True, exist_ok=True)
            embedded.to_parquet(folder / config / f"{split}.parquet")
            files += f"  - split: {split}\n    path: {config}/{split}.parquet\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{files}---\n")
    return folder


def picture_files(folder: Path) -> Path:
    """A set without tables: a folder for each label."""
    for label, number in itertools.product(("猫", "狗"), range(3)):
        path = folder / "train" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (number * 60, 90, len(label))).save(path)
    return folder


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """What emit.hub wrote, with a column that bears the name of a step's and is another."""
    (tmp_path / "made").mkdir()
    build, _ = emit(Hub(), tmp_path / "made", several(tmp_path / "made"))
    for path in (build / "hub" / "data").iterdir():
        frame = pl.read_parquet(path)
        frame.with_columns(looks=pl.lit("nice")).write_parquet(path)
    (build / "hub" / "README.md").write_text("# Shop\n", "utf-8")
    return build / "hub"


def test_a_name_of_the_hub_becomes_a_project_with_a_first_build(tmp_path: Path, given: Path) -> None:
    with HubOfData({"owner/shop": given}) as hub:
        done = init_at(hub.url, tmp_path, "owner/shop", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert any(path.endswith("train-00000-of-00001.parquet") for path in hub.asked)
    made = json.loads(done.stdout)
    assert made["found"]["format"] == "hub"
    assert (tmp_path / "shop-project" / "recipes" / "shop.yaml").is_file()
    rows = json.loads(next((tmp_path / "shop-project" / "build").glob("*/*_train.json")).read_text("utf-8"))
    assert {message["role"] for row in rows for message in row["messages"]} >= {"user", "assistant"}


WORDS = """
import contextlib, io, json, sys, time
from datakit.cli import run

for words in json.loads(sys.argv[1]):
    start, told = time.monotonic(), io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = run(["init", *words, "--no-build"])
    print(json.dumps([code, told.getvalue(), time.monotonic() - start]))
"""


def inits_at(url: str, folder: Path, *all_words: list[str]) -> list[tuple[int, str, float]]:
    """Exit code, output and seconds of several `datakit init`, in one process for all."""
    done = run_at(url, folder, "-c", WORDS, json.dumps(all_words))
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@dataclass
class Asked:
    """What several `datakit init` said, by the name and options that they were given."""

    folder: Path
    url: str
    told: dict[str, tuple[int, str, float]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """All asked in one process, since starting one takes most of the time."""
    folder = tmp_path_factory.mktemp("hub")
    sets = {"owner/pets": pets(folder / "pets"), "owner/files": picture_files(folder / "files")}
    asked = (
        *("owner/shpo", "owner/private", "owner/gated", "owner/files", "owner/pets"),
        *(f"owner/pets --subset few --split {split}" for split in ("tset", "test")),
    )
    with HubOfData(sets, refused={"owner/private": 401, "owner/gated": 403}) as hub:
        told = inits_at(hub.url, folder, *map(str.split, asked))
    return Asked(folder, hub.url, dict(zip(asked, told, strict=True)))


def test_what_a_hub_does_not_give_is_told_with_its_remedy_and_leaves_nothing(asked: Asked) -> None:
    for name in ("owner/shpo", "owner/private"):
        code, output, _ = asked.told[name]
        assert code == 2
        assert f"cannot load the data set {name}: the hub has none of that name" in output
        assert "HF_TOKEN" in output
    code, output, _ = asked.told["owner/gated"]
    assert code == 5
    assert "agreed to its terms" in output
    assert {path.name for path in asked.folder.glob("*-project")} == {"pets-project", "files-project"}


def test_configurations_splits_and_classes_of_a_set_are_chosen_by_name(asked: Asked) -> None:
    _, several, _ = asked.told["owner/pets"]
    assert "has several configurations: few, many" in several
    assert "--subset" in several
    _, misspelt, _ = asked.told["owner/pets --subset few --split tset"]
    assert "Did you mean `test`?" in misspelt
    assert "--split" in misspelt
    code, found, _ = asked.told["owner/pets --subset few --split test"]
    assert code == 0, found
    assert "2 labels, Chinese; to classify pictures" in found
    assert "took the column `species` for the label (--label-column colour)" in found
    recipe = (asked.folder / "pets-project" / "recipes" / "pets.yaml").read_text("utf-8")
    assert "{path: owner/pets, subset: few, split: test, label: species}" in recipe


def test_recipe_of_a_set_of_picture_files_does_not_lead_into_the_package_s_cache(asked: Asked) -> None:
    _, found, _ = asked.told["owner/files"]
    assert "6 pictures, 2 labels, Chinese; to classify pictures." in found
    assert "metadata block" not in found
    recipe = (asked.folder / "files-project" / "recipes" / "files.yaml").read_text("utf-8")
    assert "- read.hub: {path: owner/files}\n" in recipe


def test_a_hub_that_cannot_be_reached_is_told_at_once_and_what_was_fetched_is_read(asked: Asked) -> None:
    there, other = inits_at(asked.url, asked.folder, ["owner/files", "--into", "again"], ["owner/other"])
    assert there[0] == 0, there[1]
    assert other[0] == 5
    assert f"the hub {asked.url} cannot be reached" in other[1]
    assert "HF_ENDPOINT" in other[1]
    assert other[2] < 5, "the package alone tries for 25 s"
