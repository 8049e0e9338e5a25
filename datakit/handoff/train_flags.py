"""Which further settings a bundle's training takes: those that its other stages do not rely on.

Written with the standard library alone, for any Python of 3.10 or later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from datakit.core.credentials import is_credential_field
from datakit.core.errors import UserError

_KEY = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_MODEL = "Use MODEL (--model): checks, training and export then have the same model."
_ANEW = "Build anew with it in the recipe, and pack that build: datakit bundle"
_OWN = "Leave it out: run.sh sees to it."
RELIED_ON = {
    **dict.fromkeys(("model_name_or_path", "model_revision"), _MODEL),
    **dict.fromkeys(("adapter_name_or_path", "adapter_folder", "create_new_adapter"), _ANEW),
    **dict.fromkeys(("ref_model", "ref_model_adapters", "reward_model", "reward_model_adapters"), _ANEW),
    **dict.fromkeys(("stage", "finetuning_type", "deepspeed", "train_from_scratch"), _ANEW),
    **dict.fromkeys(("dataset", "eval_dataset", "dataset_dir", "media_dir", "tokenized_path"), _ANEW),
    **dict.fromkeys(("val_size", "streaming", "cutoff_len"), _ANEW),
    **dict.fromkeys(("template", "default_system", "tool_format", "enable_thinking"), _ANEW),
    **dict.fromkeys(("add_tokens", "add_special_tokens", "new_special_tokens_config"), _ANEW),
    **dict.fromkeys(("resize_vocab", "split_special_tokens", "use_fast_tokenizer"), _ANEW),
    **dict.fromkeys(("image_max_pixels", "image_min_pixels", "image_do_pan_and_scan"), _ANEW),
    **dict.fromkeys(("crop_to_patches", "video_max_pixels", "video_min_pixels"), _ANEW),
    **dict.fromkeys(("video_fps", "video_maxlen", "use_audio_in_video", "audio_sampling_rate"), _ANEW),
    **dict.fromkeys(("output_dir", "export_dir", "do_train", "do_predict"), _OWN),
    **dict.fromkeys(("overwrite_output_dir", "resume_from_checkpoint"), _OWN),
    "use_cpu": "Use CPU=1 (--cpu): the server then does without a GPU too.",
    "master_addr": "Use MASTER_ADDR (--master).",
    "master_port": "Use MASTER_PORT (--master-port).",
}
"""The trainer's keys that checks, export, prompts or scores go by -> what to do instead."""


def flag_faults(what: str, words: Iterable[str]) -> Iterator[UserError]:
    """What is wrong with further settings of the training; `what` names where they stand."""
    for word in words:
        key, sign, _ = word.partition("=")
        if not sign or not _KEY.fullmatch(key):
            remedy = "Give each as KEY=VALUE, such as learning_rate=1e-5, a value with spaces in quotes."
            yield UserError(f"{what} has {word!r}, which is no KEY=VALUE", remedy=remedy)
            continue
        name = key.partition(".")[0]
        if is_credential_field(name):
            message = f"{what} has `{name}`, which would stand in commands and logs"
            yield UserError(message, remedy="Set HF_TOKEN in the environment of run.sh.")
        elif name in RELIED_ON:
            message = f"{what} has `{name}`, which other stages of the bundle go by too"
            yield UserError(message, remedy=RELIED_ON[name])
