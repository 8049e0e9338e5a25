"""emit.hub: a folder that `datasets` loads as a DatasetDict with pictures, and an upload to a hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import polars as pl
import pyarrow.parquet
import pytest
from huggingface_hub import DatasetCard
from PIL.Image import Image

from datakit.core.errors import Exit, UserError
from datakit.emit import hub
from datakit.emit._hub_card import Task
from datakit.emit.hub import Hub
from tests.support.emitter_records import emit, picture, record, several
from tests.support.hub_server import TOKEN, HubServer

PUSH = """
import sys
from pathlib import Path
from tests.support.emitter_records import emit, several
from datakit.core.errors import UserError
from datakit.emit.hub import Hub
folder = Path(sys.argv[1])
try:
    emit(Hub(push="me/shop"), folder, several(folder))
except UserError as error:
    print(error)
    sys.exit(int(error.exit_code))
"""


def push(folder: Path, url: str, token: str | None) -> subprocess.CompletedProcess[str]:
    """Emits with a push in a process of its own: the hub's address is read once, when the library loads."""
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": url, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_TOKEN": token} if token else {}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        [sys.executable, "-c", PUSH, str(folder)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def loaded(folder: Path, cache: Path) -> datasets.DatasetDict:
    found = datasets.load_dataset(str(folder), cache_dir=str(cache))
    assert isinstance(found, datasets.DatasetDict)
    return found


def test_folder_loads_as_a_dataset_dict_with_decoded_pictures(tmp_path: Path) -> None:
    given = several(tmp_path)
    folder, artifacts = emit(Hub(), tmp_path, given)
    assert {item.path: item.records for item in artifacts} == {
        "hub/data/train-00000-of-00001.parquet": 5,
        "hub/data/val-00000-of-00001.parquet": 2,
        "hub/data/general-00000-of-00001.parquet": 1,
        "hub/README.md": None,
        "hub/croissant.json": None,
    }
    found = loaded(folder / "hub", tmp_path / "cache")
    assert {split: len(rows) for split, rows in found.items()} == {"train": 5, "validation": 2, "general": 1}
    rows = list(found["train"])
    assert [row["id"] for row in rows] == ["text", "plain", "dialogue", "plain", "plain"]
    assert [image.size for image in rows[2]["images"]] == [(60, 90), (200, 40)]
    assert all(isinstance(image, Image) for row in rows for image in row["images"])
    assert rows[2]["messages"] == given[2]["messages"]
    assert rows[1]["reason"] == "有结算按钮"
    assert found["validation"][0]["images"][0].size == (80, 120)
    assert not (folder / "images").exists()


def test_card_counts_records_and_rows_and_names_the_licence(tmp_path: Path) -> None:
    folder, _ = emit(Hub(licence="cc-by-4.0"), tmp_path, several(tmp_path))
    text = (folder / "hub" / "README.md").read_text("utf-8")
    assert "license: cc-by-4.0" in text
    assert "| train | 3 | 5 |" in text
    assert "| validation | 2 | 2 |" in text
    assert "| `images` | list of pictures |" in text
    assert "/home/someone" not in text
    assert str(tmp_path) not in text


def test_card_says_what_datasets_finds_in_the_files(tmp_path: Path) -> None:
    folder, _ = emit(Hub(), tmp_path, several(tmp_path))
    said = DatasetCard.load(folder / "hub" / "README.md").data.to_dict()["dataset_info"]
    loaded_ones = loaded(folder / "hub", tmp_path / "cache")
    info = loaded_ones["train"].info
    assert info.splits is not None
    assert said["splits"] == [
        {"name": split.name, "num_bytes": split.num_bytes, "num_examples": split.num_examples}
        for split in info.splits.values()
    ]
    assert min(split["num_bytes"] for split in said["splits"]) > 0
    assert said["dataset_size"] == info.dataset_size
    files = (folder / "hub" / "data").iterdir()
    assert said["download_size"] == info.download_size == sum(path.stat().st_size for path in files)
    assert datasets.Features._from_yaml_list(said["features"]) == loaded_ones["train"].features


def test_files_have_plain_types_and_no_column_without_a_value(tmp_path: Path) -> None:
    folder, artifacts = emit(Hub(), tmp_path, several(tmp_path))
    for path in (folder / "hub" / "data").iterdir():
        schema = pyarrow.parquet.read_schema(path)
        types = " ".join(str(kind) for kind in schema.types)
        assert not any(word in types for word in ("large", "dictionary", "view", "null")), types
        assert schema.names == ["id", "images", "label", "messages", "reason"]
    assert "no record has a value: `text`, `ocr`" in (folder / "hub" / "README.md").read_text("utf-8")
    assert any(item.kind == "card" for item in artifacts)


def test_pictures_are_decoded_without_the_card_too(tmp_path: Path) -> None:
    folder, _ = emit(Hub(), tmp_path, several(tmp_path))
    (folder / "hub" / "README.md").unlink()
    rows = loaded(folder / "hub", tmp_path / "cache")["train"]
    assert all(isinstance(image, Image) for row in rows for image in row["images"])


def chat(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": answer}]


@pytest.mark.parametrize(
    ("pictures", "answers", "task"),
    [
        (1, ["购物车页面", "购物车页面"], "image-classification"),
        (1, ["购物车页面", "因为有按钮。购物车页面"], "image-text-to-text"),
        (0, ["购物车页面"], "text-generation"),
    ],
)
def test_card_names_the_task_that_the_rows_teach(
    pictures: int, answers: list[str], task: str, tmp_path: Path
) -> None:
    image = picture(tmp_path / "1.jpg")
    rows = [
        record(str(at), image, messages=chat(answer)) if pictures else record(str(at))
        for at, answer in enumerate(answers)
    ]
    folder, _ = emit(Hub(), tmp_path, rows)
    assert DatasetCard.load(folder / "hub" / "README.md").data.to_dict()["task_categories"] == [task]


def test_task_of_pictures_beside_general_texts_is_that_of_the_pictures() -> None:
    task = Task()
    texts = {"messages": [chat("好")], "images": [[]], "label": [None]}
    schema = {"images": pl.List(pl.String), "label": pl.String}
    task.add(pl.DataFrame(texts, schema_overrides=schema))
    assert task.word() == "text-generation"
    task.add(pl.DataFrame({"messages": [chat("猫")], "images": [["a"]], "label": ["猫"]}))
    assert task.word() == "image-classification"
    task.add(pl.DataFrame({"messages": [chat("猫")], "images": [["a"]]}))
    assert task.word() == "image-text-to-text"


def test_large_parts_are_split_into_files_of_a_bounded_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_SHARD_BYTES", 20_000)
    rows = [record(f"r{number:04}") for number in range(500)]
    folder, _ = emit(Hub(), tmp_path, rows)
    files = sorted(path.name for path in (folder / "hub" / "data").iterdir())
    assert len(files) > 1
    assert files[0] == f"train-00000-of-{len(files):05d}.parquet"
    found = loaded(folder / "hub", tmp_path / "cache")
    assert [row["id"] for row in found["train"]] == [row["id"] for row in rows]


def test_push_uploads_the_folder_and_replaces_older_data(tmp_path: Path) -> None:
    with HubServer() as server:
        server.files["data/train-00000-of-00009.parquet"] = b"old"
        done = push(tmp_path / "one", server.url, TOKEN)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        folder = tmp_path / "one" / "build" / "hub"
        local = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        assert {name: data for name, data in server.files.items() if name != ".gitattributes"} == local
        assert server.repositories[0]["name"] == "shop"
        created = server.repositories[0]
        assert created.get("visibility") == "private" or created.get("private") is True
        for path in (tmp_path / "one" / "build").rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_push_without_or_with_a_wrong_key_ends_with_5(tmp_path: Path) -> None:
    with HubServer() as server:
        done = push(tmp_path / "none", server.url, None)
        assert (done.returncode, "HF_TOKEN" in done.stdout, server.tokens) == (5, True, [])
        done = push(tmp_path / "wrong", server.url, "hf_wrong")
        assert (done.returncode, "refused the upload to me/shop" in done.stdout) == (5, True), done.stderr
        assert "hf_wrong" not in done.stdout + done.stderr
        assert server.files == {}


def test_hub_that_cannot_be_reached_ends_with_5(tmp_path: Path) -> None:
    with HubServer() as server:
        url = server.url
    done = push(tmp_path / "gone", url, TOKEN)
    assert (done.returncode, "cannot be reached" in done.stdout) == (5, True), done.stdout + done.stderr


def test_without_datasets_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"datakit\[hub\]") as caught:
        emit(Hub(), tmp_path, several(tmp_path))
    assert caught.value.exit_code == Exit.USAGE
