"""Why vLLM did not start, read from what it printed, and what to change for the next try.

Texts of vLLM 0.4 to 0.32.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from datakit.core.disk_faults import SAYS_FULL

_BLOCK = 16


@dataclass(frozen=True)
class Failure:
    """A known reason."""

    kind: str
    detail: str
    """One sentence with the server's figures."""
    remedy: str
    changes: dict[str, str | None] = field(default_factory=dict)
    """Flags to set for the next try; where nothing changes for it, only the user can help."""
    dropped: tuple[str, ...] = ()
    """Flags to leave out."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables to set for the next try."""


def read_failure(log: str) -> Failure | None:
    """The reason that a log names; None when it names no known one. The most specific is taken."""
    for pattern, make in _KNOWN:
        match = pattern.search(log)
        if match:
            return make(match)
    return None


def _length(match: re.Match[str]) -> Failure:
    most = int(match[1])
    fits = most if most < _BLOCK else most // _BLOCK * _BLOCK
    return Failure(
        "context_too_long",
        f"the cache holds a request of {most:,} tokens at most",
        f"Serve with --max-model-len {fits}, more GPUs or a smaller model.",
        {"--max-model-len": str(fits)},
    )


def _positions(match: re.Match[str]) -> Failure:
    return Failure(
        "context_over_model",
        f"the model takes at most {int(match[1]):,} tokens",
        f"Serve with --max-model-len {match[1]}.",
        {"--max-model-len": match[1]},
    )


def _no_cache(match: re.Match[str]) -> Failure:
    return Failure(
        "no_cache_memory",
        "weights and profiling left no memory for the cache",
        "Serve on more or larger GPUs, or a smaller or quantised model.",
        {"--enforce-eager": None, "--max-num-seqs": "32"},
    )


def _not_free(match: re.Match[str]) -> Failure:
    free, total = float(match[1]), float(match[2])
    share = int(free / total * 100 - 1) / 100
    retry = {"--gpu-memory-utilization": f"{share:g}"} if share >= 0.3 else {}
    return Failure(
        "memory_taken",
        f"only {free:g} of {total:g} GiB are free: another process uses this GPU",
        f"End it (nvidia-smi shows it), or serve with --gpu-memory-utilization {share:g}.",
        dict(retry),
    )


def _out_of_memory(match: re.Match[str]) -> Failure:
    return Failure(
        "out_of_memory",
        match[0].splitlines()[0][:200],
        "Serve on more GPUs, or lower image_max_pixels: the profiling run did not fit.",
        {"--enforce-eager": None, "--max-num-seqs": "32", "--max-num-batched-tokens": "2048"},
    )


def _unknown_flags(match: re.Match[str]) -> Failure:
    dropped = tuple(word.split("=")[0] for word in match[1].split() if word.startswith("--"))
    return Failure(
        "unknown_flags",
        f"this vLLM does not know {', '.join(dropped)}",
        "Upgrade it: pip install -U vllm.",
        dropped=dropped,
    )


def _port(match: re.Match[str]) -> Failure:
    return Failure("port_taken", "the port is in use", "Choose another with --port, or end the other server.")


def _old_limit(match: re.Match[str]) -> Failure:
    return Failure(
        "old_limit_syntax",
        "this vLLM takes --limit-mm-per-prompt as image=N",
        "Upgrade it: pip install -U vllm.",
        {"--limit-mm-per-prompt": "old"},
    )


def _heads(match: re.Match[str]) -> Failure:
    return Failure(
        "heads_not_divisible",
        match[0],
        f"Set serve.gpus to a number that divides {match[1]}.",
    )


def _world(match: re.Match[str]) -> Failure:
    return Failure(
        "too_few_gpus",
        f"the plan wants {match[1]} GPUs, this machine shows {match[2]}",
        f"Set serve.gpus: {match[2]}, or CUDA_VISIBLE_DEVICES.",
    )


def _bfloat16(match: re.Match[str]) -> Failure:
    return Failure(
        "no_bfloat16",
        "this GPU cannot compute in bfloat16",
        "Serve with --dtype float16.",
        {"--dtype": "float16"},
    )


def _no_device(match: re.Match[str]) -> Failure:
    return Failure(
        "no_gpu", "vLLM finds no GPU", "Run it where a GPU is, or with --cpu and the CPU build of vLLM."
    )


DISK_FULL = Failure(
    "disk_full",
    "the disk is full, which vLLM writes its log and its caches to",
    "Make room in the run's folder, in ~/.cache/vllm and in the folder for temporary files.",
)


def _full(match: re.Match[str]) -> Failure:
    return DISK_FULL


def _no_model(match: re.Match[str]) -> Failure:
    return Failure(
        "no_model",
        match[0].strip()[:200],
        "Is the model's folder whole? A LoRA adapter must be merged first: datakit export BUILD.",
    )


def _half_written(match: re.Match[str]) -> Failure:
    return Failure(
        "weights_damaged",
        match[0].strip()[:200],
        "A weight file is not whole: export the model again (datakit export BUILD).",
    )


def _no_hub(match: re.Match[str]) -> Failure:
    return Failure(
        "no_network",
        "the model is to be downloaded, and its hub cannot be reached",
        "Give its folder (--model PATH), or HF_ENDPOINT for a mirror.",
    )


_KNOWN: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Failure]], ...] = (
    (re.compile(r"unrecognized arguments: (.+)"), _unknown_flags),
    (re.compile(r"argument --limit-mm-per-prompt: (?:invalid|expected).*", re.I), _old_limit),
    (re.compile(r"Invalid item format: \{|Each item should be in the form key=value"), _old_limit),
    (re.compile(r"estimated maximum model length is (\d+)"), _length),
    (
        re.compile(
            r"larger than the maximum number of\s+tokens that can be stored in (?:the )?KV cache\s*\((\d+)\)"
        ),
        _length,
    ),
    (
        re.compile(
            r"User-specified max_model_len \(\d+\) is greater than the derived max_model_len \([\w.]+=(\d+)"
        ),
        _positions,
    ),
    (re.compile(r"Total number of attention heads \((\d+)\) must be divisible by[^\n]*"), _heads),
    (re.compile(r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)"), _world),
    (
        re.compile(
            r"Free memory on device[^(]*(?:\([^)]*\) )?\(([\d.]+)/([\d.]+) GiB\)[^\n]*less than desired"
        ),
        _not_free,
    ),
    (re.compile(r"No available memory for the cache blocks"), _no_cache),
    (
        re.compile(r"(?:OutOfMemoryError: )?CUDA out of memory[^\n]*|torch\.OutOfMemoryError[^\n]*"),
        _out_of_memory,
    ),
    (re.compile(r"Address already in use|error while attempting to bind on address"), _port),
    (SAYS_FULL, _full),
    (re.compile(r"Bfloat16 is only supported on GPUs"), _bfloat16),
    (re.compile(r"Failed to infer device type|No CUDA GPUs are available|no NVIDIA driver"), _no_device),
    (
        re.compile(
            r"[^\n]*(?:SafetensorError|Error while deserializing header|HeaderTooLarge"
            r"|InvalidHeaderDeserialization)[^\n]*"
        ),
        _half_written,
    ),
    (
        re.compile(
            r"(?:We couldn't connect to|Cannot reach) '?https?://|LocalEntryNotFoundError"
            r"|Max retries exceeded with url|Temporary failure in name resolution"
        ),
        _no_hub,
    ),
    (
        re.compile(
            r"[^\n]*(?:does not appear to have a file named|is not a valid model identifier"
            r"|Cannot find any model weights|Invalid repository ID or local directory|Repo id must be)[^\n]*"
        ),
        _no_model,
    ),
)
