"""The serving plan: what fits on the GPUs, which flags `vllm serve` gets and why. Nothing is started.

Formulas as vLLM 0.32 computes them; the longest context is compared with a real server in tests/vllm.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datakit.core.errors import UserError
from datakit.core.qwen_models import QwenModel
from datakit.serving.general import general_length, images_of, largest_item
from datakit.serving.requirements import Requirements
from datakit.serving.rooms import rounded_room
from datakit.serving.serve_command import (
    CPU_BLOCK,
    Flag,
    ServeCommand,
    changed_flags,
    cpu_cache_bytes,
    cpu_flags,
    length_and_port,
    serve_parts,
)
from datakit.serving.settings import ServeSettings

GPU_BLOCK = 16
"""Tokens in a block of the key-value cache on a GPU."""
_GIB = 1 << 30
_LARGE_GPU_GIB = 70
_BATCHED_TOKENS = {"cpu": 2048, "gpu": 2048, "large_gpu": 8192}
"""vLLM's default of `--max-num-batched-tokens` for a server: 8,192 on GPUs of 70 GiB and more."""
_BUFFERS_BYTES = _GIB // 4
"""What a model holds beside its weights, tables of positions above all: 0.2 to 0.5 GiB (vLLM 0.25.1 on an
H100, four models of 3B to 8B). Captured graphs lie in the share of the GPU that vLLM leaves."""
_SEQUENCES = {"gpu": 256, "large_gpu": 1024}
"""vLLM's default of `--max-num-seqs`: so many rows of logits are sampled in its profiling run."""
_SAMPLING_BYTES = 4
"""Bytes a logit in the profiling run's sampling: float32. Those four models' caches are planned to 0.6%."""
_ROUND = 64


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU."""

    total: int
    taken: int
    """The share that vLLM may use."""
    weights: int
    working: int
    """Activations of the profiling run, sampling and CUDA graphs: an estimate."""
    cache: int
    """Left for the key-value cache."""
    bytes_per_token: float
    longest_context: int
    """Tokens of the longest request that the cache can hold; 0 when nothing is left."""


@dataclass(frozen=True)
class ServingPlan:
    """A command that starts, and the figures behind it."""

    model: str
    """What is served: a folder or a name."""
    name: str
    port: int
    tensor_parallel: int
    max_model_len: int
    max_answer_tokens: int
    """Of the last turn."""
    flags: tuple[Flag, ...]
    memory: Memory
    demand: Requirements
    notes: tuple[str, ...] = ()
    turn_rooms: tuple[int, ...] = ()
    """Tokens for an answer of each turn."""

    @property
    def url(self) -> str:
        return self.serve_command.url

    @property
    def serve_command(self) -> ServeCommand:
        """What starts the server."""
        return ServeCommand(
            model=self.model,
            name=self.name,
            port=self.port,
            flags=self.flags,
            max_model_len=self.max_model_len,
            longest_tokens=self.demand.longest_tokens,
            images=self.demand.images,
        )

    def command(self, program: str = "vllm") -> list[str]:
        """The words of the command."""
        return self.serve_command.command(program)

    def parts(self, program: str = "vllm") -> list[list[str]]:
        """The same, each flag with its values by itself."""
        return serve_parts(program, self.model, self.flags)

    def with_flags(
        self, changes: dict[str, str | None], why: str, *, dropped: tuple[str, ...] = ()
    ) -> ServingPlan:
        """The plan with other values for some flags, and without others."""
        length, port = length_and_port(changes, self.max_model_len, self.port)
        flags = changed_flags(self.flags, changes, why, dropped)
        return replace(self, flags=flags, max_model_len=length, port=port)


def longest_context(cache_bytes: int, bytes_per_token: float, block: int = GPU_BLOCK) -> int:
    """Tokens of the longest request that a cache of so many bytes holds; one block is vLLM's own."""
    return max(0, (math.floor(cache_bytes / (block * bytes_per_token)) - 1) * block)


def plan_serving(
    model: QwenModel,
    demand: Requirements,
    settings: ServeSettings,
    *,
    served: str,
    name: str,
    cpu: bool = False,
) -> ServingPlan:
    """The plan for a model and a build's demand. `served` is the folder or name that vLLM gets.

    Raises UserError, with the figures and what would help, for what cannot start.
    """
    parallel = 1 if cpu else settings.gpus
    _check_parallel(model, parallel)
    rooms = _rooms(demand, settings)
    answer = rooms[-1]
    longest_prompt = max(demand.prompt_tokens, demand.asked_tokens + sum(rooms[:-1]))
    needed = longest_prompt + max(answer, demand.answer_tokens)
    length = settings.max_model_len or _up(needed, _ROUND)
    _check_length(model, demand, length, answer)
    memory = cpu_memory(model, settings, length) if cpu else gpu_memory(model, demand, settings)
    if settings.general and settings.max_model_len is None:
        length = general_length(model, demand, settings, memory, length)
    if memory.longest_context < length:
        raise _does_not_fit(model, demand, settings, memory, length)
    flags = _flags(demand, settings, name, length, answer)
    flags += cpu_flags(memory.cache) if cpu else _gpu_flags(settings, parallel)
    plan = ServingPlan(
        model=served,
        name=name,
        port=settings.port,
        tensor_parallel=parallel,
        max_model_len=length,
        max_answer_tokens=answer,
        flags=tuple(flags),
        memory=memory,
        demand=demand,
        notes=tuple(_notes(demand, memory, length)),
        turn_rooms=rooms,
    )
    own = {_dashed(key): _text(value) for key, value in settings.flags.items() if value is not False}
    dropped = tuple(_dashed(key) for key, value in settings.flags.items() if value is False)
    return plan.with_flags(own, "from the recipe (`serve.flags`)", dropped=dropped)


def _rooms(demand: Requirements, settings: ServeSettings) -> tuple[int, ...]:
    """Tokens for an answer of each turn: what the recipe says for all, else twice the longest trained one."""
    longest = (*demand.turn_tokens[:-1], demand.answer_tokens)
    return tuple(settings.max_answer_tokens or rounded_room(tokens) for tokens in longest)


def gpu_memory(model: QwenModel, demand: Requirements, settings: ServeSettings) -> Memory:
    """What lies on each GPU. Exact for weights and cache; the working memory is an estimate."""
    total = int(settings.gpu_memory_gb * _GIB)
    usable = math.ceil(total * settings.gpu_memory_utilization)
    weights = weight_bytes(model) // settings.gpus
    working = _working_bytes(model, demand, settings)
    cache = max(0, usable - weights - working)
    per_token = model.kv_bytes_per_token(settings.gpus)
    return Memory(total, usable, weights, working, cache, per_token, longest_context(cache, per_token))


def cpu_memory(model: QwenModel, settings: ServeSettings, length: int) -> Memory:
    """The cache on CPU: room for a few of the longest requests, in float32."""
    per_token = model.kv_bytes_per_token(element_bytes=4)
    flag = settings.flags.get("kv-cache-memory-bytes")
    cache = _bytes_of(str(flag)) if flag else cpu_cache_bytes(per_token, length)
    weights = 4 * model.parameters
    longest = longest_context(cache, per_token, CPU_BLOCK)
    return Memory(weights + cache, weights + cache, weights, 0, cache, per_token, longest)


def _bytes_of(text: str) -> int:
    """Bytes of `16M`, `2G` or a plain number, as vLLM reads them: capital letters are powers of 1,024."""
    units = {"k": 1000, "m": 1000**2, "g": 1000**3, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        return int(float(number) * unit)
    except ValueError:
        raise UserError(
            f"serve.flags.kv-cache-memory-bytes is {text!r}", remedy="Write it as 16M or 2G."
        ) from None


def weight_bytes(model: QwenModel) -> int:
    """Bytes of a model's weights: of its files where it is a folder, else two a parameter.

    Names with AWQ, GPTQ-Int4 or FP8 are counted with 4 or 8 bits for the decoder layers.
    """
    folder = Path(model.name)
    if folder.is_dir():
        files = [path.stat().st_size for path in folder.glob("*.safetensors")]
        if files:
            return sum(files)
    bits = {"awq": 4.5, "int4": 4.5, "int8": 8.25, "fp8": 8.0}
    word = model.name.lower()
    wide = next((value for mark, value in bits.items() if mark in word), 16.0)
    layers = model.parts.layers
    return int(layers * wide / 8) + 2 * (model.parameters - layers)


def _working_bytes(model: QwenModel, demand: Requirements, settings: ServeSettings) -> int:
    """Peak of vLLM's profiling run: a full batch of tokens, the pictures that fit into it, sampling."""
    size = "large_gpu" if settings.gpu_memory_gb >= _LARGE_GPU_GIB else "gpu"
    tokens = int(settings.flags.get("max-num-batched-tokens", _BATCHED_TOKENS[size]))
    sequences = int(settings.flags.get("max-num-seqs", _SEQUENCES[size]))
    decoder = tokens * 2 * (6 * model.hidden + 3 * model.intermediate // settings.gpus)
    cells = max(tokens, largest_item(demand, settings))
    vision = 4 * cells * model.vision_hidden * 2 * 14  # attention, its rotary copies and the wide layer
    sampling = sequences * model.vocab * _SAMPLING_BYTES
    return max(decoder, vision) + sampling + _BUFFERS_BYTES


def _check_parallel(model: QwenModel, parallel: int) -> None:
    fits = [count for count in range(1, min(max(parallel, 2), model.heads) + 1) if splits(model, count)]
    if parallel not in fits:
        raise UserError(
            f"{model.name} has {model.heads} attention heads, {model.kv_heads} key-value heads and "
            f"{model.vision_heads} in its vision tower, which cannot be split over {parallel} GPUs",
            remedy=f"Set serve.gpus to {' or '.join(map(str, fits))}.",
        )


def splits(model: QwenModel, parallel: int) -> bool:
    """Whether a model can be split over so many GPUs: each kind of heads must divide."""
    kv = model.kv_heads % parallel == 0 or parallel % model.kv_heads == 0
    return kv and model.heads % parallel == 0 and model.vision_heads % parallel == 0


def _check_length(model: QwenModel, demand: Requirements, length: int, answer: int) -> None:
    if length < demand.longest_tokens:
        raise UserError(
            f"serve.max_model_len is {length:,}, but record {demand.longest} has {demand.longest_tokens:,} "
            "tokens with its pictures and answer",
            remedy=f"Leave it out ({_up(demand.prompt_tokens + answer, _ROUND):,} would do), or shorten "
            "the prompts (render.chat: max_chars) or the pictures (image_max_pixels).",
        )
    if length > model.max_positions:
        raise UserError(
            f"the longest request needs {length:,} tokens, {model.name} takes {model.max_positions:,}",
            remedy="Lower image_max_pixels or render.chat's max_chars, or serve a model with more positions.",
        )


def _does_not_fit(
    model: QwenModel, demand: Requirements, settings: ServeSettings, memory: Memory, length: int
) -> UserError:
    """What is missing, and the changes that would help, tried out one by one."""
    figures = (
        f"on each GPU vLLM may take {memory.taken / _GIB:.1f} of {memory.total / _GIB:.1f} GiB: weights "
        f"{memory.weights / _GIB:.1f}, working memory about {memory.working / _GIB:.1f}, so "
        f"{memory.cache / _GIB:.1f} GiB are left for the cache"
    )
    remedies = []
    for gpus in (2, 4, 8):
        more = settings.model_copy(update={"gpus": gpus})
        if gpus <= settings.gpus or not splits(model, gpus):
            continue
        if gpu_memory(model, demand, more).longest_context >= length:
            remedies.append(f"serve.gpus: {gpus}")
            break
    eager = settings.model_copy(
        update={"flags": {**settings.flags, "enforce-eager": True, "max-num-seqs": 32}}
    )
    if gpu_memory(model, demand, eager).longest_context >= length:
        remedies.append("serve.flags: {enforce-eager: true, max-num-seqs: 32}")
    for gigabytes in (24, 32, 48, 80, 141):
        larger = settings.model_copy(update={"gpu_memory_gb": gigabytes})
        if gigabytes > settings.gpu_memory_gb and gpu_memory(model, demand, larger).longest_context >= length:
            remedies.append(f"a GPU of {gigabytes} GB")
            break
    remedies.append("a quantised or smaller model")
    return UserError(
        f"{model.name} cannot be served: {figures}, room for {memory.longest_context:,} tokens "
        f"({memory.bytes_per_token:,.0f} bytes each); the longest request has {length:,}",
        remedy=f"What would help: {'; or '.join(remedies)}.",
    )


def _flags(demand: Requirements, settings: ServeSettings, name: str, length: int, answer: int) -> list[Flag]:
    served = demand.served
    pixels = {"min_pixels": served.min_pixels, "max_pixels": served.max_pixels}
    return [
        Flag(
            "--served-model-name",
            name,
            f"requests must use {'one of these names' if settings.names else 'this name'}; any other is "
            "answered with 404",
            tuple(settings.names),
        ),
        Flag("--host", "127.0.0.1", "only this machine; vLLM itself would listen on every address"),
        Flag("--port", str(settings.port), "serve.port"),
        Flag(
            "--max-model-len",
            str(length),
            f"longest prompt {demand.prompt_tokens:,} tokens with pictures, answer up to {answer:,}"
            + ("; the rest is for questions of your own (serve.general)" if settings.general else ""),
        ),
        Flag(
            "--limit-mm-per-prompt",
            json.dumps({"image": images_of(demand, settings), "video": settings.videos}),
            "the most pictures of a request; "
            + ("serve.videos" if settings.videos else "no memory is set aside for videos"),
        ),
        Flag(
            "--mm-processor-kwargs",
            json.dumps(pixels),
            f"training's {demand.trainer.max_pixels:,} and room for rounding to the grid of {served.factor}: "
            "no picture is shrunk a second time",
        ),
        Flag(
            "--generation-config",
            "vllm",
            "the model's own defaults (temperature 0.1, repetition penalty 1.05) would change answers",
        ),
    ]


def _gpu_flags(settings: ServeSettings, parallel: int) -> list[Flag]:
    utilization = f"{settings.gpu_memory_utilization:g}"
    flags = [Flag("--gpu-memory-utilization", utilization, "the share that the figures rest on")]
    if parallel > 1:
        flags.append(Flag("--tensor-parallel-size", str(parallel), "without it vLLM uses one of the GPUs"))
    return flags


def _notes(demand: Requirements, memory: Memory, length: int) -> list[str]:
    notes = []
    if demand.mismatches:
        width, height = demand.mismatches[0]
        notes.append(
            f"{len(demand.mismatches)} of {demand.sizes} picture sizes get other tokens than in training, "
            f"for example {width}x{height}"
        )
    if demand.untreated:
        notes.append(
            f"{demand.untreated} of {demand.sizes} picture sizes get other tokens than in training when a "
            "client sends pictures as they are; datakit.Classifier and `datakit predict` resize first"
        )
    at_once = memory.longest_context // length
    notes.append(f"about {at_once} requests of the longest kind fit into the cache at once")
    return notes


def _up(value: int, step: int) -> int:
    return math.ceil(value / step) * step


def _dashed(key: str) -> str:
    return "--" + key.lstrip("-").replace("_", "-")


def _text(value: Any) -> str | None:
    return None if value is True else str(value)
