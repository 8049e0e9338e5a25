"""The check's files, and what it reads from a build."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.checking.check import Placed
from datakit.checking.training import Training
from datakit.core.errors import UserError
from datakit.core.regular_files import regular
from datakit.core.replacing import check_replaceable


def write_records(rows: Iterable[Placed], path: Path) -> None:
    """One JSON object a row: verdict, tokens of text and pictures, what is left after the cut.

    Raises UserError where `path` is a file of another kind, or cannot be written.
    """
    check_replaceable(path, "a list of checked rows", _is_list)
    draft = path.with_name(f".{path.name}.part")
    try:
        with open(draft, "wb") as file:
            file.writelines(orjson.dumps(_line(row)) + b"\n" for row in rows)
        os.replace(draft, os.path.realpath(path))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def _line(row: Placed) -> dict[str, Any]:
    account = row.found
    return {
        "data_set": row.data_set,
        "record": row.record,
        "where": row.where,
        "verdict": account.verdict,
        "crashes": account.crashes,
        "text_tokens": account.text_tokens,
        "image_tokens": account.image_tokens,
        "input_tokens": account.input_tokens,
        "label_tokens": account.label_tokens,
        "faults": [{"code": code, "message": words} for code, words in account.faults],
    }


def _is_list(path: Path) -> bool:
    """Whether every line has just the fields of `_line`. Raises ValueError for one that is no JSON."""
    fields = ["data_set", "record", "where", "verdict", "crashes", "text_tokens", "image_tokens"]
    fields += ["input_tokens", "label_tokens", "faults"]
    with open(path, "rb", opener=regular) as file:
        return all(list(orjson.loads(line)) == fields for line in file)


def gpus_of(build: BuildFolder) -> int:
    """The GPUs that a build's recipe trains on; 1 when it says nothing."""
    gpus = build.section("train").get("gpus")
    return gpus if isinstance(gpus, int) and gpus > 0 else 1


def with_own_sets(training: Training, build: BuildFolder) -> Training:
    """A configuration that names no data set, with those of the build as the build's own would name them."""
    if training.names("dataset") or training.names("eval_dataset"):
        return training
    emitted = build.emitted
    sets = {"dataset": names_in(build) if emitted is None else emitted.entries("train", "general")}
    if emitted is not None and training.number("val_size", 0) <= 0:  # beside it the trainer takes no other
        sets["eval_dataset"] = emitted.entries("val")
    return replace(training, keys={**training.keys, **{key: names for key, names in sets.items() if names}})


def names_in(build: BuildFolder) -> list[str]:
    """The data sets of a build, those with pictures first."""
    return list(build.entries) if build.emitted is None else build.emitted.entries()
