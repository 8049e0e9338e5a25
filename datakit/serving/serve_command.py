"""What a server is started with: the flags of `vllm serve`, each with its reason, and where it answers."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from datakit.artifacts.serving import Serving
from datakit.core.scripts import flag_words

PLACE = "MODEL"
"""Stands for the served model in a plan that was made before the training."""
PORT = 8000
"""vLLM's own."""
CPU_BLOCK = 128
"""Tokens in a block of the key-value cache on a CPU."""
_CPU_REQUESTS = 8
_CPU_LEAST = 64 << 20
_TOLD = "as it was told"


@dataclass(frozen=True)
class Flag:
    """One flag of the command, with its reason."""

    name: str
    value: str | None
    """None for a flag without value."""
    why: str
    further: tuple[str, ...] = ()
    """More values of the same flag."""

    @property
    def words(self) -> list[str]:
        return [*flag_words(self.name, self.value), *self.further]


@dataclass(frozen=True)
class ServeCommand:
    """A command that serves a model on this machine, as a serving plan or a bundle's packed.json gives it."""

    model: str
    """What is served: a folder or a name."""
    name: str
    """What requests call it."""
    port: int
    flags: tuple[Flag, ...]
    max_model_len: int = 0
    """Tokens of the longest request; 0 where vLLM finds it out."""
    longest_tokens: int = 0
    """Of the data's longest record: under this the server would refuse records."""
    images: int = 1
    """Most pictures of a record."""

    @classmethod
    def of(cls, serving: Serving, model: str) -> ServeCommand:
        """Of a plan as it was written, for the model in its place."""
        return cls(
            model=model,
            name=serving.name,
            port=serving.port,
            flags=tuple(Flag(flag.name, flag.value, flag.why, tuple(flag.further)) for flag in serving.flags),
            max_model_len=serving.max_model_len,
            longest_tokens=int(serving.demand.get("longest_tokens", 0)),
            images=int(serving.demand.get("images", 1)),
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def command(self, program: str = "vllm") -> list[str]:
        """The words of the command."""
        return [word for part in serve_parts(program, self.model, self.flags) for word in part]

    def with_flags(
        self, changes: Mapping[str, str | None], why: str, *, dropped: Iterable[str] = ()
    ) -> ServeCommand:
        """The command with other values for some flags, and without others."""
        length, port = length_and_port(changes, self.max_model_len, self.port)
        flags = changed_flags(self.flags, changes, why, dropped)
        return replace(self, flags=flags, max_model_len=length, port=port)

    def with_words(self, words: Sequence[str]) -> ServeCommand:
        """The command with further flags, as they would stand on its line; they win over its own."""
        flags: list[Flag] = []
        for word in words:
            if word.startswith("--"):
                name, sign, value = word.partition("=")
                flags.append(Flag(name, value if sign else None, _TOLD))
            elif flags and flags[-1].value is None and flags[-1].name.startswith("--"):
                flags[-1] = Flag(flags[-1].name, word, _TOLD)
            else:  # a further value of the flag before it
                flags.append(Flag(word, None, _TOLD))
        changes = {flag.name: flag.value for flag in flags}
        length, port = length_and_port(changes, self.max_model_len, self.port)
        kept = [flag for flag in self.flags if flag.name not in changes]
        return replace(self, flags=(*kept, *flags), max_model_len=length, port=port)


def cpu_cache_bytes(bytes_per_token: float, tokens: int) -> int:
    """Bytes of a cache on the CPU with room for a few requests of so many tokens."""
    blocks = math.ceil(tokens / CPU_BLOCK) * _CPU_REQUESTS + 1
    return max(_CPU_LEAST, math.ceil(blocks * CPU_BLOCK * bytes_per_token))


def cpu_flags(cache_bytes: int) -> list[Flag]:
    """What a server without a GPU is told."""
    return [
        Flag("--dtype", "float32", "most CPUs are slow in bfloat16"),
        Flag("--enforce-eager", None, "compiling takes minutes and gains little here"),
        Flag("--skip-mm-profiling", None, "no GPU memory has to be measured"),
        Flag("--kv-cache-memory-bytes", str(cache_bytes), "else vLLM takes most of the machine's memory"),
    ]


def serve_parts(program: str, model: str, flags: Iterable[Flag]) -> list[list[str]]:
    """The words that serve a model, each flag with its values by itself."""
    return [[*shlex.split(program), "serve", model], *(flag.words for flag in flags)]


def changed_flags(
    flags: Iterable[Flag], changes: Mapping[str, str | None], why: str, dropped: Iterable[str]
) -> tuple[Flag, ...]:
    """The flags with other values for some, and without those that are dropped; further ones come last."""
    without = set(dropped)
    by_name = {flag.name: flag for flag in flags if flag.name not in without}
    by_name |= {name: Flag(name, value, why) for name, value in changes.items()}
    return tuple(by_name.values())


def length_and_port(changes: Mapping[str, str | None], length: int, port: int) -> tuple[int, int]:
    """Longest request and port after changes of flags."""
    new_length, new_port = changes.get("--max-model-len"), changes.get("--port")
    return (
        int(new_length) if new_length and new_length.isdigit() else length,
        int(new_port) if new_port else port,
    )
