"""What datakit derives by itself, and values in its place that are known not to work for a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_LEAST_WAIT_S = 60
"""Loading a model of 7B and saving a checkpoint take longer by themselves (2026-11-24)."""
_PAIRED = ("rm", "ppo", "dpo", "kto")
_OFF = (None, False)


def derived_faults(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys of a `train:` section whose values cannot work in the place of derived ones, and why."""
    stage, wait = values.get("stage"), _number(values.get("ddp_timeout"))
    if stage in _PAIRED:
        yield (
            "stage",
            f"`stage: {stage}` learns from preferences, and the rows of a build have one answer each. "
            "Leave it out: it is `sft`",
        )
    if wait is not None and 0 < wait < _LEAST_WAIT_S:
        yield (
            "ddp_timeout",
            f"`ddp_timeout: {wait:g}` ends the training while its processes wait {wait:g} s for each other, "
            "as they do while rows are prepared and checkpoints saved. Leave it out: it is derived from the "
            "rows, and is 1800 at least",
        )
    yield from ((key, f"`{key}: {_shown(values[key])}` {words}") for key, words in _taken(values))


def _taken(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys by which something else is trained than the build, or nothing."""
    if values.get("do_train") in (False, "false"):
        yield (
            "do_train",
            "trains nothing. Leave it out: `datakit predict` needs no training",
        )
    if values.get("resume_from_checkpoint") not in _OFF:
        yield (
            "resume_from_checkpoint",
            "is a checkpoint of another run: this one has a folder of its own. Leave it out: `datakit train` "
            "goes on from the last whole checkpoint by itself. Weights to begin with: `adapter_name_or_path`",
        )
    if values.get("tokenized_path") not in _OFF:
        yield (
            "tokenized_path",
            "keeps the rows of the first build that is trained, and later builds are trained on those. Leave "
            "it out: the trainer has a cache of its own",
        )
    if values.get("local_rank") not in (None, -1, "-1"):
        yield "local_rank", "is set by torchrun for each process. Leave it out, and give `gpus` and `nodes`"


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _shown(value: Any) -> str:
    return str(value).lower()[:60] if isinstance(value, bool) else str(value)[:60]
