"""How a bundle serves its model."""

from __future__ import annotations

import json
import math

from datakit.artifacts.serving import Serving, ServingFlag
from datakit.core.pixels import FAMILIES
from datakit.core.regular_files import read_regular
from datakit.core.scripts import comment, flag_words, shell_words
from datakit.serving.requirements import trained_room
from datakit.serving.serve_command import PLACE, PORT
from datakit.training.run_folder import RunFolder


def serve_script(run: RunFolder, name: str) -> bytes:
    """The build's own serve.sh where its serving was planned; else vLLM with the pixels of the training."""
    planned = run.build.serve_script
    return read_regular(planned) if planned is not None else _script(serving_of(run, name)).encode()


def serving_of(run: RunFolder, name: str) -> Serving:
    """The build's own plan where its serving was planned; else the least that its data ask of a server."""
    if run.build.serving is not None:
        return run.build.serving
    family = FAMILIES["qwen3_vl" if "qwen3_vl" in str(run.keys["template"]) else "qwen2_vl"]
    limit = int(run.keys["image_max_pixels"])
    # The processor rounds each side to its grid: with the bare limit it would shrink a picture once more.
    side = math.sqrt(limit) + family.factor
    pixels = {
        "min_pixels": family.min_pixels,
        "max_pixels": min(family.max_pixels, math.ceil(max(side**2, limit * 1.1) / 28**2) * 28**2),
    }
    images = max(1, _most_pictures(run))
    flags = {
        "--served-model-name": name,
        "--host": "127.0.0.1",
        "--port": str(PORT),
        "--max-model-len": "auto",
        "--limit-mm-per-prompt": json.dumps({"image": images}, separators=(",", ":")),
        "--mm-processor-kwargs": json.dumps(pixels, separators=(",", ":")),
        "--generation-config": "vllm",
    }
    return Serving(
        model=PLACE,
        name=name,
        port=PORT,
        tensor_parallel=1,
        max_model_len=0,
        max_answer_tokens=trained_room(run.build),
        flags=[ServingFlag(name=flag, value=value) for flag, value in flags.items()],
        demand={"images": images, "longest_tokens": 0},
    )


def _script(serving: Serving) -> str:
    words = [word for flag in serving.flags for word in flag_words(flag.name, flag.value)]
    name = serving.name
    head = f"Serves {name} with vLLM: the pixels of its training, none of the model's own sampling settings."
    return (
        "#!/usr/bin/env bash\n"
        f"{comment(head)}\n"
        f"{comment('run: ./serve.sh FOLDER_OF_THE_SERVED_MODEL [further flags of vllm serve]')}\n"
        "set -euo pipefail\n"
        'model=${1:?"give the folder of the served model"}\n'
        "shift\n"
        f'exec "${{VLLM:-vllm}}" serve "$model" {shell_words(words)} "$@"\n'
    )


def _most_pictures(run: RunFolder) -> int:
    rows = (row for file in run.build.entries.values() for row in run.build.lines(file))
    return max((len(row.get("images") or ()) for row in rows), default=0)
