"""Settings that fail, harm or never fire are found where they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datakit.checking.check import Check, Report
from datakit.checking.training import Training
from datakit.core.errors import UserError
from tests.support.data_folder import SHARED, DataFolder, good, picture


def check(folder: DataFolder, settings: dict[str, Any], rows: int = 64, **more: Any) -> Report:
    lines = [{**good(), "images": []}] * rows
    return Check(Training.load(folder.write(lines, None, settings), **more)).run()


@pytest.mark.parametrize("lines", ["learning_rate: 1e-4", "image_max_pixels: 589824.0", "val_size: 0.1"])
def test_numbers_as_the_trainer_takes_them_are_right(folder: DataFolder, lines: str) -> None:
    path = folder.write([{**good(), "images": []}] * 4)
    path.write_text(f"{path.read_text()}{lines}\n")
    findings = Check(Training.load(path)).run().findings.all
    assert not [finding for finding in findings if finding.code == "setting_type"]


ZERO3 = {"zero_optimization": {"stage": 3}}
EVAL = {"eval_dataset": "set", "eval_strategy": "steps"}


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"learnin_rate": 1e-4}, "setting_unknown", "`learnin_rate`"),
        ({"evaluation_strategy": "steps"}, "setting_unknown", "`evaluation_strategy`"),
        ({"warmup_ratio": 0.1}, "setting_deprecated", "`warmup_ratio`"),
        ({"dataset": {"a": "b"}}, "setting_type", "`dataset` is {'a': 'b'}; it must be a text"),
        ({"dataset": ["set", None]}, "setting_type", "`dataset` has None; it must be a list of names"),
        ({"dataset": 5}, "setting_type", "`dataset` is the number 5; it must be a text"),
        ({"report_to": {"a": 1}}, "setting_type", "a text, a number or a list"),
        ({"per_device_train_batch_size": 0}, "setting_type", "must be at least 1"),
        ({"learning_rate": -0.1}, "setting_type", "must be above 0"),
        ({"cutoff_len": 1_000_000_000}, "setting_type", "must be at most 4,194,304"),
        ({"num_train_epochs": 1e300}, "setting_type", "must be at most 10,000"),
        ({"learning_rate": "null"}, "setting_type", "`learning_rate`"),
        ({"lr_scheduler_type": "cosin"}, "setting_type", "Did you mean `cosine`?"),
        ({"batch_size": 4}, "setting_unknown", "`batch_size`"),
        ({"max_length": 2048, "do_train": True}, "setting_misread", "`max_length` changes nothing here"),
        (
            {**EVAL, "eval_steps": 2, "save_steps": 6, "load_best_model_at_end": True},
            *("best_unsaved", "evaluated every 2 steps, saved every 6: the best one may be lost"),
        ),
        ({"cutoff_len": "many"}, "setting_type", "`cutoff_len` is 'many'"),
        ({"cutoff_len": "64"}, "setting_type", "`cutoff_len` is the text '64'"),
        ({"max_samples": "5"}, "setting_type", "without quotes"),
        ({"val_size": "0.1"}, "setting_type", "`val_size` is the text '0.1'"),
        ({"learning_rate": "0.0001"}, "setting_type", "without quotes"),
        ({"cutoff_len": 2048.0}, "setting_type", "`cutoff_len` is 2048.0; it must be a whole number"),
        ({"bf16": "yes please"}, "setting_type", "`bf16`"),
        ({"mix_strategy": "concatt"}, "setting_type", "concat"),
        ({"val_size": 0.1, "eval_dataset": "set"}, "setting_clash", "`val_size` beside `eval_dataset`"),
        ({"val_size": 0.1}, "split_leaks", "0.1"),
        ({"val_size": 64}, "setting_clash", "64 rows"),
        ({"streaming": True}, "setting_clash", "`max_steps`"),
        ({"streaming": True, "max_steps": 5, "max_samples": 3}, "setting_clash", "`max_samples`"),
        ({"mask_history": True, "train_on_prompt": True}, "setting_clash", "`train_on_prompt`"),
        ({"do_eval": True}, "setting_clash", "`eval_dataset`"),
        ({"do_predict": True, "eval_dataset": "set"}, "setting_clash", "`predict_with_generate`"),
        (
            {
                "predict_with_generate": True,
                "eval_dataset": "set",
                "deepspeed": {"zero_optimization": {"stage": 3}},
            },
            "setting_clash",
            "ZeRO-3",
        ),
        (
            {**EVAL, "eval_steps": 1000, "save_steps": 1000, "load_best_model_at_end": True},
            "never_fires",
            "the training has 64 steps",
        ),
        ({"logging_steps": 100}, "never_fires", "`logging_steps` is 100"),
        ({"warmup_steps": 64}, "never_fires", "the learning rate is never reached"),
        (
            {**EVAL, "eval_steps": 4, "save_steps": 6, "load_best_model_at_end": True},
            "setting_clash",
            "multiple",
        ),
        ({"eval_dataset": "set", "load_best_model_at_end": True}, "setting_clash", "one strategy"),
        ({"early_stopping_steps": 3}, "setting_clash", "`load_best_model_at_end`"),
        ({"interleave_probs": "0.5,0.5"}, "setting_clash", "interleaving"),
        ({"mix_strategy": "interleave_over", "interleave_probs": "0.5,0.5"}, "setting_clash", "1 data sets"),
        ({"mix_strategy": "interleave_over", "interleave_probs": "0.5"}, "setting_clash", "sum to 0.5"),
        ({"image_max_pixels": 100}, "setting_clash", "`image_min_pixels`"),
        ({"deepspeed": "gone.json"}, "setting_file", "gone.json"),
        ({"template": None}, "template_absent", "`template`"),
        ({"model_name_or_path": None}, "setting_missing", "`model_name_or_path`"),
        ({"model_name_or_path": "Qwen/Qwen2.5-VL-7B-Instrct"}, "model_misspelt", "Instrct"),
        ({"model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"}, "template_family", "texts alone"),
        ({"template": "qwen2_5_vl"}, "template_unknown", "`qwen2_5_vl`"),
        ({"template": "llava"}, "template_family", "`llava`"),
        ({"template": "qwen3_vl_nothink"}, "template_family", "Qwen2.5-VL-7B-Instruct"),
        (
            {"template": "qwen3_vl", "model_name_or_path": "Qwen/Qwen3-VL-8B-Instruct"},
            "template_thinks",
            "does not think",
        ),
        ({"finetuning_type": "full", "quantization_bit": 4}, "quantised", "full"),
        ({"quantization_bit": 4, "resize_vocab": True}, "quantised", "vocabulary"),
        ({"quantization_bit": 4, "export_dir": "out", "adapter_name_or_path": "a"}, "quantised", "merged"),
        ({"export_quantization_bit": 4}, "quantised", "`export_quantization_dataset`"),
        ({"quantization_bit": 4}, "quantised_base", "4 bits"),
        ({"packing": True}, "packing", "`neat_packing`"),
        ({"tokenized_path": "."}, "stale_cache", "exists"),
        ({"finetuning_type": "full"}, "vision_frozen", "`freeze_vision_tower`"),
        ({"stage": "pt"}, "stage_unchecked", "pt"),
        ({"stage": "dpo"}, "not_ranked", "dpo"),
        ({"stage": "kto"}, "not_marked", "kto"),
    ],
)
def test_fault_of_a_setting_is_found(
    folder: DataFolder, settings: dict[str, Any], code: str, words: str
) -> None:
    found = [finding for finding in check(folder, settings).findings.all if finding.code == code]
    assert len(found) == 1
    assert words in found[0].message
    lines = (folder.path / "train.yaml").read_text().splitlines()
    named = [key for key in settings if settings[key] is not None and f"`{key}`" in found[0].message]
    if named:
        number = int(found[0].where.rpartition(":")[2])
        assert lines[number - 1].partition(":")[0] in named


def test_plain_settings_have_no_findings(folder: DataFolder) -> None:
    assert check(folder, {**EVAL, "eval_steps": 8, "save_steps": 8, "warmup_steps": 6}).findings.all == []


def test_unknown_key_gets_a_proposal(folder: DataFolder) -> None:
    (found,) = check(folder, {"learnin_rate": 1e-4}).findings.all
    assert found.remedy == "Did you mean `learning_rate`?"


def test_another_tools_word_gets_the_trainers_own(folder: DataFolder) -> None:
    findings = check(folder, {"batch_size": 4, "model_id": "x"}).findings.all
    remedies = [finding.remedy for finding in findings if finding.code == "setting_unknown"]
    assert "`per_device_train_batch_size: 4`" in remedies[0]
    assert "`model_name_or_path`" in remedies[1]


def test_steps_follow_gpus_and_accumulation(folder: DataFolder) -> None:
    settings = {"gradient_accumulation_steps": 4, "num_train_epochs": 2.0}
    assert check(folder, settings).steps == 32
    assert check(folder, settings, gpus=2).steps == 16
    assert check(folder, {**settings, "max_steps": 5}).steps == 5
    assert check(folder, {**settings, "neat_packing": True}).steps is None


def test_text_rows_beside_pictures_are_fine_under_zero3(folder: DataFolder) -> None:
    """The trainer's collator puts a small picture into batches of text (LLaMA-Factory 0.9.5)."""
    shown = picture(folder.path, "a.png")
    path = folder.write([good([shown]), good()], None, {"deepspeed": ZERO3})
    assert Check(Training.load(path)).run().findings.all == []


@pytest.mark.parametrize(
    "settings",
    [
        {"save_steps": 1000},  # the last step is saved all the same
        {**EVAL, "eval_steps": 1000},  # it evaluates in the end
        {"logging_steps": 1000, "logging_first_step": True},
        {"max_samples": 10},
        {"finetuning_type": "full", "template": "qwen", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct"},
    ],
)
def test_settings_that_do_no_harm_are_not_warned_of(folder: DataFolder, settings: dict[str, Any]) -> None:
    path = folder.write([good()] * 64, None, {"deepspeed": None, **settings})
    codes = {finding.code for finding in Check(Training.load(path)).run().findings.all}
    assert codes <= {"no_picture"}


def test_changes_win_over_the_file(folder: DataFolder) -> None:
    path = folder.write([good([picture(folder.path, "a.png", 900, 900)])])
    report = Check(Training.load(path, ["cutoff_len=100"])).run()
    assert [finding.code for finding in report.findings.all] == ["image_cut", "prompt_cut"]
    with pytest.raises(UserError, match="KEY=VALUE"):
        Training.load(path, ["cutoff_len"])


def test_proposal_fits_the_rows_and_prices_the_pixels(folder: DataFolder) -> None:
    shown = picture(folder.path, "a.png", 1080, 2340)
    rows = [good([shown])] * 99 + [good([shown, shown])]
    found = Check(Training.load(folder.write(rows))).run().proposal
    assert found is not None
    own = next(choice for choice in found.choices if choice.image_max_pixels == 589_824)
    assert own.cost == 1.0
    assert own.image_tokens == 760 * 101
    assert found.fits_99 < found.fits_all < 2048
    raised = Training.load(folder.path / "train.yaml", [f"cutoff_len={found.fits_all}"])
    assert Check(raised).run().findings.all == []
    lowered = Training.load(folder.path / "train.yaml", [f"cutoff_len={found.fits_99}"])
    assert Check(lowered).run().tallies[0].cut == 1
    larger = next(choice for choice in found.choices if choice.image_max_pixels == 1_003_520)
    changed = ["image_max_pixels=1003520", f"cutoff_len={larger.fits_all}"]
    again = Check(Training.load(folder.path / "train.yaml", changed)).run()
    assert again.findings.all == []
    assert sum(tally.text_tokens + tally.image_tokens for tally in again.tallies) == larger.tokens


def test_proposal_fits_the_rows_that_are_held_out_too(folder: DataFolder) -> None:
    small = good([picture(folder.path, "b.png")])
    shown = picture(folder.path, "a.png", 1080, 2340)
    alone = Check(Training.load(folder.write([small]))).run().proposal
    folder.write([good([shown])], file="held_out.json")
    train_yaml = folder.write([small], settings={"eval_dataset": "held_out"})
    index = {name: {"file_name": f"{name}.json", **SHARED} for name in ("set", "held_out")}
    (folder.path / "dataset_info.json").write_text(json.dumps(index), "ascii")
    report = Check(Training.load(train_yaml)).run()
    assert alone is not None
    assert report.proposal is not None
    assert report.proposal.fits_all >= max(tally.longest for tally in report.tallies) > alone.fits_all
    costs = [[choice.tokens for choice in found.choices] for found in (alone, report.proposal)]
    assert costs[0] == costs[1]  # of an epoch: held-out rows are no part of it


def test_file_that_is_no_mapping_is_refused(folder: DataFolder) -> None:
    (folder.path / "t.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="keys and values"):
        Training.load(folder.path / "t.yaml")


@pytest.mark.fault(
    "A trainer's configuration holds infinity or no number",
    "A finding with the key and its line",
    kind="bounds",
)
@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "inf", "'nan'"])
@pytest.mark.parametrize(
    "key",
    [
        "cutoff_len",
        "num_train_epochs",
        "learning_rate",
        "image_max_pixels",
        "max_steps",
        "max_samples",
        "save_steps",
        "val_size",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
    ],
)
def test_a_number_that_is_none_is_found(folder: DataFolder, key: str, value: str) -> None:
    path = folder.write([good([picture(folder.path, "a.png", 900, 900)])])
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith(f"{key}:")]
    path.write_text("\n".join([*lines, f"{key}: {value}", ""]), "utf-8")
    findings = Check(Training.load(path)).run().findings.all
    types = [finding for finding in findings if finding.code == "setting_type"]
    assert len(types) == 1
    assert f"`{key}`" in str(types[0])


@pytest.mark.parametrize(
    "line",
    [
        r'dataset_dir: "\0"',
        r'media_dir: "a\0b"',
        r'"data\0set": s',
        r'deepspeed: {"\0": [1]}',
        r'dataset: ["\0"]',
    ],
)
def test_a_nul_character_is_refused_where_it_stands(folder: DataFolder, line: str) -> None:
    path = folder.write([{**good(), "images": []}] * 4)
    path.write_text(f"{line}\n")
    with pytest.raises(UserError, match=r"a NUL character \(\\0\) stands in") as caught:
        Training.load(path)
    assert caught.value.where.endswith("train.yaml:1")
