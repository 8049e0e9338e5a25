"""LLaMA-Factory's own argument parser takes and refuses what datakit says that it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.training.keys import check_as_written, known_keys
from tests.checking.test_recipe_faults import KNOWN

pytestmark = pytest.mark.trainer

Make = Callable[..., Any]
HERE = {"bf16": False, "use_cpu": True}
"""Half precision needs a GPU; DeepSpeed, which is another package, is left out too."""


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, Any]], Any]:
    """Data and training arguments, as the trainer reads them. Raises its ValueError."""
    monkeypatch.chdir(tmp_path)
    from llamafactory.hparams import get_train_args

    def read(keys: dict[str, Any]) -> Any:
        _, data, training, *_ = get_train_args(dict(keys))
        return data, training

    return read


def known() -> dict[str, Any]:
    """The configuration of a full training that is known to work, with its own names of data."""
    names = {"model_name_or_path": "Qwen2-VL-7B-Instruct", "dataset": "train_nlp", "output_dir": "saves/x"}
    return {**yaml.safe_load(KNOWN), **names, "finetuning_type": "full", "val_size": 0.1, **HERE}


def test_saving_at_some_evaluations_alone_is_taken(parsed: Callable[..., Any]) -> None:
    data, training = parsed(known())
    assert (training.save_steps, training.eval_steps, training.load_best_model_at_end) == (300, 100, True)
    assert (data.cutoff_len, training.ddp_timeout) == (3000, 180_000_000)


def test_build_of_the_same_settings_is_taken_with_every_value(
    parsed: Callable[..., Any], shipped_build: Make, tiny_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {**yaml.safe_load(KNOWN), "method": "full", "max_steps": 600, "model": str(tiny_model("qwen2_vl"))}
    overrides = [
        f"train.{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in own.items()
    ]
    build = shipped_build("ecom_v1", *overrides)
    keys = yaml.safe_load((build / "train.yaml").read_text("utf-8"))
    same = {key: value for key, value in yaml.safe_load(KNOWN).items() if key != "warmup_ratio"}
    assert {key: keys[key] for key in same} == same
    assert keys["warmup_steps"] == 60
    monkeypatch.chdir(build)
    _, training = parsed({**keys, **HERE})
    assert (training.save_steps, training.eval_steps, training.max_steps) == (300, 100, 600)
    assert "saved every 300: the best one may be lost" in (build / "train.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"save_steps": 150}, "round multiple"),
        ({"batch_size": 4}, "not used by the HfArgumentParser"),
        ({"lr_scheduler_type": "cosin"}, "not a valid SchedulerType"),
        ({"optim": "adamw_troch"}, "not a valid OptimizerNames"),
        ({"save_strategy": False}, "not a valid SaveStrategy"),
        ({"logging_steps": 0}, "non-zero"),
    ],
)
def test_what_datakit_refuses_the_trainer_refuses(
    parsed: Callable[..., Any], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        parsed({**known(), **changes})
    ((key, value),) = changes.items()
    if key in known_keys() and key != "save_steps":
        with pytest.raises(ValueError, match=f"`{key}`"):
            check_as_written(key, value)


@pytest.mark.parametrize(
    "kind", ["lr_scheduler_type", "optim", "eval_strategy", "save_strategy", "logging_strategy"]
)
def test_words_of_a_choice_are_those_that_the_trainer_has(kind: str) -> None:
    from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType
    from transformers.training_args import OptimizerNames

    kinds = {
        "lr_scheduler_type": SchedulerType,
        "optim": OptimizerNames,
        "eval_strategy": IntervalStrategy,
        "logging_strategy": IntervalStrategy,
        "save_strategy": SaveStrategy,
    }
    assert known_keys()[kind] == [choice.value for choice in kinds[kind]]


def test_lists_and_max_length_mean_what_datakit_says(parsed: Callable[..., Any]) -> None:
    data, _ = parsed({**known(), "dataset": ["a", "b"], "max_length": 2048})
    assert data.dataset == ["a", "b"]
    assert data.cutoff_len == 3000  # `max_length` bounds generated answers alone
