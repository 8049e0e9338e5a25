"""emit.hub: a folder that `datasets` loads as a DatasetDict with pictures, and an upload to a hub."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from PIL.Image import Image

from datakit.core.errors import Exit, UserError
from datakit.emit import hub
from datakit.emit.hub import Hub
from tests.support.emitter_records import emit, record, several
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
