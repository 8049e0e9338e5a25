"""The training configuration of a build: train.yaml for LLaMA-Factory, and DeepSpeed's JSON when wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.emitted import Emitted
from datakit.core.errors import UserError, did_you_mean
from datakit.core.pixels import TRAINER
from datakit.core.plain_yaml import parse
from datakit.core.record import digest
from datakit.core.settings import Settings
from datakit.core.transform import Artifact
from datakit.training import deepspeed
from datakit.training.derived import derived_faults
from datakit.training.family import family_of, template_of, why_not
from datakit.training.keys import checked_key, checked_value, clashes
from datakit.training.preprocessing import prepared_in_s, wait_for_rows
from datakit.training.steps import STEPS_REMEDY, best_unsaved, never_firing, scheduled, total_steps
from datakit.training.yaml_text import export_text, train_text

__all__ = ["TrainSettings", "all_keys", "presets", "template_of", "total_steps", "write_training"]

_PRESETS = Path(__file__).with_name("presets")
_NO_VAL = "Warning: there are no validation records, so nothing is evaluated."


class TrainSettings(Settings):
    """The recipe's `train:` section. Every key of LLaMA-Factory may stand in it beside these."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Any] = Field(init=False)

    model: str
    """Name at a hub, or folder (`./…` and `../…` are relative to the recipe), of a Qwen2-VL, Qwen2.5-VL or
    Qwen3-VL model; others with `template`."""
    method: Literal["lora", "full", "freeze"] | None = None
    """What is trained: `lora` adapters, every weight, or some layers; the preset's, else `lora`."""
    preset: str | None = None
    """Figures that are known to work: `ecom`, `medical` or `full_zero3_offload`. Keys beside it win."""
    template: str | None = None
    """LLaMA-Factory's chat template; from the model's family when not given."""
    gpus: int = Field(default=1, ge=1, le=65_536)
    """All GPUs of the run together: from them the number of steps is computed. The preset's, else 1."""
    nodes: int = Field(default=1, ge=1, le=65_536)
    """Machines of the run; each has `gpus` / `nodes` GPUs."""
    deepspeed: str | None = None
    """`z0`, `z2`, `z2_offload`, `z3`, `z3_offload_optimizer`, `z3_offload`, or the path of an own JSON file,
    relative to the recipe (it is copied into the build)."""
    image_max_pixels: int | None = Field(default=None, ge=784, le=1_000_000_000)
    """Pictures are scaled down to this many pixels in training, and must be at serving too. What
    emit.llamafactory left when it resized, else 589,824 (LLaMA-Factory's own limit)."""
    evaluations: int = Field(default=5, ge=1, le=1_000_000)
    """How often the model is evaluated and saved during training."""

    @classmethod
    def filled(cls, values: Any) -> Any:
        """The section with what its preset says of the machine, which a build must keep beside the keys."""
        preset = _preset(values.get("preset")) if isinstance(values, dict) else {}
        return {**values, "gpus": preset["gpus"]} if "gpus" in preset and "gpus" not in values else values

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults_at_once(
        cls, values: Any, handler: ModelWrapValidatorHandler[TrainSettings]
    ) -> TrainSettings:
        """Every fault of the section, of its fields and of its keys, in one ValidationError."""
        values = cls.filled(values)
        faults: list[InitErrorDetails] = []
        settings: TrainSettings | None = None
        try:
            settings = handler(values)
        except ValidationError as error:
            for fault in error.errors(include_url=False):
                details = InitErrorDetails(type=fault["type"], loc=fault["loc"], input=fault["input"])
                faults.append({**details, "ctx": fault["ctx"]} if "ctx" in fault else details)
        if isinstance(values, dict):
            told = {fault["loc"][0] for fault in faults if fault["loc"]}
            faults += [
                InitErrorDetails(
                    type=PydanticCustomError("fault", "{words}", {"words": words}),
                    loc=(key,),
                    input=values.get(key),
                )
                for key, words in section_faults(values)
                if key not in told
            ]
        if settings is None or faults:
            raise ValidationError.from_exception_data(cls.__name__, faults, input_type="json")
        return settings

    @property
    def keys(self) -> dict[str, Any]:
        """LLaMA-Factory's keys from the preset and from the recipe, which wins."""
        return _keys_of(self.model_dump())


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


def section_faults(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a `train:` section by itself: the key, and why. Fields' own types are left out."""
    wrong = dict(_key_faults(values))
    yield from wrong.items()
    yield from ((key, words) for key, words in derived_faults(values) if key not in wrong)
    name, wanted = values.get("preset"), values.get("deepspeed")
    if isinstance(name, str) and name not in presets():
        hint = did_you_mean(name, presets())
        yield "preset", f"no preset `{name}`. {hint} All presets: {', '.join(presets())}"
    if isinstance(wanted, str) and wanted not in deepspeed.NAMES and not wanted.endswith(".json"):
        yield "deepspeed", f"`{wanted}` is none of {', '.join(deepspeed.NAMES)}, nor a .json file"
    if values.get("method") == "lora" and _preset(name).get("finetuning_type") == "full":
        words = f"`method: lora` beside `preset: {name}`, whose figures are for training every weight"
        yield "method", f"{words}. Take `method: full` or leave it out; for adapters `preset: ecom`"
    gpus, nodes = values.get("gpus", 1), values.get("nodes", 1)
    if type(gpus) is int and type(nodes) is int and nodes > 0 and gpus % nodes:
        yield "gpus", f"{gpus} GPUs cannot stand evenly in {nodes} nodes"
    model = values.get("model")
    if isinstance(model, str) and not model.startswith("."):
        family = family_of(model)
        words = why_not(model, family, _text(values.get("template")))
        if words and family.kind != "text":  # which is right for texts: checking.recipe_faults knows the data
            yield "model", words
    yield from ((_named(key, values), words) for key, words in clashes(keys_so_far(values)))


def keys_so_far(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that a section comes to without those that are wrong by themselves."""
    wrong = {key for key, _ in _key_faults(values)}
    return {**_BASE, **_keys_of({key: value for key, value in values.items() if key not in wrong})}


def _key_faults(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    fields = TrainSettings.model_fields
    for key in values.keys() - fields.keys():
        try:
            checked_value(checked_key(key, values[key], fields), values[key])
        except ValueError as error:
            yield key, str(error)


def _named(key: str, values: Mapping[str, Any]) -> str:
    """The key that a fault is told at: itself, or what brought it into the section."""
    brought_by = ("preset", "method") if key not in values else ()
    return next((name for name in brought_by if name in values), key)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _keys_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a section whose own are right; a preset or method that is not counts as not given."""
    preset = _preset(values.get("preset"))
    preset.pop("gpus", None)
    method = values.get("method") if values.get("method") in list(_METHODS) else None
    if method not in (None, preset.get("finetuning_type")):  # LoRA's figures mean nothing elsewhere
        preset = {key: value for key, value in preset.items() if not key.startswith("lora_")}
    method = method or str(preset.get("finetuning_type", "lora"))
    fields = TrainSettings.model_fields
    own = {key: checked_value(key, value) for key, value in values.items() if key not in fields}
    keys = {**_METHODS[method], **preset, **own, "finetuning_type": method}
    if isinstance(values.get("deepspeed"), str):
        keys["deepspeed"] = values["deepspeed"]
    return keys


def _preset(name: Any) -> dict[str, Any]:
    """The figures of a preset; none where there is no such one."""
    if not isinstance(name, str) or name not in presets():
        return {}
    figures: dict[str, Any] = parse((_PRESETS / f"{name}.yaml").read_text("utf-8"))
    return figures


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
    total = total_steps(keys, emitted.rows("train", "general"), settings.gpus)
    evaluates = bool(emitted.rows("val"))
    _refuse_what_never_fires(keys, total, evaluates=evaluates)
    keys = scheduled(keys, total, evaluates=evaluates, evaluations=settings.evaluations)
    keys["model_name_or_path"] = model_path(settings.model, base or Path.cwd())
    keys["template"] = settings.template or _template(keys["model_name_or_path"])
    mark = digest([draft.manifest.content, {key: keys[key] for key in sorted(keys)}], size=4).hex()
    run = f"../{name}-runs/{keys['finetuning_type']}-{mark}"
    keys["output_dir"] = f"{run}/trained"
    # After the mark: how long processes wait changes nothing that is trained.
    seconds = prepared_in_s(draft.path, emitted, keys.get("preprocessing_num_workers") or 1)
    keys["ddp_timeout"], reason = wait_for_rows(keys, seconds)
    head = _head(name, keys, settings, emitted, total)
    written.append(draft.write_training(train_text(head, keys, {"ddp_timeout": reason})))
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


def _refuse_what_never_fires(keys: dict[str, Any], total: int, *, evaluates: bool) -> None:
    faults = dict(never_firing(keys, total, evaluates=evaluates))
    if faults:
        raise UserError("; ".join(faults.values()), remedy=STEPS_REMEDY)


def _head(
    name: str, keys: dict[str, Any], settings: TrainSettings, emitted: Emitted, steps: int
) -> Iterator[str]:
    rows = emitted.rows("train", "general")
    command = "llamafactory-cli train train.yaml"
    if "deepspeed" in keys or settings.gpus > 1:
        nodes = f" NNODES={settings.nodes} NODE_RANK=0 MASTER_ADDR=host0" if settings.nodes > 1 else ""
        command = f"FORCE_TORCHRUN=1{nodes} NPROC_PER_NODE={settings.gpus // settings.nodes} {command}"
    yield f"Training of {name}, written by datakit for LLaMA-Factory 0.9.5; a new build writes it anew."
    yield f"run in this folder: {command}"
    yield f"{rows:,} rows, {steps:,} steps on {settings.gpus} GPU{'s' if settings.gpus > 1 else ''}."
    if not emitted.rows("val"):
        yield _NO_VAL
    if words := best_unsaved(keys):
        yield f"Warning: {words}."
