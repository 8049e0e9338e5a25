"""What a card says for programs: Croissant's own validator accepts it, and `datasets` loads its files."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import datasets
import mlcroissant
import yaml

from datakit.cards.write import write_card
from datakit.core.croissant import is_own
from datakit.emit.hub import Hub
from tests.support.card_builds import ecom
from tests.support.emitter_records import emit, several


def accepted(path: Path) -> mlcroissant.Dataset:
    """The document as the validator reads it, which raises for an error and lists what it recommends."""
    found = mlcroissant.Dataset(jsonld=str(path))
    assert not found.metadata.issues.errors
    return found


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
