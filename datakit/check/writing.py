"""The check's files, and what it reads from a build."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
import yaml

from datakit.check.check import Placed
from datakit.check.data_set import INDEX
from datakit.core.errors import UserError
from datakit.core.replacing import check_replaceable, first_line


def write_records(rows: Iterable[Placed], path: Path) -> None:
    """One JSON object a row: verdict, tokens of text and pictures, what is left after the cut.

    Raises UserError where `path` is a file of another kind, or cannot be written.
    """
    check_replaceable(
        path, "a list of checked rows", lambda file: "verdict" in orjson.loads(first_line(file))
    )
    try:
        with open(path, "wb") as file:
            for row in rows:
                found = row.found
                line = {
                    "data_set": row.data_set,
                    "record": row.record,
                    "where": row.where,
                    "verdict": found.verdict,
                    "crashes": found.crashes,
                    "text_tokens": found.text_tokens,
                    "image_tokens": found.image_tokens,
                    "input_tokens": found.input_tokens,
                    "label_tokens": found.label_tokens,
                    "faults": [{"code": code, "message": words} for code, words in found.faults],
                }
                file.write(orjson.dumps(line) + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def gpus_of(build: Path) -> int:
    """The GPUs that a build's recipe trains on; 1 when it says nothing."""
    try:
        recipe = yaml.safe_load((build / "recipe.yaml").read_text(encoding="utf-8"))
        found = recipe["train"]["gpus"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return 1
    return found if isinstance(found, int) and found > 0 else 1


def names_in(build: Path) -> list[str]:
    """The data sets of a build, those with pictures first."""
    try:
        files = orjson.loads((build / "emitted.json").read_bytes())["files"]
        return sorted(files, key=lambda name: not files[name]["pictures"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return list(orjson.loads((build / INDEX).read_bytes()))
