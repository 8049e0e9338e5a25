"""Whole data sets and configurations: `datakit check` finds an error exactly where LLaMA-Factory stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.checking.check import Check
from datakit.checking.templates import TEMPLATES, media_of
from datakit.checking.training import Training
from tests.support.data_folder import SETTINGS, SHARED, TAGS, good, picture

pytestmark = pytest.mark.trainer

TEXT, SEEN = good(), good(["a.png"])
ALPACA = {"instruction": "写", "input": "", "output": "诗"}
COLUMNS = {**SHARED, "columns": {"messages": "messages", "images": "images", "system": "system"}}
PLAIN: dict[str, Any] = {}
Files = dict[str, tuple[list[Any] | bytes, dict[str, Any]]]


def lines(rows: list[Any]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


CASES: dict[str, tuple[Files, dict[str, Any], bool]] = {
    # name: files, settings, whether it loads
    "text and picture rows": ({"a.json": ([TEXT, SEEN], SHARED)}, {}, True),
    "pictures behind 999 rows of text": ({"a.json": ([TEXT] * 999 + [SEEN], SHARED)}, {}, True),
    "pictures behind 1,000 rows of text": ({"a.json": ([TEXT] * 1000 + [SEEN], SHARED)}, {}, False),
    "the same with two workers": (
        {"a.json": ([TEXT] * 1000 + [SEEN], SHARED)},
        {"preprocessing_num_workers": 2},
        True,
    ),
    "small batches": ({"a.json": ([TEXT] * 5 + [SEEN], SHARED)}, {"preprocessing_batch_size": 5}, False),
    "small batches over two sets": (
        {"a.json": ([TEXT] * 5, SHARED), "b.json": ([SEEN], SHARED)},
        {"preprocessing_batch_size": 5},
        False,
    ),
    "a small set of text first": ({"a.json": ([TEXT] * 5, SHARED), "b.json": ([SEEN], SHARED)}, {}, True),
    "system turns behind 1,000 rows without": (
        {"a.json": ([{**TEXT, "system": None}] * 1000 + [{**TEXT, "system": "专家"}], COLUMNS)},
        {},
        False,
    ),
    "a column of two types": ({"a.json": ([{**TEXT, "n": 1}, {**TEXT, "n": "x"}], SHARED)}, {}, False),
    "whole and broken numbers": ({"a.json": ([{**TEXT, "n": 1}, {**TEXT, "n": 1.5}], SHARED)}, {}, True),
    "a truth value among numbers": ({"a.json": ([{**TEXT, "n": 1}, {**TEXT, "n": True}], SHARED)}, {}, False),
    "content that is a list": (
        {"a.json": ([TEXT, {**TEXT, "messages": [{"role": "user", "content": ["a"]}]}], SHARED)},
        {},
        False,
    ),
    "further keys in a turn": (
        {"a.json": ([TEXT, {**TEXT, "messages": [{**turn, "x": 1} for turn in TEXT["messages"]]}], SHARED)},
        {},
        True,
    ),
    "lines": ({"a.jsonl": (lines([SEEN, TEXT]), SHARED)}, {}, True),
    "lines in a .json file": ({"a.json": (lines([SEEN, TEXT]), SHARED)}, {}, True),
    "lines with a column of two types": (
        {"a.jsonl": (lines([{**TEXT, "n": 1}, {**TEXT, "n": "x"}]), SHARED)},
        {},
        False,
    ),
    "a pretty array": ({"a.json": (json.dumps([SEEN, TEXT], indent=2).encode(), SHARED)}, {}, True),
    "a comma too many": ({"a.json": (b"[\n" + lines([SEEN]) + b",\n]", SHARED)}, {}, False),
    "a comma too few": ({"a.json": (b"[\n" + lines([SEEN, SEEN]) + b"\n]", SHARED)}, {}, False),
    "a byte-order mark": ({"a.json": (b"\xef\xbb\xbf[" + lines([SEEN]) + b"]", SHARED)}, {}, False),
    "a byte-order mark before lines": ({"a.json": (b"\xef\xbb\xbf" + lines([SEEN]), SHARED)}, {}, True),
    "an empty array": ({"a.json": ([], SHARED)}, {}, False),
    "no such column": ({"a.json": ([{"messages": TEXT["messages"]}], SHARED)}, {}, False),
    "alpaca": ({"a.json": ([ALPACA], PLAIN)}, {}, True),
    "alpaca without input": ({"a.json": ([{"instruction": "写", "output": "诗"}], PLAIN)}, {}, False),
    "tags for user and assistant alone": (
        {"a.json": ([TEXT], {**SHARED, "tags": {"user_tag": "user", "assistant_tag": "assistant"}})},
        {},
        False,
    ),
    "four tags": (
        {"a.json": ([TEXT], {**SHARED, "tags": {key: TAGS[key] for key in list(TAGS)[:4]}})},
        {},
        True,
    ),
    "unknown formatting": ({"a.json": ([TEXT], {**SHARED, "formatting": "chat"})}, {}, False),
    "ranked": ({"a.json": ([TEXT], {**SHARED, "ranking": True})}, {}, False),
    "marked answers alone": (
        {
            "a.json": (
                [{**TEXT, "label": False}],
                {**SHARED, "columns": {"messages": "messages", "kto_tag": "label"}},
            )
        },
        {},
        False,
    ),
    "compared answers": (
        {"a.json": ([{"instruction": "问", "input": "", "chosen": "好", "rejected": "坏"}], PLAIN)},
        {},
        False,
    ),
    "no template": ({"a.json": ([TEXT], SHARED)}, {"template": None}, True),
    "pictures without a template": ({"a.json": ([SEEN], SHARED)}, {"template": None}, False),
    "sound that the template lacks": (
        {
            "a.json": (
                [{**TEXT, "audios": ["a.png"]}],
                {**SHARED, "columns": {**SHARED["columns"], "audios": "audios"}},
            )
        },
        {},
        False,
    ),
    "a place without its video": (
        {
            "a.json": (
                [
                    good(),
                    {**good(), "messages": [{"role": "user", "content": "<video>"}, TEXT["messages"][1]]},
                ],
                SHARED,
            )
        },
        {},
        False,
    ),
    "no marks for `stage: kto`": ({"a.json": ([TEXT], SHARED)}, {"stage": "kto"}, False),
    "undefined set": ({"a.json": ([TEXT], SHARED)}, {"dataset": "z"}, False),
    "val_size as large as the set": ({"a.json": ([TEXT] * 3, SHARED)}, {"val_size": 3}, False),
}


@pytest.fixture
def load(
    tmp_path: Path, load_as_trainer: Callable[..., Any], tiny_model: Callable[..., Path]
) -> Callable[[Files, dict[str, Any]], tuple[bool, bool]]:
    """Whether the trainer loads data sets, and whether the check finds no error in them."""

    def go(files: Files, settings: dict[str, Any]) -> tuple[bool, bool]:
        picture(tmp_path, "a.png")
        index = {}
        for name, (rows, entry) in files.items():
            data = (
                rows if isinstance(rows, bytes) else b"[" + b",\n".join(lines([row]) for row in rows) + b"]"
            )
            (tmp_path / name).write_bytes(data)
            index[name.partition(".")[0]] = {"file_name": name, **entry}
        (tmp_path / "dataset_info.json").write_text(json.dumps(index))
        keys = {**SETTINGS, "dataset": ",".join(index), **settings, "report_to": "none"}
        keys = {key: value for key, value in keys.items() if value is not None}
        keys["model_name_or_path"] = str(tiny_model("qwen2_5_vl"))
        (tmp_path / "train.yaml").write_text(yaml.safe_dump(keys))
        workers = settings.get("preprocessing_num_workers")
        try:
            rows = load_as_trainer(tmp_path, preprocessing_num_workers=workers).sets["train_dataset"]
            loads = len(rows) > 0
        except Exception:  # whatever it is, the run ends
            loads = False
        return loads, not Check(Training.load(tmp_path / "train.yaml")).run().errors

    return go


@pytest.mark.parametrize("case", list(CASES))
def test_check_and_trainer_agree_on_a_data_set(
    case: str, load: Callable[[Files, dict[str, Any]], tuple[bool, bool]]
) -> None:
    files, settings, loads = CASES[case]
    assert load(files, settings) == (loads, loads)


def test_media_of_every_template_are_the_trainers() -> None:
    from llamafactory.data.template import TEMPLATES as THEIRS

    assert THEIRS.keys() == TEMPLATES
    for name, template in THEIRS.items():
        plugin = template.mm_plugin
        tokens = {"images": plugin.image_token, "videos": plugin.video_token, "audios": plugin.audio_token}
        assert media_of(name) == {medium for medium, token in tokens.items() if token}, name


STOPS: list[dict[str, Any]] = [
    {"learnin_rate": 1e-4},
    {"evaluation_strategy": "steps"},
    {"val_size": 0.1, "eval_dataset": "set"},
    {"dataset": None, "do_train": False, "val_size": 0.1},
    {"streaming": True},
    {"streaming": True, "max_steps": 5, "max_samples": 3},
    {"streaming": True, "max_steps": 5, "val_size": 0.1},
    {"mask_history": True, "train_on_prompt": True},
    {"stage": "dpo", "mask_history": True},
    {"stage": "dpo", "neat_packing": True},
    {"do_eval": True},
    {"eval_strategy": "steps", "eval_steps": 5},
    {"do_predict": True, "eval_dataset": "set"},
    {"predict_with_generate": True, "eval_dataset": "set", "compute_accuracy": True},
    {"interleave_probs": "0.5,0.5"},
    {"mix_strategy": "interleave_over", "interleave_probs": "0.5,0.5"},
    {"image_max_pixels": 100},
    {"load_best_model_at_end": True, "eval_dataset": "set"},
    {"load_best_model_at_end": True, "eval_dataset": "set", "eval_strategy": "epoch"},
    {
        "load_best_model_at_end": True,
        "eval_dataset": "set",
        "eval_strategy": "steps",
        "eval_steps": 4,
        "save_steps": 6,
    },
    {"quantization_bit": 4, "finetuning_type": "full"},
    {"quantization_bit": 4, "resize_vocab": True},
    {"export_quantization_bit": 4},
    {"model_name_or_path": None},
]
RUNS: list[dict[str, Any]] = [
    {},
    {"val_size": 0.1},
    {"eval_dataset": "set", "eval_strategy": "steps", "eval_steps": 4, "save_steps": 8},
    {
        "load_best_model_at_end": True,
        "eval_dataset": "set",
        "eval_strategy": "steps",
        "eval_steps": 4,
        "save_steps": 8,
    },
    {"streaming": True, "max_steps": 5},
    {"streaming": True, "max_steps": 5, "val_size": 3},
    {"mask_history": True},
    {"neat_packing": True},
    {"max_samples": 3},
    {"output_dir": None},
    {"template": None},
    {"warmup_steps": 0.1},
    {"num_train_epochs": 2},
    {"learning_rate": 1},
    {"dataset": ["set"]},
    {"lora_target": "q_proj,v_proj", "lora_alpha": 32},
    {"mix_strategy": "interleave_under"},
]


@pytest.mark.parametrize("settings", [*STOPS, *RUNS], ids=str)
def test_check_and_trainer_agree_on_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    from llamafactory.hparams import get_train_args

    (tmp_path / "set.json").write_bytes(b"[" + b",\n".join([lines([{**TEXT, "images": []}])] * 64) + b"]")
    (tmp_path / "dataset_info.json").write_text(json.dumps({"set": {"file_name": "set.json", **SHARED}}))
    chosen = {**SETTINGS, "report_to": "none", **settings}
    keys = {key: value for key, value in chosen.items() if value is not None}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(keys))
    try:
        get_train_args({**keys, "dataset_dir": str(tmp_path)})
        runs = True
    except Exception:  # whatever it is, the run ends
        runs = False
    assert runs == (settings in RUNS)
    check = Check(Training.load(tmp_path / "train.yaml"), dataset=[] if keys.get("dataset") else ["set"])
    assert bool(check.run().errors) != runs
