"""A run's folder: what is whole, what is half-written, how far it came."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.packed import PackedData
from datakit.bundling.packed import packed_of
from datakit.core.errors import UserError
from datakit.training.progress import TrainingProgress
from datakit.training.run_folder import RunFolder, checkpoints, has_weights
from tests.support.fake_trainer import write_checkpoint, write_model


def test_checkpoints_are_told_whole_from_half_written_in_order_of_their_steps(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        write_checkpoint(tmp_path / f"checkpoint-{step}")
    write_checkpoint(tmp_path / "checkpoint-11", whole=False)
    (tmp_path / "checkpoint-best").mkdir()  # not the trainer's
    whole, half = checkpoints(tmp_path)
    assert [path.name for path in whole] == ["checkpoint-2", "checkpoint-9", "checkpoint-10"]
    assert [path.name for path in half] == ["checkpoint-11"]


def test_checkpoint_with_weights_cut_short_is_half_written(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint-1")
    write_model(tmp_path / "checkpoint-1", cut=5)
    assert checkpoints(tmp_path)[0] == []


def test_checkpoint_whose_state_is_half_a_json_is_half_written(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint-1")
    (tmp_path / "checkpoint-1" / "trainer_state.json").write_text('{"epoch": 1')
    assert checkpoints(tmp_path)[0] == []


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("optimizer.pt", b""),
        ("optimizer.pt", b"PK"),
        ("rng_state.pth", b"half"),
        ("global_step3/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", b"half"),
        ("tokenizer.json", b'{"model": '),
    ],
)
def test_checkpoint_with_a_file_cut_short_is_half_written(tmp_path: Path, name: str, rest: bytes) -> None:
    checkpoint = tmp_path / "checkpoint-3"
    write_checkpoint(checkpoint)
    file = checkpoint / name
    file.parent.mkdir(exist_ok=True)
    (checkpoint / "latest").write_text("global_step3")
    (checkpoint / "global_step3").mkdir(exist_ok=True)
    archive = saved()
    file.write_bytes(archive if file.suffix != ".json" else b"{}")
    assert checkpoints(tmp_path) == ([checkpoint], [])
    file.write_bytes(archive[: len(archive) // 2] if rest == b"half" else rest)
    assert checkpoints(tmp_path) == ([], [checkpoint])


def saved() -> bytes:
    """A file as torch saves it: a ZIP archive, whose entries are not compressed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
        archive.writestr("archive/data/0", bytes(4096))
    return stream.getvalue()


def test_optimizer_states_in_torchs_older_format_are_whole(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "checkpoint-3")
    (tmp_path / "checkpoint-3" / "optimizer.pt").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    assert checkpoints(tmp_path)[0]


def test_deepspeed_checkpoint_is_whole_when_latest_names_its_states(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-3"
    write_checkpoint(folder)
    (folder / "global_step3").mkdir()
    assert checkpoints(tmp_path)[0] == []
    (folder / "latest").write_text("global_step3")
    assert checkpoints(tmp_path)[0] == [folder]


def test_sharded_weights_count_only_with_every_shard(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    write_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert not has_weights(tmp_path)
    (tmp_path / "model-2.safetensors").write_bytes((tmp_path / "model-1.safetensors").read_bytes())
    assert has_weights(tmp_path)


def test_progress_is_the_last_whole_line(make_build: Callable[..., Path]) -> None:
    run = RunFolder.of(make_build())
    assert run.progress() == TrainingProgress()
    run.trained.mkdir(parents=True)
    (run.trained / "trainer_log.jsonl").write_text('{"current_steps": 1}\n{"current_steps": 2}\n{"curr')
    assert run.progress() == TrainingProgress(step=2)


def test_trained_served_and_logs_stand_side_by_side_beside_the_build(make_build: Callable[..., Path]) -> None:
    build = make_build()
    run = RunFolder.of(build)
    assert run.folder.parent == build.parent / "screens-runs"
    assert {run.trained.parent, run.served.parent, run.logs.parent} == {run.folder}
    assert run.folder.name.startswith("lora-")


def test_folder_without_training_configuration_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no build"):
        RunFolder.of(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no train\.yaml") as caught:
        RunFolder.of(tmp_path)
    assert "`train:` section" in caught.value.remedy


def packed(build: Path, **changes: object) -> PackedData:
    """The data set as a bundle carries it."""
    document = json.loads(packed_of(BuildFolder(build)).to_line()) | changes
    (build / "packed.json").write_text(json.dumps(document))
    return PackedData(build)


def test_run_of_a_bundle_is_that_of_its_build(make_build: Callable[..., Path]) -> None:
    build = make_build(deepspeed="z2", gpus=4, nodes=2)
    home, away = RunFolder.of(build), RunFolder.packed(packed(build))
    for name in ("keys", "export_keys", "gpus", "nodes", "folder", "trained", "served", "method"):
        assert getattr(away, name) == getattr(home, name), name
    assert away.deepspeed() == home.deepspeed()
    assert away.deepspeed() is not None
    assert (home.command("train"), away.command("train")) == (f"datakit train {build}", "./run.sh train")


@pytest.mark.parametrize(("method", "merged"), [("lora", ["model_name_or_path=/other"]), ("full", [])])
def test_another_base_is_trained_and_an_adapter_merged_into_it(
    make_build: Callable[..., Path], method: str, merged: list[str]
) -> None:
    run = RunFolder.packed(packed(make_build(method=method)), base="/other")
    assert run.keys["model_name_or_path"] == "/other"
    assert run.train_words == ["model_name_or_path=/other"]
    assert run.export_words == merged
    assert (run.export_keys["model_name_or_path"] == "/other") == bool(merged)


def test_bundle_packed_before_it_carried_its_training_says_what_to_do(
    make_build: Callable[..., Path],
) -> None:
    data = packed(make_build())
    document = json.loads((data.path / "packed.json").read_text())
    for name in ("training", "export", "deepspeed", "gpus", "nodes", "serving"):
        del document[name]
    (data.path / "packed.json").write_text(json.dumps(document))
    old = PackedData(data.path)
    assert old.packed.gpus == 1  # it is read all the same: asking and scoring need nothing of it
    with pytest.raises(UserError, match="holds no training keys") as caught:
        RunFolder.packed(old)
    assert "datakit bundle" in caught.value.remedy


def test_damaged_configuration_is_no_traceback(make_build: Callable[..., Path]) -> None:
    build = make_build()
    (build / "train.yaml").write_text("a: [")
    with pytest.raises(UserError, match="is not YAML"):
        RunFolder.of(build)
