"""What other tools call a setting of the training, and LLaMA-Factory's word for it."""

from __future__ import annotations

from typing import Any

_BY_KEY = {
    "cutoff_len": "max_length max_seq_length max_seq_len model_max_length max_len seq_len sequence_len "
    "sequence_length max_tokens block_size context_length seq_length",
    "per_device_train_batch_size": "batch_size train_batch_size micro_batch_size per_device_batch_size "
    "micro_batch_size_per_gpu train_micro_batch_size_per_gpu batch_size_per_gpu bs per_gpu_train_batch_size",
    "per_device_eval_batch_size": "eval_batch_size val_batch_size per_gpu_eval_batch_size",
    "gradient_accumulation_steps": "gradient_accumulation grad_accumulation accumulation_steps grad_accum "
    "grad_accum_steps accumulate_grad_batches accumulative_counts accumulation gradient_accumulate_steps",
    "num_train_epochs": "epochs epoch num_epochs n_epochs max_epochs train_epochs total_epochs",
    "max_steps": "num_steps train_iters total_steps max_iters num_train_steps train_steps",
    "learning_rate": "lr base_lr learning_rate_init init_lr peak_lr learning_rate_multiplier",
    "weight_decay": "wd",
    "max_grad_norm": "gradient_clipping clip_grad grad_clip max_norm gradient_clip_val clip_grad_norm",
    "warmup_ratio": "warmup lr_warmup_fraction warmup_proportion lr_warmup_ratio",
    "warmup_steps": "num_warmup_steps warmup_iters lr_warmup_iters lr_warmup_steps",
    "lr_scheduler_type": "lr_scheduler scheduler lr_schedule lr_decay_style scheduler_type",
    "optim": "optimizer optimizer_type optim_type",
    "lora_rank": "lora_r lora_dim r rank lora_dimension",
    "lora_alpha": "alpha lora_scale lora_scaling",
    "lora_dropout": "dropout lora_dropout_p",
    "lora_target": "target_modules lora_target_modules lora_modules",
    "quantization_bit": "load_in_4bit load_in_8bit quant_bits bits quantization_bits",
    "flash_attn": "attn_impl attn_implementation use_flash_attn use_flash_attention_2 flash_attention",
    "freeze_vision_tower": "freeze_vit freeze_vision freeze_visual tune_mm_vision",
    "freeze_multi_modal_projector": "freeze_aligner freeze_projector freeze_merger tune_mm_mlp",
    "freeze_language_model": "freeze_llm tune_mm_llm",
    "image_max_pixels": "max_pixels max_image_pixels",
    "image_min_pixels": "min_pixels min_image_pixels",
    "dataloader_num_workers": "num_workers workers",
    "preprocessing_num_workers": "dataset_num_proc num_proc preprocess_num_workers",
    "save_steps": "save_interval save_every checkpoint_every",
    "eval_steps": "eval_interval eval_every evaluation_steps val_check_interval",
    "logging_steps": "log_interval log_every log_steps log_every_n_steps",
    "save_total_limit": "max_checkpoints keep_checkpoints save_top_k",
    "eval_strategy": "evaluation_strategy",
    "disable_gradient_checkpointing": "use_gradient_checkpointing",
    "neftune_noise_alpha": "neftune_alpha",
    "seed": "random_seed random_state",
    "report_to": "logger loggers",
    "bf16": "torch_dtype dtype mixed_precision precision",
    "model": "model_id model_name model_id_or_path base_model pretrained_model_name_or_path model_path "
    "model_dir",
    "method": "train_type tuner_type sft_type tuning_type peft_type training_type use_lora use_peft",
    "template": "chat_template conv_template template_type model_type",
    "gpus": "num_gpus n_gpus nproc_per_node ngpus world_size n_gpu num_processes gpu_num",
    "nodes": "nnodes num_nodes n_nodes num_machines",
    "deepspeed": "zero_stage deepspeed_config zero",
    "val_size": "val_split eval_ratio split_dataset_ratio test_size validation_split val_ratio val_set_size",
}
_KEY_OF = {word: key for key, words in _BY_KEY.items() for word in words.split()}
_VALUE_DIFFERS = (
    *("bf16", "disable_gradient_checkpointing", "quantization_bit", "method", "flash_attn", "deepspeed"),
    *("template", "warmup_ratio", "freeze_vision_tower", "freeze_multi_modal_projector", "report_to"),
    "freeze_language_model",
)
"""Keys that mean the same, with values of their own."""
_HINTS = {
    "max_length": "LLaMA-Factory has a `max_length` too, which bounds the answers that it generates",
    "warmup": "a share of all steps; `warmup_steps` counts them",
    "batch_size": "rows on one GPU at a time, times `gradient_accumulation_steps`, times GPUs, make a step",
    "load_in_4bit": "4 in place of true",
    "load_in_8bit": "8 in place of true",
    "use_gradient_checkpointing": "true turns off what is on",
    "tune_mm_vision": "false trains it",
    "tune_mm_mlp": "false trains it",
    "tune_mm_llm": "false trains it",
    "max_tokens": "of a whole row, its pictures included",
}
_IN_TRAINER_FILES = {
    "model": "`model_name_or_path`",
    "method": "`finetuning_type`",
    "gpus": "no key but the variable NPROC_PER_NODE of the environment",
    "nodes": "no key but the variable NNODES of the environment",
}


def meant_by(word: str) -> str | None:
    """The key of LLaMA-Factory, or of a recipe's `train:`, that another tool's word stands for."""
    return _KEY_OF.get(_plain(word))


def explained(word: str, value: Any = None, *, in_recipe: bool = True) -> str:
    """What to write for another tool's word; "" for one that is not known as such."""
    key = meant_by(word)
    if key is None:
        return ""
    written = f"`{key}`"
    is_plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    if is_plain and key not in _VALUE_DIFFERS and len(str(value)) < 60:
        written = f"`{key}: {value}`"
    if not in_recipe:
        written = _IN_TRAINER_FILES.get(key, written)
    elif key == "val_size":
        written = "the step `curate.split` of the recipe, with its `val`"
    hint = _HINTS.get(_plain(word))
    return f"it is another tool's word; LLaMA-Factory's is {written}" + (f" ({hint})" if hint else "")


def _plain(word: str) -> str:
    return word.lstrip("-").replace("-", "_").lower()
