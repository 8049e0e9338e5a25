"""A checkpoint's weights have the names of the model in memory before a training goes on from it."""

from __future__ import annotations

import errno
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from datakit.core.errors import UserError
from datakit.training.checkpoint_names import in_memory, mend_names
from datakit.training.run_folder import has_weights
from datakit.training.safetensors import header

OLD = (
    "lm_head.weight",
    "model.embed_tokens.weight",
    "model.layers.0.mlp.up_proj.weight",
    "visual.merger.ln_q.weight",
)
NEW = {
    "lm_head.weight",
    "model.language_model.embed_tokens.weight",
    "model.language_model.layers.0.mlp.up_proj.weight",
    "model.visual.merger.ln_q.weight",
}


def write(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """A safetensors file whose tensors all differ; their bytes by their names."""
    values = {name: bytes([at + 1]) * 16 for at, name in enumerate(names)}
    tensors: dict[str, Any] = {
        name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * at, 16 * at + 16]}
        for at, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(values.values()))
    return values


def read(path: Path) -> dict[str, bytes]:
    """The bytes of a file's tensors by their names."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert json.loads(data[8 : 8 + length])["__metadata__"] == {"format": "pt"}
    begins = {name: tensor["data_offsets"] for name, tensor in (header(path) or {}).items()}
    return {name: data[8 + length :][begin:end] for name, (begin, end) in begins.items()}


def checkpoint(folder: Path, names: tuple[str, ...] = OLD, *, shards: int = 1, **config: str) -> Path:
    """A checkpoint's folder of a Qwen2.5-VL as transformers saves it."""
    folder.mkdir()
    told = {"model_type": "qwen2_5_vl", "transformers_version": "5.6.0", **config}
    (folder / "config.json").write_text(json.dumps(told))
    if shards == 1:
        write(folder / "model.safetensors", names)
        return folder
    weight_map = {}
    for at in range(shards):
        file = f"model-{at + 1:05}-of-{shards:05}.safetensors"
        write(folder / file, names[at::shards])
        weight_map |= dict.fromkeys(names[at::shards], file)
    index = {"metadata": {"total_size": 64}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def names_of(folder: Path) -> set[str]:
    return {name for path in folder.glob("*.safetensors") for name in header(path) or {}}


def index_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "model.safetensors.index.json").read_bytes())
    return found


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl"])
def test_every_weight_has_the_name_of_the_model_in_memory_and_its_own_bytes(
    tmp_path: Path, family: str
) -> None:
    place = checkpoint(tmp_path / "checkpoint-2", model_type=family)
    before = read(place / "model.safetensors")
    assert mend_names(place) == 3
    after = read(place / "model.safetensors")
    assert (
        struct.unpack("<Q", (place / "model.safetensors").read_bytes()[:8])[0] % 8 == 0
    )  # as readers expect
    assert after.keys() == NEW
    assert after == {in_memory(name): value for name, value in before.items()}
    assert has_weights(place)


def test_tied_model_is_mended_without_the_second_name_of_its_words(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "checkpoint-2", OLD[1:])
    assert mend_names(place) == 3
    assert names_of(place) == NEW - {"lm_head.weight"}


def test_shards_and_their_index_are_mended_alike(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "checkpoint-2", shards=2)
    assert mend_names(place) == 3
    index = index_of(place)
    assert names_of(place) == index["weight_map"].keys() == NEW
    assert all(name in (header(place / file) or {}) for name, file in index["weight_map"].items())
    assert index["metadata"] == {"total_size": 64}
    assert has_weights(place)


def test_mended_checkpoint_is_not_written_again(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "checkpoint-2", shards=2)
    mend_names(place)
    before = {path.name: (path.stat().st_ino, path.read_bytes()) for path in place.iterdir()}
    assert mend_names(place) == 0
    assert {path.name: (path.stat().st_ino, path.read_bytes()) for path in place.iterdir()} == before


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "qwen3_vl"},
        {"model_type": "llava"},
        {"transformers_version": "4.51.3"},  # its model in memory has these names itself
    ],
)
def test_checkpoint_whose_names_are_right_is_left_as_it_is(tmp_path: Path, config: dict[str, str]) -> None:
    place = checkpoint(tmp_path / "checkpoint-2", **config)
    assert mend_names(place) == 0
    assert names_of(place) == set(OLD)


@pytest.mark.parametrize("version", ["4.55.4", "4.57.1", "5.0.0rc1", ""])
def test_every_version_that_the_trainer_allows_gets_the_names_of_its_model(
    tmp_path: Path, version: str
) -> None:
    assert mend_names(checkpoint(tmp_path / "checkpoint-2", transformers_version=version)) == 3


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": ["qwen2_vl"]}', None])
def test_checkpoint_without_a_readable_config_is_left_as_it_is(tmp_path: Path, text: str | None) -> None:
    place = checkpoint(tmp_path / "checkpoint-2")
    (place / "config.json").unlink()
    if text is not None:
        (place / "config.json").write_text(text)
    assert mend_names(place) == 0


def test_index_that_names_a_file_elsewhere_reaches_nothing_outside_the_checkpoint(tmp_path: Path) -> None:
    write(tmp_path / "other.safetensors", OLD)
    place = checkpoint(tmp_path / "checkpoint-2", shards=2)
    index = index_of(place)
    index["weight_map"]["visual.x"] = "../other.safetensors"
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    mend_names(place)
    assert set(header(tmp_path / "other.safetensors") or {}) == set(OLD)


def test_file_in_which_two_tensors_would_have_one_name_is_left_as_it_is(tmp_path: Path) -> None:
    names = ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight")
    place = checkpoint(tmp_path / "checkpoint-2", names)
    assert mend_names(place) == 0
    assert names_of(place) == set(names)


@pytest.mark.fault(
    "datakit is killed while it gives a checkpoint's weights other names, before, between or behind shards",
    "every file is the old one or the new one, and the next start does what is left",
    kind="processes",
)
@pytest.mark.parametrize("moment", range(3))
def test_renaming_that_is_killed_at_any_file_is_done_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    place = checkpoint(tmp_path / "checkpoint-2", shards=2)
    real, done = os.replace, list[str]()

    def killed(source: Any, target: Any) -> None:
        if len(done) == moment:
            raise KeyboardInterrupt
        done.append(str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        mend_names(place)
    assert has_weights(place)
    monkeypatch.setattr(os, "replace", real)
    (place / "model-00001-of-00002.safetensors.renaming").write_bytes(b"half of what a kill has left")
    mend_names(place)
    assert names_of(place) == index_of(place)["weight_map"].keys() == NEW


def test_disk_without_room_for_the_new_file_is_told_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = checkpoint(tmp_path / "checkpoint-2")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="checkpoint-2 must get other names") as caught:
        mend_names(place)
    assert "room for the largest file" in caught.value.remedy
    assert [path.name for path in place.iterdir() if "renaming" in path.name] == []
    assert names_of(place) == set(OLD)
