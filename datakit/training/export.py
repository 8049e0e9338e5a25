"""The served model: the adapter merged into its base, or the trained model itself, and then looked at."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from datakit.artifacts.names import EXPORT
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.regular_files import read_regular, read_regular_text
from datakit.core.replacing import set_aside
from datakit.training import trainer
from datakit.training.base_model import refuse_other_adapter
from datakit.training.logged_call import Say, run_logged
from datakit.training.run_folder import RunFolder, has_weights, trained_before
from datakit.training.run_lock import RunLock, held_run
from datakit.training.safetensors import shapes
from datakit.training.supervise import refuse_alive

_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
MARK = ".datakit-export"
"""Lists what an export made, in its folder: a later one may remove the folder while the list is true."""
_TOKENIZER = ("tokenizer.json", "vocab.json")


class ExportFailed(DatakitError):
    """A served model that would not load, or answer otherwise than the trained one."""

    exit_code = Exit.FAILED


class Exported(BaseModel):
    """The served model."""

    served: str
    tensors: int
    bytes: int
    log: str = ""
    seconds: float = 0.0
    already: bool = False


def export_call(run: RunFolder, python: str | None, *, only_shown: bool = False) -> trainer.Call:
    """The call that makes the served model. Raises UserError where it cannot be made.

    One that is `only_shown` needs no trainer on this machine.
    """
    _refuse_quantised(run)
    program = trainer.find_trainer(python, must_exist=not only_shown)
    return trainer.Call((str(program), "export", EXPORT, *run.export_words), run.data.path)


def export(
    run: RunFolder, python: str | None, say: Say, *, anew: bool = False, lock: RunLock | None = None
) -> Exported:
    """Makes and checks the served model; one that stands already is only checked, unless it is made `anew`.

    It is made beside its place and moved there when it is right, so that a half-written one is never served.
    `lock` comes from who drives the run already. Raises UserError where another process drives it.
    """
    if lock is not None:
        return _export(run, python, say, anew=anew)
    with held_run(run.folder, 0, run.command("export"), f"{run.command('handoff')} --status"):
        return _export(run, python, say, anew=anew)


def _export(run: RunFolder, python: str | None, say: Say, *, anew: bool) -> Exported:
    refuse_alive(run, 0)
    if not anew and has_weights(run.served) and not problems(run.served, run):
        say(f"The served model stands already: {run.served}")
        return _exported(run.served, already=True)
    call = export_call(run, python)
    if not has_weights(run.trained):
        raise UserError(
            _untrained(run),
            remedy=f"Train first: {run.command('train')}",
        )
    if run.method == "lora":
        refuse_other_adapter(run.trained, run.data.path / str(run.export_keys["model_name_or_path"]))
    began = time.monotonic()
    draft = run.served.with_name(f"{run.served.name}.part")
    _clear(draft, say)
    draft.mkdir(parents=True)
    (draft / MARK).touch()
    words = (*call.words, f"export_dir={os.path.relpath(draft, run.data.path)}")
    log = run_logged(trainer.Call(words, call.folder, {}), run.logs, "export", say)
    complete(draft, run, say)
    faults = problems(draft, run)
    if faults:
        listed = "\n".join(f"    {problem}" for problem in faults)
        raise ExportFailed(f"the exported model in {draft} is not right:\n{listed}\n  Its log: {log}")
    _clear(run.served, say)
    draft.rename(run.served)
    (run.served / MARK).write_text(_listing(run.served), "utf-8")
    exported = _exported(run.served)
    exported.log, exported.seconds = str(log), round(time.monotonic() - began, 1)
    return exported


def _untrained(run: RunFolder) -> str:
    """Why there is no trained model. A run is named after data and settings: others leave it untouched."""
    words = f"{run.trained} holds no trained model"
    others = [path.name for path in trained_before(run.folder)]
    if not others:
        return words
    named, were = ", ".join(others[-3:]), "was" if len(others) == 1 else "were"
    return f"{words}: data or settings of the build have changed since {named} {were} trained"


def _clear(folder: Path, say: Say) -> None:
    """Removes a model that an export made; anything else at its place, which export.yaml names, stays."""
    mark = folder / MARK
    listed = read_regular_text(mark) if mark.is_file() and not folder.is_symlink() else None
    if listed is not None and listed in ("", _listing(folder)):  # "": an export that did not come to its end
        shutil.rmtree(folder)
    elif os.path.lexists(folder):
        say(f"{folder} was not made by `datakit export`: it is kept as {set_aside(folder)}")


def _listing(folder: Path) -> str:
    """Name, size and time of change of every file of a model, so that a further or edited one shows."""
    files = sorted(path for path in folder.rglob("*") if path.name != MARK and not path.is_dir())
    states = ((path.relative_to(folder).as_posix(), path.lstat()) for path in files)
    return "".join(f"{name} {state.st_size} {state.st_mtime_ns}\n" for name, state in states)


def complete(folder: Path, run: RunFolder, say: Say) -> None:
    """Copies what the trainer left out and the base model has: processor, chat template, generation settings.

    LLaMA-Factory only warns when it cannot save the processor; without it nothing can be served.
    """
    base = Path(str(run.keys["model_name_or_path"]))
    for names in (_PROCESSOR, _TEMPLATES, ("generation_config.json",)):
        if any((folder / name).is_file() for name in names):
            continue
        for source in (run.trained, base):
            source_file = next((source / name for name in names if (source / name).is_file()), None)
            if source_file is not None:
                shutil.copyfile(source_file, folder / source_file.name)
                say(f"{source_file.name} was copied from {source}")
                break


def problems(folder: Path, run: RunFolder) -> list[str]:
    """Why the model in `folder` would not serve; empty when it is right.

    Weights are compared by name and shape with the base model where that is a local folder: a merge that
    renamed a tensor loads with random values in its place, and without an error.
    """
    faults = []
    config = _config(folder)
    if config is None:
        faults.append("config.json is missing or no JSON")
    if not has_weights(folder):
        faults.append("the weights are missing or cut short")
    for what, names in (("processor", _PROCESSOR), ("tokenizer", _TOKENIZER)):
        if not any((folder / name).is_file() for name in names):
            faults.append(f"the {what} is missing: none of {', '.join(names)}")
    if not _has_template(folder):
        faults.append(
            f"the chat template is missing: none of {', '.join(_TEMPLATES)}, nor tokenizer_config.json"
        )
    if (folder / "adapter_config.json").is_file():
        faults.append("adapter_config.json is there: the adapter was not merged")
    base = Path(str(run.keys["model_name_or_path"]))
    if config is not None and base.is_dir():
        faults += _differences(folder, base, config)
    return faults


def _differences(folder: Path, base: Path, config: dict[str, Any]) -> list[str]:
    differences = []
    base_config = _config(base) or {}
    if config.get("architectures") != base_config.get("architectures"):
        differences.append(
            f"the architecture is {config.get('architectures')}, not {base_config.get('architectures')}"
        )
    own_shapes, base_shapes = (_canonical(shapes(place)) for place in (folder, base))
    if not base_shapes:
        return differences  # weights of the base in another format
    tied = {"lm_head.weight"} if _is_tied(config) else set()
    for words, names in (
        ("missing", base_shapes.keys() - own_shapes.keys() - tied),
        ("new", own_shapes.keys() - base_shapes.keys() - tied),
    ):
        if names:
            shown = ", ".join(sorted(names)[:3])
            differences.append(f"{len(names)} tensors are {words} against the base model, such as {shown}")
    wrong = [name for name in own_shapes.keys() & base_shapes.keys() if own_shapes[name] != base_shapes[name]]
    if wrong:
        differences.append(
            f"{len(wrong)} tensors have another shape than in the base model, such as {min(wrong)}"
        )
    return differences


_RENAMED = (
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("model.visual.", "visual."),
)
"""transformers 4.52 and later moved the parts of a vision-language model; both spellings load."""


def _canonical(tensors: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    renamed = {}
    for name, shape in tensors.items():
        for old, new in _RENAMED:
            if name.startswith(old):
                name = new + name.removeprefix(old)
                break
        renamed[name] = shape
    return renamed


def _is_tied(config: dict[str, Any]) -> bool:
    return bool(
        config.get("tie_word_embeddings", config.get("text_config", {}).get("tie_word_embeddings", False))
    )


def _refuse_quantised(run: RunFolder) -> None:
    """An adapter cannot be merged into rounded weights."""
    base = Path(str(run.keys["model_name_or_path"]))
    config = _config(base) if base.is_dir() else None
    stored = (config or {}).get("quantization_config")
    if run.method == "lora" and (stored or run.export_keys.get("quantization_bit")):
        kind = (stored or {}).get("quant_method", "quantised") if isinstance(stored, dict) else "quantised"
        raise UserError(
            f"the base model {base} is quantised ({kind}): an adapter cannot be merged into it",
            remedy="Name the full-precision model as `model_name_or_path` in export.yaml, or "
            "serve base and adapter side by side: vllm serve BASE --enable-lora --lora-modules NAME=ADAPTER",
        )


def _has_template(folder: Path) -> bool:
    if any((folder / name).is_file() for name in _TEMPLATES):
        return True
    try:
        return bool(json.loads(read_regular(folder / "tokenizer_config.json")).get("chat_template"))
    except (OSError, ValueError):
        return False


def _config(folder: Path) -> dict[str, Any] | None:
    try:
        config: dict[str, Any] = json.loads(read_regular(folder / "config.json"))
    except (OSError, ValueError):
        return None
    return config


def _exported(folder: Path, *, already: bool = False) -> Exported:
    files = list(folder.glob("*.safetensors"))
    return Exported(
        served=str(folder),
        tensors=len(shapes(folder)),
        bytes=sum(path.stat().st_size for path in files),
        already=already,
    )
