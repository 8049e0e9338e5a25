"""The trainer, the server and the GPUs of a machine, tried by their own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datakit.artifacts.needs import SERVER_VERSIONS, TRAINER_VERSION
from datakit.core.counted import counted
from datakit.core.nvidia_driver import NoDriver, gpu_lines
from datakit.core.scripts import shell_words
from datakit.core.tried import last_line, tried
from datakit.handoff.bundle_settings import BundleSettings
from datakit.handoff.finding import FAULT, FINE, WARNING, Finding

TRAINER = "llamafactory-cli"
_GIB = 1 << 30
_WITHOUT = "A tiny model trains without a GPU: CPU=1"
_PATIENCE_S = 240
"""vLLM 0.32 took 24 s on two busy cores to tell its version, most of it imports from a slow disk."""
_PROBE = """
import json
from importlib.metadata import PackageNotFoundError, requires, version
facts = {"versions": {}, "wrong": []}
for name in ("llamafactory", "transformers", "datasets", "accelerate", "peft", "trl", "torch", "deepspeed"):
    try:
        facts["versions"][name] = version(name)
    except PackageNotFoundError:
        pass
try:
    from packaging.requirements import Requirement
    for line in requires("llamafactory") or ():
        wanted = Requirement(line)
        here = facts["versions"].get(wanted.name)
        if here and not (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            if not wanted.specifier.contains(here, prereleases=True):
                facts["wrong"].append(f"{wanted.name} is {here}, and LLaMA-Factory wants {wanted.specifier}")
except (ImportError, PackageNotFoundError):
    pass
try:
    import torch
    facts["gpus"] = torch.cuda.device_count()
except Exception as error:
    facts["torch"] = f"{type(error).__name__}: {error}"
print(json.dumps(facts))
"""


def trainer_program(settings: BundleSettings) -> str | None:
    """llamafactory-cli as it was named, or as the PATH has it; None where there is none."""
    given = settings.trainer or os.environ.get("DATAKIT_TRAINER", "")
    if not given:
        return _absolute(TRAINER)
    place = Path(given).expanduser()
    if place.is_dir():
        return _absolute(str(place / "bin" / TRAINER))
    if place.name.startswith("python"):
        return _absolute(str(Path(shutil.which(given) or place).parent / TRAINER))
    return _absolute(str(place))


def server_program(settings: BundleSettings) -> str | None:
    """vllm as it was named, or as the PATH has it; None where there is none."""
    return _absolute(settings.vllm)


def _absolute(program: str) -> str | None:
    """Not resolved: torchrun and the Python of an environment lie beside the link that it has."""
    place = shutil.which(program)
    return os.path.abspath(place) if place is not None else None


_INSTALL_TRAINER = f'pip install "llamafactory=={TRAINER_VERSION}", in an environment of its own'
_INSTALL_SERVER = f"pip install vllm=={SERVER_VERSIONS[0]}, in an environment of its own"


def trainer_is_there(settings: BundleSettings) -> Iterator[Finding]:
    """Whether there is a command of LLaMA-Factory; it is not started."""
    program = trainer_program(settings)
    if program is not None:
        yield Finding("trainer", FINE, program)
        return
    given = settings.trainer or os.environ.get("DATAKIT_TRAINER", "")
    message = f"there is no {given}" if given else f"{TRAINER} is not on the PATH"
    remedy = f"Install it ({_INSTALL_TRAINER}), or name it: TRAINER=/environment/bin/{TRAINER}"
    yield Finding("trainer", FAULT, message, remedy)


def server_is_there(settings: BundleSettings) -> Iterator[Finding]:
    """Whether there is a command of vLLM; it is not started."""
    program = server_program(settings)
    if program is not None:
        yield Finding("server", FINE, program)
        return
    remedy = f"Install it ({_INSTALL_SERVER}), or name it: VLLM=/environment/bin/vllm"
    yield Finding("server", FAULT, f"there is no program {settings.vllm}", remedy)


def examine_trainer(settings: BundleSettings) -> Iterator[Finding]:
    """Whether LLaMA-Factory starts, is of the version that train.yaml is for, and has what it needs."""
    if settings.base_url:
        return
    program = trainer_program(settings)
    if program is None:
        yield from trainer_is_there(settings)
        return
    code, output = tried([program, "version"], _PATIENCE_S)
    if code != 0:
        yield Finding("trainer", FAULT, *_does_not_start([program, "version"], output, _INSTALL_TRAINER))
        return
    match = re.search(r"llama[ -]?factory\W{1,3}version[^0-9]{0,3}([0-9][\w.]*)", output, re.IGNORECASE)
    if match is None:
        remedy = f"Name that of LLaMA-Factory: TRAINER=/environment/bin/{TRAINER}. Or: {_INSTALL_TRAINER}"
        yield Finding("trainer", FAULT, _no_such(program, "LLaMA-Factory", "version", output), remedy)
        return
    version = match[1]
    message = f"LLaMA-Factory {version}, {program}"
    if version == TRAINER_VERSION:
        yield Finding("trainer", FINE, message)
    else:
        message += f"; train.yaml is written for {TRAINER_VERSION}"
        yield Finding("trainer", WARNING, message, f"Where it refuses a setting: {_INSTALL_TRAINER}")
    yield from _packages_of_trainer(settings, program)


def _no_such(program: str, what: str, word: str, output: str) -> str:
    return f"{program} is no {what}: asked for its version (`{word}`), it says: {last_line(output)}"


def _does_not_start(command: Sequence[str], output: str, wanted: str) -> tuple[str, str]:
    return (
        f"{command[0]} does not start: {last_line(output)}",
        f"Try it by itself: {shell_words(command)}. Else install it anew: {wanted}",
    )


def _packages_of_trainer(settings: BundleSettings, program: str) -> Iterator[Finding]:
    facts = _facts(python_of(program))
    versions = facts.get("versions", {})
    if wrong := facts.get("wrong"):
        skipped = os.environ.get("DISABLE_VERSION_CHECK", "").lower() in ("1", "true", "yes")
        remedy = "Install LLaMA-Factory anew, or switch its own check off: DISABLE_VERSION_CHECK=1"
        yield Finding("trainer's packages", WARNING if skipped else FAULT, "; ".join(wrong), remedy)
    if settings.needs.deepspeed and versions and "deepspeed" not in versions:
        remedy = f"{shell_words([str(python_of(program)), '-m', 'pip', 'install', 'deepspeed'])}"
        yield Finding("trainer's packages", FAULT, "the training wants DeepSpeed, which is not there", remedy)
    gpus = facts.get("gpus")
    if isinstance(gpus, int) and not settings.cpu and gpus < settings.gpus:
        message = (
            f"its torch {versions.get('torch', '')} sees {gpus} GPUs, the training wants {settings.gpus}"
        )
        remedy = "Is it a torch for CPUs, or for a newer driver? nvidia-smi shows the driver's CUDA version."
        yield Finding("trainer's torch", FAULT, message, remedy)


def python_of(program: str) -> Path | None:
    """The Python that a command of an environment starts with: by its first line, else the one beside it."""
    with open(program, "rb") as file:
        line = file.readline(4096).decode("utf-8", "replace")
    word = line.removeprefix("#!").strip().split(" ")[0] if line.startswith("#!") else ""
    for place in (Path(word), Path(program).parent / "python", Path(program).parent / "python3"):
        if place.name.startswith("python") and os.access(place, os.X_OK):
            return place
    return None


def _facts(python: Path | None) -> dict[str, Any]:
    """What the trainer's Python knows of its packages; empty where it cannot be asked."""
    if python is None:
        return {}
    code, output = tried([str(python), "-c", _PROBE], _PATIENCE_S)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if code != 0 or not lines:
        return {}
    facts: dict[str, Any] = json.loads(lines[-1])
    return facts


def examine_server(settings: BundleSettings) -> Iterator[Finding]:
    """Whether vLLM starts; one that answers elsewhere is asked instead."""
    if settings.base_url:
        return
    program = server_program(settings)
    if program is None:
        yield from server_is_there(settings)
        return
    code, output = tried([program, "--version"], _PATIENCE_S)
    if code != 0:
        yield Finding("server", FAULT, *_does_not_start([program, "--version"], output, _INSTALL_SERVER))
        return
    version = _vllm_version(output)
    if version is None:
        remedy = f"Name that of vLLM: VLLM=/environment/bin/vllm. Or: {_INSTALL_SERVER}"
        yield Finding("server", FAULT, _no_such(program, "vLLM", "--version", output), remedy)
        return
    yield Finding("server", FINE, f"vLLM {version}, {program} (proven: {', '.join(SERVER_VERSIONS)})")


def _vllm_version(output: str) -> str | None:
    """vLLM prints its version alone in a line, after what its packages log; None for another program."""
    lines = [line.strip() for line in output.splitlines()]
    versions = [line for line in lines if re.fullmatch(r"(?:vllm )?v?\d+\.\d+[\w.+-]*", line, re.IGNORECASE)]
    return versions[-1].split()[-1] if versions else None


@dataclass(frozen=True)
class Card:
    """A GPU as nvidia-smi lists it."""

    number: str
    name: str
    total: int
    """Bytes."""
    free: int

    @property
    def shown(self) -> str:
        return f"{self.name} ({self.free / _GIB:.1f} of {self.total / _GIB:.1f} GiB free)"


def examine_gpus(settings: BundleSettings) -> Iterator[Finding]:
    """GPUs that nvidia-smi lists, and whether what the training needs fits into what is free."""
    if settings.base_url:
        return
    if settings.cpu:
        yield Finding("GPUs", FINE, "not looked at (CPU=1)")
        return
    try:
        lines = gpu_lines("index", "name", "memory.total", "memory.free")
    except NoDriver as error:
        remedy = (
            "Is the driver loaded? "
            if error.answered
            else "Is there a GPU, with its driver? In a container: docker run --gpus all. "
        )
        yield Finding("GPUs", FAULT, str(error), f"{remedy}{_WITHOUT}")
        return
    yield _judged([card for line in lines if (card := _card(line))], settings)


def _judged(cards: list[Card], settings: BundleSettings) -> Finding:
    wanted, needed = max(1, settings.gpus), settings.needs.gpu_bytes
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if len(cards) < wanted:
        seen = f" (CUDA_VISIBLE_DEVICES is {visible!r})" if visible is not None else ""
        message = f"the training wants {counted(wanted, 'GPU')} on this node, there are {len(cards)}{seen}"
        fewer = (
            f"GPUS={len(cards)} trains on those that are there, with fewer rows a step."
            if cards
            else _WITHOUT
        )
        return Finding("GPUs", FAULT, message, fewer)
    serving = settings.needs.serve_gpus if settings.rank == 0 else 0
    if len(cards) < serving:
        message = (
            f"the server wants {counted(serving, 'GPU')} (the build's `serve.gpus`), there are {len(cards)}"
        )
        remedy = (
            "Take a machine with more; or serve on those that are there, where the model fits: "
            f'SERVE_FLAGS="--tensor-parallel-size {len(cards)}"'
        )
        is_told = any(flag.startswith("--tensor-parallel-size") for flag in settings.serve_flags)
        if not is_told:
            return Finding("GPUs", FAULT, message, remedy)
    shown = ", ".join(card.shown for card in cards)
    small = [card for card in cards[:wanted] if needed > card.total]
    busy = [card for card in cards[:wanted] if needed > card.free]
    needs = f"the training needs {needed / _GIB:.1f} GiB of each GPU by an estimate"
    if small:
        remedy = "Try it all the same, or take larger GPUs, or a build that keeps more in host memory."
        return Finding("GPUs", WARNING, f"{needs}; here: {shown}", remedy)
    if busy:
        remedy = "End what holds the memory (nvidia-smi lists it), or choose others: CUDA_VISIBLE_DEVICES=1"
        return Finding("GPUs", FAULT, f"{needs}; GPU {busy[0].number} is {busy[0].shown}", remedy)
    return Finding("GPUs", FINE, shown)


def _card(line: str) -> Card | None:
    parts = [part.strip() for part in line.split(",")]
    if len(parts) < 4 or not (parts[-1].isdigit() and parts[-2].isdigit()):
        return None
    return Card(parts[0], ", ".join(parts[1:-2]), int(parts[-2]) << 20, int(parts[-1]) << 20)
