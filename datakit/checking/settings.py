"""Faults of a training configuration that need no data: keys, types, and settings that exclude each other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from datakit.checking.finding import Findings
from datakit.checking.purpose import FOREIGN
from datakit.checking.templates import TEMPLATES, media_of
from datakit.checking.training import Training
from datakit.core.errors import did_you_mean
from datakit.core.qwen_models import misspelt
from datakit.core.shown_path import show_path
from datakit.training.family import family_of
from datakit.training.keys import check_as_written, known_keys
from datakit.training.other_words import explained
from datakit.training.steps import best_unsaved

_GONE = {
    "evaluation_strategy": "It is `eval_strategy` since transformers 4.46.",
    "warmup_ratio": "It works with the transformers that LLaMA-Factory 0.9.5 takes (up to 5.6); later ones "
    "refuse it. `warmup_steps` works with all.",
}
_MEGATRON_KEYS = re.compile(
    r"_parallel(_size)?$|_fusion$|^moe_|^overlap_(param|grad)_|^recompute_|^use_distributed_optimizer$"
)
_MEGATRON = "A key of Megatron training, which LLaMA-Factory knows under USE_MCA=1 alone."


def check_settings(training: Training, findings: Findings) -> None:
    """Notes every fault."""
    if training.file is None:
        return
    if training.purpose in FOREIGN:
        remedy = FOREIGN[training.purpose]
        findings.add("not_training", remedy, where=show_path(training.file.path))
        return
    _keys(training, findings)
    for key, message in _clashes(training):
        findings.add("setting_clash", message, where=training.where(key))
    if "model_name_or_path" not in training.keys:
        findings.add("setting_missing", "`model_name_or_path`", where=training.where("model_name_or_path"))
    if training.on("do_train") and not training.names("dataset"):
        findings.add("setting_missing", "`dataset`", where=training.where("dataset"))
    deepspeed = training.keys.get("deepspeed")
    if isinstance(deepspeed, str) and training.zero_stage is None:
        message = f"cannot read a ZeRO stage in {deepspeed}"
        findings.add("setting_file", message, where=training.where("deepspeed"))
    _model(training, findings)
    _template(training, findings)
    _quantisation(training, findings)
    _costs(training, findings)


def _keys(training: Training, findings: Findings) -> None:
    valid_keys = known_keys()
    for key, value in training.keys.items():
        where = training.where(key)
        if key not in valid_keys:
            remedy = (
                _GONE.get(key)
                or _sentence(explained(key, value, in_recipe=False))
                or (_MEGATRON if _MEGATRON_KEYS.search(key) else "")
                or did_you_mean(key, valid_keys)
                or "Take it out: LLaMA-Factory 0.9.5 has none."
            )
            findings.add("setting_unknown", f"`{key}`", where=where, remedy=remedy)
            continue
        if key in _GONE:
            findings.add("setting_deprecated", f"`{key}`", where=where, remedy=_GONE[key])
        if key == "max_length" and training.on("do_train") and not training.on("predict_with_generate"):
            remedy = _sentence(explained(key, value, in_recipe=False))
            findings.add("setting_misread", f"`{key}` changes nothing here", where=where, remedy=remedy)
        try:
            check_as_written(key, value)
        except ValueError as error:
            findings.add("setting_type", str(error), where=where)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


def _clashes(training: Training) -> Iterator[tuple[str, str]]:
    """Key to point at, and what is wrong. In the words and by the rules of the trainer's own checks."""
    keys, on, number = training.keys, training.on, training.number
    val_size, evaluated = number("val_size", 0), bool(training.names("eval_dataset"))
    stage = keys.get("stage", "sft")
    if val_size > 0 and evaluated:
        yield "val_size", "`val_size` beside `eval_dataset`"
    if val_size > 0 and not training.names("dataset"):
        yield "val_size", "`val_size` without `dataset`"
    if on("streaming"):
        if number("max_steps", -1) <= 0:
            yield "streaming", "`streaming` needs `max_steps`"
        if 0 < val_size < 1:
            yield "val_size", "`streaming` needs a whole number as `val_size`"
        if keys.get("max_samples") is not None:
            yield "max_samples", "`max_samples` with `streaming`"
    if on("mask_history") and on("train_on_prompt"):
        yield "mask_history", "`mask_history` with `train_on_prompt`"
    if stage != "sft":
        for key in ("predict_with_generate", "neat_packing", "train_on_prompt", "mask_history"):
            if on(key):
                yield key, f"`{key}` belongs to `stage: sft`, not to `{stage}`"
    wants = [key for key in ("do_eval", "do_predict", "predict_with_generate") if on(key)]
    strategy = keys.get("eval_strategy", "no")
    if strategy not in ("no", False, None):
        wants.append("eval_strategy")
    if wants and not evaluated and val_size <= 0:
        yield wants[0], f"`{wants[0]}` needs `eval_dataset` or `val_size`"
    if stage == "sft" and on("do_predict") and not on("predict_with_generate"):
        yield "do_predict", "`do_predict` needs `predict_with_generate`"
    if on("predict_with_generate") and training.stage3:
        yield "predict_with_generate", "`predict_with_generate` does not work with ZeRO-3"
    if on("predict_with_generate") and on("compute_accuracy"):
        yield "compute_accuracy", "`compute_accuracy` with `predict_with_generate`"
    if training.limits.max_pixels < training.limits.min_pixels:
        yield "image_max_pixels", "`image_max_pixels` is below `image_min_pixels`"
    if on("pure_bf16") and training.stage3:
        yield "pure_bf16", "`pure_bf16` does not work with ZeRO-3"
    if on("bf16") and on("fp16"):
        yield "fp16", "`fp16` beside `bf16`"
    yield from _best(training)
    yield from _mixing(training)


def _best(training: Training) -> Iterator[tuple[str, str]]:
    keys = training.keys
    if training.on("early_stopping_steps") and not training.on("load_best_model_at_end"):
        yield "early_stopping_steps", "`early_stopping_steps` needs `load_best_model_at_end`"
    if not training.on("load_best_model_at_end") or keys.get("save_strategy") == "best":
        return
    evaluate, save = keys.get("eval_strategy", "no"), keys.get("save_strategy", "steps")
    if evaluate != save:
        message = (
            f"`load_best_model_at_end` needs one strategy, not {evaluate} to evaluate and {save} to save"
        )
        yield "load_best_model_at_end", message
    elif evaluate == "steps":
        every = training.number("eval_steps", training.number("logging_steps", 500))
        save_every = training.number("save_steps", 500)
        if every > 0 and round(save_every * 1e6) % round(every * 1e6):
            message = f"`save_steps` ({save_every:g}) is no multiple of `eval_steps` ({every:g})"
            yield "save_steps", f"{message}, which `load_best_model_at_end` needs"


def _mixing(training: Training) -> Iterator[tuple[str, str]]:
    names, strategy = training.names("dataset"), training.keys.get("mix_strategy", "concat")
    probs = training.keys.get("interleave_probs")
    if probs is None:
        return
    if strategy == "concat":
        yield "interleave_probs", "`interleave_probs` needs an interleaving `mix_strategy`"
        return
    try:
        shares = [float(share) for share in (probs if isinstance(probs, list) else str(probs).split(","))]
    except (TypeError, ValueError):
        yield "interleave_probs", f"`interleave_probs` is {probs!r}, not numbers with commas between them"
        return
    if len(shares) != len(names):
        yield "interleave_probs", f"{len(shares)} `interleave_probs` for {len(names)} data sets"
    elif abs(sum(shares) - 1) > 1e-6:
        yield "interleave_probs", f"`interleave_probs` sum to {sum(shares):g}, not to 1"
    eval_names = training.names("eval_dataset")
    if eval_names and len(eval_names) != len(shares):
        yield "interleave_probs", f"{len(shares)} `interleave_probs` for {len(eval_names)} evaluation sets"


def _model(training: Training, findings: Findings) -> None:
    model = str(training.keys.get("model_name_or_path", ""))
    meant = "" if os.path.isdir(training.path(model)) else misspelt(model)
    if meant:
        remedy = f"Did you mean `{meant}`?"
        findings.add(
            "model_misspelt", f"`{model}`", where=training.where("model_name_or_path"), remedy=remedy
        )


def _template(training: Training, findings: Findings) -> None:
    template, where = training.template, training.where("template")
    if template is None:
        if training.keys.get("stage") != "pt":  # which lays no chats out
            findings.add("template_absent", "`template` is not given", where=where)
        return
    if template not in TEMPLATES:
        hints = {"qwen2_5_vl": "Qwen2.5-VL takes `qwen2_vl`.", "qwen2.5_vl": "Qwen2.5-VL takes `qwen2_vl`."}
        hint = hints.get(template) or did_you_mean(template, TEMPLATES)
        findings.add("template_unknown", f"`{template}`", where=where, remedy=hint)
        return
    if training.layout is None:
        findings.add("tokens_uncounted", f"the template `{template}` is not known to datakit", where=where)
    model = str(training.keys.get("model_name_or_path", ""))
    path = training.path(model)
    family = family_of(str(path) if os.path.isdir(path) else model)
    if family.kind != "qwen_vl":
        if media_of(template) and family.kind == "text":
            words = f"`{template}` for {model}, which takes texts alone: the training stops"
            findings.add("template_family", words, where=where)
        return
    if template == "qwen3_vl" and family.template == "qwen3_vl_nothink":
        if training.keys.get("enable_thinking", True):
            findings.add("template_thinks", f"{model} does not think", where=where)
    elif template.removesuffix("_nothink") != family.template.removesuffix("_nothink"):
        remedy = f"Use `template: {family.template}`."
        findings.add("template_family", f"`{template}` for {model}", where=where, remedy=remedy)


def _quantisation(training: Training, findings: Findings) -> None:
    keys = training.keys

    def add(code: str, key: str, message: str) -> None:
        findings.add(code, message, where=training.where(key))

    bits, export = keys.get("quantization_bit"), keys.get("export_dir")
    if keys.get("export_quantization_bit") is not None:
        if keys.get("adapter_name_or_path") is not None:
            add("quantised", "export_quantization_bit", "an adapter must be merged before quantising")
        if keys.get("export_quantization_dataset") is None:
            add("quantised", "export_quantization_bit", "`export_quantization_dataset` is missing")
    if bits is None:
        return
    method = keys.get("finetuning_type", "lora")
    if export is not None and keys.get("adapter_name_or_path") is not None:
        add("quantised", "quantization_bit", "an adapter cannot be merged into a quantised model")
    if method not in ("lora", "oft"):
        add("quantised", "quantization_bit", f"`quantization_bit` with `finetuning_type: {method}`")
    if training.on("resize_vocab"):
        add("quantised", "resize_vocab", "a quantised model's vocabulary cannot grow")
    if training.on("do_train"):
        add("quantised_base", "quantization_bit", f"{bits} bits")


def _costs(training: Training, findings: Findings) -> None:
    """Settings that work, and harm."""
    keys = training.keys

    def add(code: str, key: str, message: str) -> None:
        findings.add(code, message, where=training.where(key))

    if unsaved := best_unsaved(keys):
        add("best_unsaved", "save_steps", unsaved)
    tokenized = keys.get("tokenized_path")
    if isinstance(tokenized, str) and os.path.exists(training.path(tokenized)):
        add("stale_cache", "tokenized_path", f"{tokenized} exists: data and its settings are ignored")
    if (
        str(keys.get("mix_strategy", "concat")).startswith("interleave")
        and len(training.names("dataset")) > 1
    ):
        add("mixing", "mix_strategy", f"`{keys['mix_strategy']}`")
    if training.on("packing") and not training.on("neat_packing"):
        add("packing", "packing", "`packing` without `neat_packing`")
    tower = keys.get("freeze_vision_tower")
    sees = training.layout is not None and training.layout.family is not None
    if keys.get("finetuning_type") == "full" and tower is None and training.on("do_train") and sees:
        add("vision_frozen", "finetuning_type", "`freeze_vision_tower` is not given")
