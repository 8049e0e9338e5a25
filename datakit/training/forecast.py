"""What a training will take, said before it starts: tokens, steps, seconds, GPU hours and their price.

A step takes its arithmetic and the starting of its kernels, or, where that takes longer, making pictures
ready; then the optimizer's traffic, and what GPUs send each other. Arithmetic is counted from parameters and
tokens (Kaplan and others 2020, section 2.1). The constants below were fitted to trainings that
scripts/bench_train.py timed; docs/how-to/plan-training.md has them beside the forecast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.qwen_models import QwenModel
from datakit.training.gpus import Gpu
from datakit.training.memory import Trained, trained_by
from datakit.training.preprocessing import IMAGE_S, TEXT_S
from datakit.training.steps import total_steps

USED = 0.50
"""Share of a GPU's arithmetic that a training reaches while nothing else holds it up."""
LAYER_S = 0.0108
"""Seconds to start the kernels of one decoder layer: forward, again for checkpointing, and backward."""
BLOCK_S, WINDOW_S = 0.0033, 0.000_066
"""Of one block of the vision tower, and of each window or whole picture beside that: forward alone."""
WINDOW_PATCHES = 64
"""Of a window of Qwen2.5-VL, whose attention is called for each; whole blocks call it for each picture."""
RECOMPUTED = 0.06
"""Share of LAYER_S that checkpointing adds: the second forward pass."""
TENSOR_S, MODULE_S = 0.000_15, 0.0015
"""That DeepSpeed takes for each trained tensor, and under ZeRO-3 for each module, in one pass."""
PICTURE_PX = 1280 * 960
"""Of the picture that IMAGE_S was measured on."""
AGAIN = 1.5
"""Times what preparing a picture took that the trainer spends on it again, in every epoch."""
BUS_GB_S = 20.0
"""Between a host and its GPU, where the parameters stay on the host."""
HOST_GB_S = 40.0
"""Of a host's memory, where the optimizer stays on it and half of the cores update the weights."""
OPTIMIZER_BYTES = 28
"""That AdamW reads and writes for each trained parameter: gradient, weight and two moments in float32."""
STARTING_S, DEEPSPEED_STARTING_S, OFFLOAD_STARTING_S = 40, 20, 40
"""Until the trainer reads its first row and, behind the last, until its first step; more under DeepSpeed,
and more again with offload, for which DeepSpeed compiles its Adam."""
MEASURED_BAND, RECKONED_BAND = 1.5, 3.0
"""Factors around the forecast that should hold the truth: on a GPU that was measured, and on others."""


class Work(BaseModel):
    """What is trained on, from the build's check."""

    rows: int
    """Of training, each epoch."""
    text_tokens: int
    image_tokens: int
    """Sums over them."""
    held_out_tokens: int
    """Of all validation rows, seen at every evaluation."""
    steps: int
    """Of the optimizer."""
    evaluations: int


class Forecast(BaseModel):
    """A training, as it is expected; times in seconds."""

    gpu: str
    gpus: int
    """Of all nodes together."""
    work: Work
    tokens_seen: int
    """Over all epochs, pictures included."""
    step_s: float
    """Of one step of the optimizer."""
    slowest: str
    """What a step waits for: arithmetic, kernels or pictures."""
    starting_s: float
    """Programs and weights, on a machine where nothing is cached yet."""
    preprocessing_s: float
    training_s: float
    """All steps with their evaluations, without preprocessing and saving."""
    gpu_hours: float
    """Start, preprocessing and training, times the GPUs."""
    gpu_hours_low: float
    gpu_hours_high: float
    cost: float | None = None
    """In the currency of the price that was given."""
    basis: str = ""


@dataclass(frozen=True)
class Rates:
    """Seconds that the parts of one pass over `rows` rows of one GPU take."""

    arithmetic: float
    kernels: float
    pictures: float

    @property
    def seconds(self) -> float:
        """Kernels are started while the GPU still reckons, but not often enough: both are added."""
        return max(self.arithmetic + self.kernels, self.pictures)

    @property
    def slowest(self) -> str:
        """The largest part, by its name."""
        if self.pictures >= self.arithmetic + self.kernels:
            return "pictures"
        return "arithmetic" if self.arithmetic > self.kernels else "kernels"


def work_of(build: BuildFolder, keys: dict[str, Any], gpus: int) -> Work | None:
    """The work of a build under these keys; None where no check counted its tokens."""
    check = build.check
    if check is None:
        return None
    train = [own for own in check.data_sets if own.get("part") == "train" and own.get("kept")]
    held = [own for own in check.data_sets if own.get("part") != "train" and own.get("kept")]
    rows = sum(int(own["kept"]) for own in train)
    text, image = (sum(int(own.get(f"{kind}_tokens") or 0) for own in train) for kind in ("text", "image"))
    if not rows or not text + image:
        return None
    packed = rows
    if keys.get("packing") or keys.get("neat_packing"):
        packed = max(1, -(-(text + image) // int(keys.get("cutoff_len", 4096))))
    steps = total_steps({"gradient_accumulation_steps": 1, **keys}, packed, gpus)
    every = keys.get("eval_steps")
    return Work(
        rows=rows,
        text_tokens=text,
        image_tokens=image,
        held_out_tokens=sum(
            int(own.get("text_tokens") or 0) + int(own.get("image_tokens") or 0) for own in held
        ),
        steps=steps,
        evaluations=(int(steps // every) if every and held else 0),
    )


def flops(size: QwenModel, trained: Trained, tokens: float, image_tokens: float, length: float) -> float:
    """Floating-point operations of training on `tokens`, in rows of `length` tokens on average.

    Forward 2 a parameter and token; as much for the gradients of activations, and again for the forward pass
    that checkpointing repeats; as much once more for each trained parameter. Attention adds 4 a pair of
    tokens and unit of width, half of it masked. A picture's token is four patches of the vision tower, which
    goes forward alone while it is frozen.
    """
    language = size.parts.active_layers + size.vocab * size.hidden
    share = trained.parameters / max(1, trained.parameters + trained.frozen)
    passes = 3.0 + min(1.0, share)
    pairs = 2.0 * length * size.heads * size.head_dim * size.layers
    seeing = 3.0 if trained.through_vision else 1.0
    return passes * tokens * (2.0 * language + pairs) + seeing * 2.0 * 4.0 * size.parts.vision * image_tokens


def starting_s(mode: str) -> float:
    """Seconds from the command to the first row read: imports and the model's weights, as measured."""
    deepspeed, offload = mode != "none", "offload" in mode
    return STARTING_S + DEEPSPEED_STARTING_S * deepspeed + OFFLOAD_STARTING_S * offload


def forecast(
    size: QwenModel, keys: dict[str, Any], mode: str, work: Work, gpu: Gpu, gpus: int, price: float | None
) -> Forecast:
    """The forecast of a training in this mode on `gpus` GPUs, each of which costs `price` an hour."""
    trained = trained_by(keys, size)
    rows = int(keys.get("per_device_train_batch_size", 1))
    passes = int(keys.get("gradient_accumulation_steps", 1))
    rates = _rates(size, trained, keys, mode, work, gpu)
    step = passes * (rates.seconds + _sharing(trained, mode, gpu, gpus)) + _optimizer(
        trained, mode, gpu, gpus
    )
    seen = work.steps * rows * passes * gpus * (work.text_tokens + work.image_tokens) / work.rows
    forward = flops(size, Trained(0, trained.frozen + trained.parameters), work.held_out_tokens, 0, 0) / 3
    evaluating = work.evaluations * forward / (gpu.flops * USED * gpus)
    workers = int(keys.get("preprocessing_num_workers") or 1)
    preparing = (work.rows * TEXT_S + _pictures_s(size, work.image_tokens)) / workers
    training = work.steps * step + evaluating
    starting = starting_s(mode)
    hours = (starting + preparing + training) / 3600 * gpus
    band = MEASURED_BAND if gpu.measured and mode in ("none", "z0", "z2", "z3") else RECKONED_BAND
    return Forecast(
        gpu=gpu.name,
        gpus=gpus,
        work=work,
        tokens_seen=round(seen),
        step_s=step,
        slowest=rates.slowest,
        starting_s=starting,
        preprocessing_s=preparing,
        training_s=training,
        gpu_hours=hours,
        gpu_hours_low=hours / band,
        gpu_hours_high=hours * band,
        cost=None if price is None else hours * price,
        basis="held against trainings timed on this GPU"
        if band == MEASURED_BAND
        else "reckoned from data sheets",
    )


def _rates(size: QwenModel, trained: Trained, keys: dict[str, Any], mode: str, work: Work, gpu: Gpu) -> Rates:
    rows = int(keys.get("per_device_train_batch_size", 1))
    length = (work.text_tokens + work.image_tokens) / work.rows
    seen = work.image_tokens / work.rows
    workers = max(1, int(keys.get("dataloader_num_workers") or 1))
    once = bool(keys.get("disable_gradient_checkpointing"))
    kernels = LAYER_S * size.layers * (1 - RECOMPUTED * once) + _deepspeed(size, keys, mode)
    if seen:
        windows = 4 * rows * seen / WINDOW_PATCHES * size.vision_windowed
        windows += rows * (size.vision_depth - size.vision_windowed)
        passes = 3 if trained.through_vision else 1
        kernels += passes * (BLOCK_S * size.vision_depth + WINDOW_S * windows)
    return Rates(
        arithmetic=flops(size, trained, rows * length, rows * seen, length) / (gpu.flops * USED),
        kernels=kernels,
        pictures=AGAIN * _pictures_s(size, rows * seen) / workers,
    )


def _deepspeed(size: QwenModel, keys: dict[str, Any], mode: str) -> float:
    """Seconds of one pass that DeepSpeed's own bookkeeping takes."""
    if mode == "none":
        return 0.0
    adapted = keys.get("finetuning_type", "lora") == "lora"
    tensors = (14 if adapted else 12) * size.layers  # two adapters on each of seven linear modules
    modules = (25 if adapted else 11) * size.layers + 8 * size.vision_depth
    return TENSOR_S * tensors + (MODULE_S * modules if mode.startswith("z3") else 0.0)


def _pictures_s(size: QwenModel, image_tokens: float) -> float:
    """Seconds of one worker to scale pictures of so many tokens and cut them into patches."""
    return image_tokens * (2 * size.patch) ** 2 / PICTURE_PX * IMAGE_S


def _optimizer(trained: Trained, mode: str, gpu: Gpu, gpus: int) -> float:
    """Seconds of one update, which moves memory and reckons little."""
    moved = OPTIMIZER_BYTES * trained.parameters / (1 if mode in ("none", "z0") else gpus)
    return moved / ((HOST_GB_S if "offload" in mode else gpu.memory_gb_s) * 1e9)


def _sharing(trained: Trained, mode: str, gpu: Gpu, gpus: int) -> float:
    """Seconds of one pass to send gradients, and under ZeRO-3 the parameters three times, between GPUs."""
    weights = 2.0 * (trained.parameters + trained.frozen)
    host = 3 * weights / (BUS_GB_S * 1e9) if mode == "z3_offload" else 0.0
    if gpus == 1:
        return host
    sent = 2.0 * 2.0 * trained.parameters + (3 * weights if mode.startswith("z3") else 0.0)
    return host + sent * (gpus - 1) / gpus / (gpu.link_gb_s * 1e9)
