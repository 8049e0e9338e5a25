"""Flags of `vllm run-batch` out of a recipe's `serve:` section: the machine, and what changes answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from datakit.core.scripts import flag_words


def batch_flags(serve: Any) -> tuple[str, ...]:
    """The words of the flags that a model which answers batch files needs as much as one that is served.

    What follows from the trained prompts (lengths, pixels) is not among them: other questions are asked. None
    without a `serve:` section. A flag of `serve.flags` wins, and false leaves one out.
    """
    if not isinstance(serve, Mapping):
        return ()
    gpus, utilization, length = (
        serve.get(key) for key in ("gpus", "gpu_memory_utilization", "max_model_len")
    )
    flags: dict[str, Any] = {"--generation-config": "vllm"}
    if isinstance(gpus, int) and gpus > 1:
        flags["--tensor-parallel-size"] = gpus
    if utilization is not None:
        flags["--gpu-memory-utilization"] = f"{utilization:g}"
    if length is not None:
        flags["--max-model-len"] = length
    if serve.get("images") or serve.get("videos"):
        most = {"image": serve.get("images") or 1, "video": serve.get("videos") or 0}
        flags["--limit-mm-per-prompt"] = json.dumps(most)
    own = serve.get("flags")
    for name, value in own.items() if isinstance(own, Mapping) else ():
        flags["--" + str(name).lstrip("-").replace("_", "-")] = value
    words: list[str] = []
    for name, value in flags.items():
        if value is not False:
            words += flag_words(name, None if value is True else str(value))
    return tuple(words)
