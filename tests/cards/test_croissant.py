"""What a card says for programs: Croissant's own validator accepts it, and `datasets` loads its files."""

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import mlcroissant
import polars as pl
import pytest
import yaml

from datakit.cards.write import write_card
from datakit.core.croissant import File, croissant, is_own
from datakit.emit import hub
from datakit.emit.hub import Hub
from tests.support.card_builds import ecom
from tests.support.emitter_records import emit, several


def accepted(path: Path) -> mlcroissant.Dataset:
    """The document as the validator reads it, which raises for an error and lists what it recommends."""
    found = mlcroissant.Dataset(jsonld=str(path))
    assert not found.metadata.issues.errors
    return found


def rows(found: mlcroissant.Dataset, records: str) -> list[Any]:
    """What the validator's own reader makes of a record set, texts decoded."""
    return [_decoded(row) for row in found.records(records)]


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: _decoded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_decoded(inner) for inner in value]
    return value.decode() if isinstance(value, bytes) else value


def test_the_document_of_a_card_is_accepted_and_names_the_files_by_their_content(tmp_path: Path) -> None:
    build = ecom(tmp_path).write()
    write_card(build, tmp_path / "cards")
    path = tmp_path / "cards" / "ecom_v3" / "croissant.json"
    for file in build.glob("*.json"):
        shutil.copy(file, path.parent)  # the validator looks for the files beside the document
    found = accepted(path)
    assert found.metadata.issues.report() == "", "not even a recommendation is left"
    assert [records.id for records in found.metadata.record_sets] == ["train", "validation", "general"]
    document = json.loads(path.read_text("utf-8"))
    for file in document["distribution"]:
        data = (build / file["contentUrl"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert file["contentSize"] == f"{len(data)} B"
    assert document["license"] == "CC-BY-4.0"
    for part, name in (("train", "ecom_v3_train.json"), ("general", "ecom_v3_general.json")):
        assert rows(found, part) == json.loads((build / name).read_text("utf-8"))


def test_datasets_loads_a_build_by_the_head_of_its_card(tmp_path: Path) -> None:
    build = ecom(tmp_path).write()
    write_card(build, tmp_path / "cards")
    shutil.copy(tmp_path / "cards" / "ecom_v3.md", build / "README.md")
    found = datasets.load_dataset(str(build), cache_dir=str(tmp_path / "cache"))
    head = yaml.safe_load((build / "README.md").read_text("utf-8").split("---\n")[1])
    names = [entry["split"] for entry in head["configs"][0]["data_files"]]
    assert sorted(found) == sorted(names) == ["general", "train", "validation"]
    assert found["train"].num_rows == 137
    assert found["train"][0]["messages"][-1]["role"] == "assistant"


def test_the_document_of_the_hub_folder_is_accepted_and_names_the_columns(tmp_path: Path) -> None:
    build, _ = emit(Hub(), tmp_path, several(tmp_path))
    found = accepted(build / "hub" / "croissant.json")
    [train, _, _] = found.metadata.record_sets
    loaded = datasets.load_dataset(str(build / "hub"), cache_dir=str(tmp_path / "cache"))
    columns = loaded["train"].column_names
    assert [field.id for field in train.fields] == [f"train/{name}" for name in columns]


def test_an_edited_document_is_set_aside(tmp_path: Path) -> None:
    build, kept = ecom(tmp_path).write(), dict[Path, Path]()
    write_card(build, tmp_path / "cards")
    path = tmp_path / "cards" / "ecom_v3" / "croissant.json"
    write_card(build, tmp_path / "cards", kept.__setitem__)
    assert is_own(path.read_text("utf-8"))
    assert kept == {}
    path.write_text(path.read_text("utf-8").replace("CC-BY-4.0", "mine"), "utf-8")
    write_card(build, tmp_path / "cards", kept.__setitem__)
    assert "mine" in kept[path].read_text("utf-8")


def test_the_rows_of_the_hub_folder_are_read_with_their_pictures(tmp_path: Path) -> None:
    build, _ = emit(Hub(), tmp_path, several(tmp_path))
    found = accepted(build / "hub" / "croissant.json")
    loaded = datasets.load_dataset(str(build / "hub"), cache_dir=str(tmp_path / "cache"))
    for part, expected in loaded.items():
        read = rows(found, str(part))
        assert [row["id"] for row in read] == expected["id"]
        assert [row["messages"] for row in read] == expected["messages"]
        assert [row["reason"] for row in read] == expected["reason"]
        for row, other in zip(read, expected, strict=True):
            assert [image.size for image in row["images"]] == [image.size for image in other["images"]]


def test_all_files_of_a_split_are_in_its_record_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_SHARD_BYTES", 1)
    build, artifacts = emit(Hub(), tmp_path, several(tmp_path))
    assert len([item for item in artifacts if "train-" in item.path]) > 1
    read = rows(accepted(build / "hub" / "croissant.json"), "train")
    loaded = datasets.load_dataset(str(build / "hub"), cache_dir=str(tmp_path / "cache"))
    assert [row["id"] for row in read] == loaded["train"]["id"]


HOSTILE = [
    "a b",
    "50%",
    "100%25",
    "#1",
    "价格 (元)",
    "<script>",
    '"quotes"',
    "it's",
    "a/b",
    "x[0]",
    "a\\b",
    "?*",
]


@pytest.mark.parametrize("name", ["shop", *HOSTILE])
def test_a_hostile_name_is_accepted_wherever_it_stands(tmp_path: Path, name: str) -> None:
    rows_of_it = {"id": ["1", "2"], name: [3, None], "notes": [[{name: "text"}], []]}
    frame = pl.DataFrame(rows_of_it, schema_overrides={"notes": pl.List(pl.Struct({name: pl.String}))})
    files = []
    for number, split in enumerate(("one", "two", "two")):
        path = tmp_path / f"{number}{name.replace('/', '-')}.parquet"
        frame.write_parquet(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append(File(path.name, split, digest, path.stat().st_size, frame.schema))
    (tmp_path / "croissant.json").write_text(croissant(name, name, name, files, {"citeAs": name}), "utf-8")
    found = accepted(tmp_path / "croissant.json")
    assert found.metadata.name == name
    for split, files_of_it in (("one", 1), ("two", 2)):
        read = list(found.records(split))
        assert len(read) == 2 * files_of_it
        first, number, notes = read[0].values()
        assert (first, number, [list(note.values()) for note in notes]) == (b"1", 3, [[b"text"]])


def test_every_type_of_column_is_read_or_left_out(tmp_path: Path) -> None:
    one: dict[str, Any] = {
        "bool": True,
        "int": 1,
        "float": 0.5,
        "time": datetime.time(3, 1),
        "bytes": b"\xff",
        "list": ["a", None],
        "lists": [[1.0, 2.0], [3.0]],
        "record": {"a": 1},
        "records": [{"a": 1, "box": [1.0, 2.0]}, {"a": None, "box": None}],
    }
    unsaid = {"duration": datetime.timedelta(1), "deep": [{"parts": [{"kind": "text"}]}]}
    whole = one | unsaid
    frame = pl.DataFrame([{"id": "1", **whole}, {"id": "2", **dict.fromkeys(whole)}])
    path = tmp_path / "x.parquet"
    frame.write_parquet(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = File(path.name, "train", digest, path.stat().st_size, frame.schema)
    (tmp_path / "croissant.json").write_text(croissant("n", "d", "l", [file], {"citeAs": "n"}), "utf-8")
    first, second = accepted(tmp_path / "croissant.json").records("train")
    assert first.pop("train/bytes") == one.pop("bytes")
    assert _decoded(first) == {"id": "1", **one}
    assert [value for key, value in second.items() if key in ("train/int", "train/list")] == [None, None]
