"""`datakit export`: a served model is whole, has the base model's tensors, processor and chat template."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.training.export import Exported, ExportFailed, export
from datakit.training.launch import Place, train
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder
from tests.support.fake_trainer import calls, write_model

Make = Callable[..., Path]


@pytest.fixture
def run(make_build: Make, trainer: Path) -> RunFolder:
    """A trained build."""
    found = RunFolder.of(make_build())
    train(found, Place(cpu=True), lambda line: None, check_machine=check_machine)
    return found


def exported(run: RunFolder) -> tuple[Exported, list[str]]:
    said: list[str] = []
    return export(run, None, said.append), said


def test_served_model_is_put_in_place_when_it_is_right(run: RunFolder) -> None:
    done, _ = exported(run)
    assert (done.served, done.tensors, done.already) == (str(run.served), 3, False)
    assert (run.served / "chat_template.jinja").is_file()
    assert not list(run.folder.glob("*.part"))


def test_export_is_not_repeated_unless_the_model_was_damaged(run: RunFolder, trainer: Path) -> None:
    exported(run)
    assert exported(run)[0].already
    assert len(calls(trainer.parent)) == 2  # one training, one export
    write_model(run.served, cut=3)
    assert not exported(run)[0].already


def test_model_that_no_export_made_is_kept(run: RunFolder) -> None:
    run.served.mkdir(parents=True)
    (run.served / "mine.txt").write_text("precious")
    part = run.served.with_name(f"{run.served.name}.part")
    part.mkdir()
    (part / "mine.txt").write_text("precious too")
    _, said = exported(run)
    kept = run.folder.glob("served*kept-*/mine.txt")
    assert sorted(path.read_text() for path in kept) == ["precious", "precious too"]
    assert sum("was not made by `datakit export`" in line for line in said) == 2
    (run.served / "notes.txt").write_text("added by hand")
    write_model(run.served, cut=3)
    exported(run)
    assert [path.read_text() for path in run.folder.glob("served.kept-*/notes.txt")] == ["added by hand"]


def test_export_that_nobody_touched_is_replaced(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(run)
    answers = iter([["it is of another training"], [], []])
    monkeypatch.setattr("datakit.training.export.problems", lambda folder, run: next(answers))
    assert not exported(run)[0].already
    assert list(run.folder.glob("*kept-*")) == []


def test_what_the_trainer_left_out_comes_from_the_base_model(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "no_template")
    done, said = exported(run)
    assert any("chat_template.jinja was copied" in line for line in said)
    assert (Path(done.served) / "chat_template.jinja").is_file()


def test_renamed_tensor_is_found_and_nothing_is_served(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "renamed")
    with pytest.raises(ExportFailed) as caught:
        exported(run)
    assert "1 tensors are missing against the base model, such as visual.merger.mlp.0.weight" in str(
        caught.value
    )
    assert not run.served.exists()


def test_both_spellings_of_transformers_are_the_same_tensors(run: RunFolder) -> None:
    exported(run)
    spelled = ("model.language_model.embed_tokens.weight", "model.language_model.layers.0.mlp.up_proj.weight")
    write_model(run.served, (*spelled, "model.visual.merger.mlp.0.weight"))
    assert exported(run)[0].already


def test_adapter_is_never_merged_into_a_quantised_base(run: RunFolder, trainer: Path) -> None:
    base = Path(str(run.keys["model_name_or_path"]))
    config = json.loads((base / "config.json").read_text())
    changed = {**config, "quantization_config": {"quant_method": "awq"}}
    (base / "config.json").write_text(json.dumps(changed))
    try:
        with pytest.raises(UserError, match=r"is quantised \(awq\)") as caught:
            exported(run)
    finally:
        (base / "config.json").write_text(json.dumps(config))
    assert "--enable-lora" in caught.value.remedy
    assert len(calls(trainer.parent)) == 1


def test_untrained_build_is_told_to_train_first(make_build: Make, trainer: Path) -> None:
    with pytest.raises(UserError, match="holds no trained model") as caught:
        exported(RunFolder.of(make_build()))
    assert "datakit train" in caught.value.remedy


def test_full_training_is_exported_from_its_own_weights(make_build: Make, trainer: Path) -> None:
    run = RunFolder.of(make_build(method="full"))
    assert run.export_keys["model_name_or_path"] == run.keys["output_dir"]
    assert "adapter_name_or_path" not in run.export_keys
