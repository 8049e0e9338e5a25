"""The rows of chosen records as they are trained, found in data files of any length without reading all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.document import REMEDY
from datakit.core.errors import UserError
from datakit.core.regular_files import regular

_SECOND = b',"messages"'
"""What stands behind the id in a row of emit.llamafactory."""
_LONGEST_ID = 4_096


def rows_of(build: BuildFolder, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Id -> the first row of each of these records; one that no file of the trainer has is absent.

    Of other lines only the id is read, and the reading ends with the last of the records.
    """
    wanted = set(ids)
    rows: dict[str, dict[str, Any]] = {}
    for facts in build.data_files.values():
        if wanted - rows.keys():
            _look(build.path / facts.file, wanted, rows)
    return rows


def _look(path: Path, wanted: set[str], rows: dict[str, dict[str, Any]]) -> None:
    missing = len(wanted) - len(rows)
    with open(path, "rb", opener=regular) as lines:
        for number, line in enumerate(lines, 1):
            if len(line) < len(_SECOND):
                continue  # a bracket
            id_ = _id(line, f"{path}:{number}")
            if id_ in wanted and id_ not in rows:
                rows[id_] = _parsed(line.strip().rstrip(b","), f"{path}:{number}")
                missing -= 1
                if not missing:
                    return


def _id(line: bytes, where: str) -> str:
    end = line.find(_SECOND, 0, _LONGEST_ID)
    head = line[:end] + b"}" if end >= 0 else line.strip().rstrip(b",")
    return str(_parsed(head, where).get("id"))


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise UserError("this line is no record", where=where, remedy=REMEDY)
    return row
