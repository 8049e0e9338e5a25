"""`datakit init owner/name`: a data set of a hub, asked for as `datasets` does, becomes a project."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
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


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A set of two configurations with two columns of classes and no column that is called a label."""
    folder = tmp_path / "pets"
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


def test_what_a_hub_does_not_give_is_told_with_its_remedy_and_leaves_nothing(tmp_path: Path) -> None:
    refused = {"owner/private": 401, "owner/gated": 403}
    with HubOfData({}, refused) as hub:
        missing, private, gated = inits_at(
            hub.url, tmp_path, ["owner/shpo"], ["owner/private"], ["owner/gated"]
        )
    assert missing[0] == private[0] == 2
    for name, (_, output, _) in {"shpo": missing, "private": private}.items():
        assert f"cannot load the data set owner/{name}: the hub has none of that name" in output
        assert "HF_TOKEN" in output
    assert gated[0] == 5
    assert "agreed to its terms" in gated[1]
    assert not list(tmp_path.glob("*-project"))


def test_a_hub_that_cannot_be_reached_is_told_at_once_and_what_was_fetched_is_read(
    tmp_path: Path, pets: Path
) -> None:
    with HubOfData({"owner/pets": pets}) as hub:
        url = hub.url
        assert inits_at(url, tmp_path, ["owner/pets", "--subset", "few"])[0][0] == 0
    there, other = inits_at(
        url, tmp_path, ["owner/pets", "--subset", "few", "--into", "again"], ["owner/other"]
    )
    assert there[0] == 0, there[1]
    assert other[0] == 5
    assert f"the hub {url} cannot be reached" in other[1]
    assert "HF_ENDPOINT" in other[1]
    assert other[2] < 5


def test_configurations_splits_classes_and_picture_files_of_sets_become_recipes(
    tmp_path: Path, pets: Path
) -> None:
    for label, number in itertools.product(("猫", "狗"), range(3)):
        path = tmp_path / "files" / "train" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (number * 60, 90, len(label))).save(path)
    with HubOfData({"owner/pets": pets, "owner/files": tmp_path / "files"}) as hub:
        whole, part, several, files = inits_at(
            hub.url,
            tmp_path,
            ["owner/pets"],
            ["owner/pets", "--subset", "few", "--split", "tset"],
            ["owner/pets", "--subset", "few", "--split", "test"],
            ["owner/files"],
        )
    assert "has several configurations: few, many" in whole[1]
    assert "--subset" in whole[1]
    assert "Did you mean `test`?" in part[1]
    assert "--split" in part[1]
    assert several[0] == 0, several[1]
    assert "2 labels, Chinese; to classify pictures" in several[1]
    assert "took the column `species` for the label (--label-column colour)" in several[1]
    recipe = (tmp_path / "pets-project" / "recipes" / "pets.yaml").read_text("utf-8")
    assert "{path: owner/pets, subset: few, split: test, label: species}" in recipe
    assert "6 pictures, 2 labels, Chinese; to classify pictures." in files[1]
    assert "metadata block" not in files[1]
    recipe = (tmp_path / "files-project" / "recipes" / "files.yaml").read_text("utf-8")
    assert "- read.hub: {path: owner/files}\n" in recipe, "a recipe that leads into the package's cache"
