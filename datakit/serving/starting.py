"""How far a server's start is, by its log: what takes time is told, what hangs is named before a time-out.

A start hangs where its log stands still behind a line of which it is known what may hang there. Lines that
only say that somebody waits are no progress. Texts of vLLM 0.5 to 0.32, torch 2.0 to 2.13 and huggingface_hub
0.20 to 1.5; where each was seen hanging stands beside it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datakit.core.regular_files import read_end
from datakit.serving.failures import Failure

USUAL_TIMEOUT_S = 900.0
"""With a longer `--timeout-s` a log may stand still longer too, in proportion."""
_TAIL_BYTES = 200_000
_WAITS = re.compile(
    r"No available shared memory broadcast block found"
    r"|Waiting for \d+ (?:local, \d+ remote )?core engine proc"
    r"|\[c10d\] The client socket has (?:failed to connect|timed out)"
    r"|failed to connect/validate to host"
    r"|Retrying in [\d.]+s \[Retry|thrown while requesting (?:HEAD|GET) http"
)
"""Somebody waits for somebody: such lines go on for ever."""


@dataclass(frozen=True)
class Hang:
    """A place at which a start was seen hanging."""

    pattern: re.Pattern[str]
    still_s: float
    """So long the log may stand still there; a start that is well takes a third of it at most."""
    make: Callable[[str], Failure]


def _all_reduce_fusion(line: str) -> Failure:
    return Failure(
        "hangs_all_reduce_fusion",
        "the start hangs in FlashInfer's all-reduce: the GPUs' NVLink multicast does not work here",
        'Serve with --compilation-config \'{"pass_config": {"fuse_allreduce_rms": false}}\', or on one GPU '
        "(serve.gpus: 1).",
        {"--compilation-config": '{"pass_config": {"fuse_allreduce_rms": false}}'},
    )


def _custom_all_reduce(line: str) -> Failure:
    return Failure(
        "hangs_custom_all_reduce",
        "the start hangs in vLLM's own all-reduce between the GPUs",
        "Serve with --disable-custom-all-reduce; where that hangs too, set NCCL_P2P_DISABLE=1, or serve on "
        "one GPU (serve.gpus: 1).",
        {"--disable-custom-all-reduce": None},
    )


def _nccl(line: str) -> Failure:
    return Failure(
        "hangs_nccl",
        "the start hangs in NCCL: the GPUs do not reach each other",
        "Set NCCL_P2P_DISABLE=1 (in a virtual machine, or with IOMMU on, direct access between GPUs hangs), "
        "or serve on one GPU (serve.gpus: 1). NCCL_DEBUG=INFO says more.",
        {"--disable-custom-all-reduce": None},
        environment={"NCCL_P2P_DISABLE": "1"},
    )


def _address(line: str) -> Failure:
    return Failure(
        "hangs_address",
        f"the start hangs: its processes do not reach each other's address ({line.strip()[-120:]})",
        "Set VLLM_HOST_IP=127.0.0.1: the machine's own name leads to an address that a firewall closes.",
        environment={"VLLM_HOST_IP": "127.0.0.1"},
    )


def _no_network(line: str) -> Failure:
    return Failure(
        "no_network",
        "the model is to be downloaded, and its hub cannot be reached",
        "Give a folder (--model PATH), or set HF_HUB_OFFLINE=1 where the model lies in the cache, or "
        "HF_ENDPOINT for a mirror.",
    )


def _elsewhere(line: str) -> Failure:
    return Failure(
        "serves_elsewhere",
        f"the server is up, and does not answer on the plan's port ({line.strip()[-120:]})",
        "Take --port and --host out of serve.flags; serve.port or --port names the port.",
    )


HANGS = (
    # Qwen2.5-VL-7B over two H100 without NVLink multicast, vLLM 0.25.1 (2026-11-26); vllm pull requests
    # 47219 and 48075. Compiling begins there too, and says something within 30 s.
    Hang(re.compile(r"Initialized FlashInfer Allreduce"), 150, _all_reduce_fusion),
    # vllm issue 6201, before the first use of the cache of peer access.
    Hang(
        re.compile(
            r"generating GPU P2P access cache|reading GPU P2P access cache"
            r"|Registering \d+ cuda graph addresses"
        ),
        120,
        _custom_all_reduce,
    ),
    # vllm issues 5484, 8058, 8087, 6370.
    Hang(
        re.compile(r"vLLM is using nccl|Found nccl from|NCCL INFO|NCCL version"),
        120,
        _nccl,
    ),
    # vllm issues 2427, 3644, 3771.
    Hang(re.compile(r"\[c10d\] The client socket|failed to connect/validate to host"), 60, _address),
    # vllm issues 8458, 1910. A model that lies in the cache is found after five tries for each of its files.
    Hang(
        re.compile(
            r"Retrying in [\d.]+s \[Retry|thrown while requesting (?:HEAD|GET) http"
            r"|Temporary failure in name resolution|Network is unreachable"
        ),
        240,
        _no_network,
    ),
    Hang(re.compile(r"Application startup complete|Uvicorn running on"), 20, _elsewhere),
)
_NO_MULTICAST = re.compile(r"multicast operations are not supported")
_NO_MULTICAST_S = 40.0
"""vLLM has said itself what all-reduce fusion then hangs for (the same two H100, 2026-11-27)."""
_BETWEEN_GPUS = re.compile(r"No available shared memory broadcast block found")
_BETWEEN_GPUS_S = 300.0
"""vllm issues 16841, 27313, 46611: vLLM's processes wait for one another, and no line says where."""

PHASES = (
    (
        re.compile(r"Retrying in [\d.]+s \[Retry|thrown while requesting (?:HEAD|GET) http"),
        "trying to reach the model's hub, in vain so far (HF_HUB_OFFLINE=1 takes what the cache has at once)",
    ),
    (re.compile(r"Downloading|Fetching \d+ files|\.safetensors: +\d+%"), "downloading the model"),
    (
        re.compile(r"Starting to load model|Loading (?:safetensors|pt) checkpoint shards"),
        "loading the weights",
    ),
    (
        re.compile(r"Dynamo bytecode|Compiling a graph|torch\.compile takes|Start compiling|AOT compilation"),
        "compiling the model: minutes at the first start, seconds later on (--enforce-eager goes without)",
    ),
    (re.compile(r"Capturing CUDA graph|Profiling CUDA graph"), "capturing CUDA graphs: up to some minutes"),
    (re.compile(r"GPU KV cache size|Available KV cache memory"), "making room for the cache"),
)
"""What a start says while it works: slow, and no hang."""


class StartWatch:
    """Reads the log of one start as it grows."""

    def __init__(
        self,
        log: Path,
        say: Callable[[str], None],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._say, self._clock = log, say, clock
        self._patience = max(1.0, timeout_s / USUAL_TIMEOUT_S)
        self._size, self._line, self._waiting = -1, "", ""
        self._moved = clock()
        self._told: set[str] = set()
        self._no_multicast = False

    def look(self) -> Failure | None:
        """The reason why the start hangs; None while it moves, or nobody knows."""
        self._read()
        still_s = (self._clock() - self._moved) / self._patience
        for line in filter(None, (self._waiting, self._line)):
            for hang in HANGS:
                if hang.pattern.search(line):
                    return hang.make(line) if still_s > self._bound_s(hang) else None
        if _BETWEEN_GPUS.search(self._waiting) and still_s > _BETWEEN_GPUS_S and not self._works():
            return _nccl(self._waiting)
        return None

    @property
    def last_line(self) -> str:
        """What it said last."""
        return self._waiting or self._line

    def _bound_s(self, hang: Hang) -> float:
        known = self._no_multicast and hang.make is _all_reduce_fusion
        return _NO_MULTICAST_S if known else hang.still_s

    def _works(self) -> bool:
        """Whether a slow step has begun whose end it has not told."""
        return any(pattern.search(self._line) for pattern, _ in PHASES)

    def _read(self) -> None:
        size = self._log.stat().st_size
        if size == self._size:
            return
        self._size = size
        lines = [line for line in tail(self._log).replace("\r", "\n").split("\n") if line.strip()]
        moving = [line for line in lines if not _WAITS.search(line)]
        if moving and moving[-1] != self._line:
            self._line, self._moved = moving[-1], self._clock()
        self._waiting = lines[-1] if lines and _WAITS.search(lines[-1]) else ""
        self._no_multicast |= any(_NO_MULTICAST.search(line) for line in lines)
        for line in lines:
            self._tell(line)

    def _tell(self, line: str) -> None:
        words = next((words for pattern, words in PHASES if pattern.search(line)), "")
        if words and words not in self._told:
            self._told.add(words)
            self._say(f"vLLM is {words}.")


def tail(log: Path) -> str:
    """The end of a log."""
    return read_end(log, _TAIL_BYTES).decode("utf-8", "replace")
