"""The training configuration of a build: train.yaml for LLaMA-Factory, and DeepSpeed's JSON when wanted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.emitted import Emitted
from datakit.core.errors import UserError, did_you_mean
from datakit.core.pixels import TRAINER
from datakit.core.plain_yaml import parse
from datakit.core.record import digest
from datakit.core.regular_files import read_regular
from datakit.core.settings import Settings
from datakit.core.transform import Artifact
from datakit.training import deepspeed
from datakit.training.keys import checked_key, checked_value, conflict
from datakit.training.yaml_text import export_text, train_text

_PRESETS = Path(__file__).with_name("presets")
_NO_VAL = "Warning: there are no validation records, so nothing is evaluated."

Value = bool | int | float | str | list[Any] | None


class TrainSettings(Settings):
    """The recipe's `train:` section. Every key of LLaMA-Factory may stand in it beside these."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[Annotated[str, AfterValidator(checked_key)], Value] = Field(init=False)

    model: str
    """Name at a hub, or folder (`./…` and `../…` are relative to the recipe), of a Qwen2-VL, Qwen2.5-VL or
    Qwen3-VL model; others with `template`."""
    method: Literal["lora", "full", "freeze"] | None = None
    """What is trained: `lora` adapters, every weight, or some layers; the preset's, else `lora`."""
    preset: str | None = None
    """Figures that are known to work: `ecom`, `medical` or `full_zero3_offload`. Keys beside it win."""
    template: str | None = None
    """LLaMA-Factory's chat template; from the model's family when not given."""
    gpus: int = Field(default=1, ge=1)
    """All GPUs of the run together: from them the number of steps is computed."""
    nodes: int = Field(default=1, ge=1)
    """Machines of the run; each has `gpus` / `nodes` GPUs."""
    deepspeed: str | None = None
    """`z0`, `z2`, `z2_offload`, `z3`, `z3_offload_optimizer`, `z3_offload`, or the path of an own JSON file,
    relative to the recipe (it is copied into the build)."""
    image_max_pixels: int | None = Field(default=None, ge=784)
    """Pictures are scaled down to this many pixels in training, and must be at serving too. What
    emit.llamafactory left when it resized, else 589,824 (LLaMA-Factory's own limit)."""
    evaluations: int = Field(default=5, ge=1)
    """How often the model is evaluated and saved during training."""

    @field_validator("preset")
    @classmethod
    def _preset_exists(cls, value: str | None) -> str | None:
        if value is not None and value not in presets():
            hint = did_you_mean(value, presets())
            raise ValueError(f"no preset `{value}`. {hint} All presets: {', '.join(presets())}")
        return value

    @field_validator("deepspeed")
    @classmethod
    def _deepspeed_exists(cls, value: str | None) -> str | None:
        if value is not None and value not in deepspeed.NAMES and not value.endswith(".json"):
            raise ValueError(f"`{value}` is none of {', '.join(deepspeed.NAMES)}, nor a .json file")
        return value

    @model_validator(mode="after")
    def _values_fit(self) -> TrainSettings:
        for key, value in (self.__pydantic_extra__ or {}).items():
            checked_value(key, value)
        if self.template is None and not self.model.startswith("."):
            template_of(self.model)  # a folder relative to the recipe is looked at when its place is known
        if self.gpus % self.nodes:
            raise ValueError(f"{self.gpus} GPUs cannot stand evenly in {self.nodes} nodes")
        problem = conflict({**_BASE, **self.keys})
        if problem:
            raise ValueError(problem)
        return self

    @property
    def keys(self) -> dict[str, Any]:
        """LLaMA-Factory's keys from the preset and from the recipe, which wins."""
        own = {key: checked_value(key, value) for key, value in (self.__pydantic_extra__ or {}).items()}
        keys = {**_METHODS[self._method()], **self._preset(), **own}
        keys["finetuning_type"] = self._method()
        if self.deepspeed is not None:
            keys["deepspeed"] = self.deepspeed
        return keys

    def _method(self) -> str:
        return self.method or str(self._preset().get("finetuning_type", "lora"))

    def _preset(self) -> dict[str, Any]:
        if self.preset is None:
            return {}
        preset: dict[str, Any] = parse((_PRESETS / f"{self.preset}.yaml").read_text("utf-8"))
        if self.method not in (None, preset["finetuning_type"]):  # LoRA's figures mean nothing elsewhere
            return {key: value for key, value in preset.items() if not key.startswith("lora_")}
        return preset


_METHODS: dict[str, dict[str, Any]] = {
    "lora": {"lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.05, "lora_target": "all"},
    "full": {},
    "freeze": {"freeze_trainable_layers": 2},
}
_BASE: dict[str, Any] = {
    "stage": "sft",
    "do_train": True,
    "trust_remote_code": False,
    "freeze_vision_tower": True,
    "freeze_multi_modal_projector": True,
    "cutoff_len": 4096,
    "preprocessing_num_workers": 4,
    "dataloader_num_workers": 4,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": 1e-4,
    "num_train_epochs": 3.0,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.1,
    "bf16": True,
    "plot_loss": True,
    "report_to": "none",
    "save_total_limit": 2,
    "seed": 42,
}


def presets() -> list[str]:
    """Names of the presets."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def template_of(model: str) -> str:
    """The chat template of a model's family, by its config.json or by its name. Raises ValueError."""
    config = Path(model) / "config.json"
    family = str(orjson.loads(read_regular(config)).get("model_type", "")) if config.is_file() else model
    family = family.lower().replace("_", "").replace("-", "").replace(".", "")
    if "qwen3vl" in family:
        # The template without "nothink" puts an empty thought before each answer.
        return "qwen3_vl" if "thinking" in model.lower() else "qwen3_vl_nothink"
    if "qwen25vl" in family or "qwen2vl" in family:
        return "qwen2_vl"
    raise ValueError(f"the family of `{model}` is not known: give LLaMA-Factory's `template` for it")


def all_keys(settings: TrainSettings) -> dict[str, Any]:
    """LLaMA-Factory's keys that a recipe's settings come to, without those that depend on the data."""
    return {**_BASE, **settings.keys}


def write_training(
    draft: BuildDraft, name: str, settings: TrainSettings, base: Path | None = None
) -> list[Artifact]:
    """The files written into a build, which must hold what emit.llamafactory wrote.

    Paths in `settings` are relative to `base`, the recipe's folder.
    """
    emitted = draft.emitted_for("A `train:` section needs `- llamafactory: {}` under `emit:`.")
    keys = all_keys(settings)
    written: list[str] = []
    if keys.get("deepspeed"):
        keys["deepspeed"] = _write_deepspeed(draft.path, keys["deepspeed"], base or Path.cwd())
        written.append(keys["deepspeed"])
    keys["image_max_pixels"] = _max_pixels(settings.image_max_pixels, emitted.image_max_pixels)
    keys.setdefault("image_min_pixels", 1024)
    keys |= _data_keys(emitted)
    keys |= _steps(keys, emitted, settings)
    keys.pop("warmup_ratio", None)
    keys["model_name_or_path"] = model_path(settings.model, base or Path.cwd())
    keys["template"] = settings.template or _template(keys["model_name_or_path"])
    mark = digest([draft.manifest.content, {key: keys[key] for key in sorted(keys)}], size=4).hex()
    run = f"../{name}-runs/{keys['finetuning_type']}-{mark}"
    keys["output_dir"] = f"{run}/trained"
    written.append(draft.write_training(_text(name, keys, settings, emitted)))
    written.append(draft.write_export(export_text(keys, f"{run}/served")))
    return [Artifact(path=file, kind="config") for file in written]


def _write_deepspeed(folder: Path, wanted: str, base: Path) -> str:
    """Name in the build of the DeepSpeed configuration, which is written there."""
    name = f"deepspeed_{wanted if wanted in deepspeed.NAMES else 'own'}.json"
    (folder / name).write_text(json.dumps(deepspeed.settings_of(wanted, base), indent=2) + "\n", "ascii")
    return name


def _template(model: str) -> str:
    try:
        return template_of(model)
    except ValueError as error:
        raise UserError(
            str(error), remedy="`train.model` is a folder with config.json, or a hub name."
        ) from None


def model_path(model: str, base: Path) -> str:
    """A folder as an absolute path, because the trainer runs inside the build; a hub name as it is."""
    return str((base / model).resolve()) if (base / model / "config.json").is_file() else model


def _max_pixels(wanted: int | None, emitted: int | None) -> int:
    if wanted is None:
        return emitted or TRAINER.max_pixels
    if emitted is not None and wanted > emitted:
        raise UserError(
            f"`train:` wants pictures of {wanted:,} pixels, but emit.llamafactory leaves only {emitted:,}",
            remedy="Give both one `image_max_pixels`: serving takes the limit of the training.",
        )
    return wanted


def _data_keys(emitted: Emitted) -> dict[str, Any]:
    data_keys: dict[str, Any] = {
        "dataset": ",".join(emitted.entries("train", "general")),
        "dataset_dir": ".",
        "media_dir": ".",
    }
    if emitted.rows("val"):
        data_keys["eval_dataset"] = ",".join(emitted.entries("val"))
    return data_keys


def _steps(keys: dict[str, Any], emitted: Emitted, settings: TrainSettings) -> dict[str, Any]:
    """Warm-up, logging, evaluation and saving in steps that fire, as the trainer will count them."""
    total = total_steps(keys, emitted.rows("train", "general"), settings.gpus)
    steps: dict[str, Any] = {}
    # A whole number: transformers reads a `warmup_steps` below 1 as a share, and refuses `warmup_ratio`.
    share = float(keys.get("warmup_ratio") or 0)
    steps["warmup_steps"] = int(keys.get("warmup_steps", math.ceil(total * share)))
    if steps["warmup_steps"] >= total > 1:
        raise UserError(
            f"the warm-up of {steps['warmup_steps']:,} steps never ends: the training has {total:,} steps",
            remedy="Give `warmup_ratio` (such as 0.1) instead; the steps are computed from the data.",
        )
    steps["logging_steps"] = keys.get("logging_steps", max(1, min(10, total // 20)))
    interval = keys.get("eval_steps", keys.get("save_steps"))
    if keys.get("save_steps", interval) != interval:
        raise UserError(
            f"`eval_steps` {interval:g} and `save_steps` {keys['save_steps']:g} differ: "
            "the best step may have no checkpoint",
            remedy="Give one of them, or leave both out; they are computed from the data.",
        )
    every = interval if interval is not None else max(1, total // settings.evaluations)
    packed = bool(keys.get("packing") or keys.get("neat_packing"))
    if every > total and not packed:
        raise UserError(
            f"evaluation and saving every {every:g} steps never happen: the training has {total:,} steps",
            remedy="Leave `eval_steps` and `save_steps` out of `train:`; they are computed from the data.",
        )
    # Packing joins rows, so that only the trainer knows the number of steps.
    steps["save_strategy"] = keys.get("save_strategy", "epoch" if packed else "steps")
    if steps["save_strategy"] == "steps":
        steps["save_steps"] = every
    if emitted.rows("val"):
        steps["eval_strategy"] = keys.get("eval_strategy", steps["save_strategy"])
        steps["per_device_eval_batch_size"] = keys.get("per_device_eval_batch_size", 1)
        if steps["eval_strategy"] == "steps":
            steps["eval_steps"] = every
        best = steps["eval_strategy"] == steps["save_strategy"]
        steps["load_best_model_at_end"] = keys.get("load_best_model_at_end", best)
        steps["metric_for_best_model"] = keys.get("metric_for_best_model", "eval_loss")
        steps["greater_is_better"] = keys.get("greater_is_better", False)
    return steps


def total_steps(keys: dict[str, Any], rows: int, gpus: int) -> int:
    """Optimizer steps of a run over `rows`, by the trainer's own rule."""
    if keys.get("max_steps", -1) > 0:
        return int(keys["max_steps"])
    batches = math.ceil(rows / (int(keys["per_device_train_batch_size"]) * gpus))
    per_epoch = max(1, math.ceil(batches / int(keys["gradient_accumulation_steps"])))
    return max(1, math.ceil(float(keys["num_train_epochs"]) * per_epoch))


def _text(name: str, keys: dict[str, Any], settings: TrainSettings, emitted: Emitted) -> str:
    rows = emitted.rows("train", "general")
    steps = total_steps(keys, rows, settings.gpus)
    command = "llamafactory-cli train train.yaml"
    if "deepspeed" in keys or settings.gpus > 1:
        nodes = f" NNODES={settings.nodes} NODE_RANK=0 MASTER_ADDR=host0" if settings.nodes > 1 else ""
        command = f"FORCE_TORCHRUN=1{nodes} NPROC_PER_NODE={settings.gpus // settings.nodes} {command}"
    head = (
        f"Training of {name}, written by datakit for LLaMA-Factory 0.9.5; a new build writes it anew.",
        f"run in this folder: {command}",
        f"{rows:,} rows, {steps:,} steps on {settings.gpus} GPU{'s' if settings.gpus > 1 else ''}.",
        *(() if emitted.rows("val") else (_NO_VAL,)),
    )
    return train_text(head, keys)
