"""The check's files, and what it reads from a build."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.checking.check import Placed
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


def gpus_of(build: BuildFolder) -> int:
    """The GPUs that a build's recipe trains on; 1 when it says nothing."""
    found = build.section("train").get("gpus")
    return found if isinstance(found, int) and found > 0 else 1


def names_in(build: BuildFolder) -> list[str]:
    """The data sets of a build, those with pictures first."""
    return list(build.entries) if build.emitted is None else build.emitted.entries()
