"""How far a training is, by LLaMA-Factory's own account of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datakit.core.regular_files import read_end

LOG = "trainer_log.jsonl"
_TAIL_BYTES = 1 << 16
_CLOCK = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)")


class TrainingProgress(NamedTuple):
    """Figures of a training that runs or ran; None where it has not said them yet."""

    step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    """The last of the training."""
    eval_loss: float | None = None
    """The last on the validation split."""
    eta_s: float | None = None
    """Seconds to the end."""

    @property
    def steps(self) -> str:
        """Such as `step 812 of 4,000`; "" before the first."""
        if self.step is None:
            return ""
        of = "" if self.total_steps is None else f" of {self.total_steps:,}"
        return f"step {self.step:,}{of}"

    @property
    def losses(self) -> str:
        """Such as `loss 0.1234, eval_loss 0.2345`; "" before the first."""
        figures = {"loss": self.loss, "eval_loss": self.eval_loss}
        return ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if value is not None)


def read_progress(trained: Path) -> TrainingProgress:
    """The progress of the training that writes into `trained`."""
    progress = TrainingProgress()
    for entry in _entries(trained / LOG):
        progress = TrainingProgress(
            _number(entry, "current_steps", int, progress.step),
            _number(entry, "total_steps", int, progress.total_steps),
            _number(entry, "loss", float, progress.loss),
            _number(entry, "eval_loss", float, progress.eval_loss),
            _seconds(str(entry.get("remaining_time", ""))),
        )
    return progress


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """The last lines of the trainer's log; one that is half-written is left out."""
    try:
        lines = read_end(path, _TAIL_BYTES).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def _number(entry: dict[str, Any], name: str, kind: type, before: Any) -> Any:
    value = entry.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return kind(value) if is_number else before


def _seconds(text: str) -> float | None:
    """Seconds of a time as LLaMA-Factory writes it, such as `1:02:05` or `1 day, 2:03:04`."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
