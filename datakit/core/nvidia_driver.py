"""What NVIDIA's driver says of the GPUs that a program here may use."""

from __future__ import annotations

import os
import shutil

from datakit.core.tried import last_line, tried

PATIENCE_S = 30


class NoDriver(Exception):
    """No GPU can be asked about: why, in words. `answered` tells a driver that fails from none at all."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


def gpu_lines(*fields: str) -> list[str]:
    """A line for each GPU, its fields between commas, as nvidia-smi writes them (memory in MiB).

    GPUs that CUDA_VISIBLE_DEVICES hides by number are left out. `index` may be asked for as the first field.
    Raises NoDriver where there is no nvidia-smi, or it fails.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        raise NoDriver("nvidia-smi is not here", answered=False)
    hidden = _visible() is not None and fields[0] != "index"
    asked = ",".join(("index", *fields) if hidden else fields)
    command = [program, f"--query-gpu={asked}", "--format=csv,noheader,nounits"]
    code, output = tried(command, PATIENCE_S)
    if code != 0:
        raise NoDriver(f"nvidia-smi fails: {last_line(output)}", answered=True)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    numbers = _visible()
    if numbers is not None:
        lines = [line for line in lines if line.partition(",")[0].strip() in numbers]
    return [line.partition(",")[2].strip() for line in lines] if hidden else lines


def _visible() -> list[str] | None:
    """Numbers of the GPUs that may be used; None where the environment hides none by its number."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return None
    numbers = [word.strip() for word in visible.split(",")]
    return numbers if all(number.isdigit() or not number for number in numbers) else None
