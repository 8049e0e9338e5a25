"""The data set of a build: its rows, and how their answers are read. A bundle carries it, and this module."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from datakit.artifacts import names
from datakit.artifacts.document import REMEDY
from datakit.artifacts.emitted import Emitted, EmittedFile
from datakit.artifacts.format_version import refuse_newer
from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import NEWEST
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, regular


@dataclass(frozen=True)
class DataSet:
    """The part of a build folder that trains and asks: files for LLaMA-Factory, pictures, answer.json."""

    path: Path

    @cached_property
    def emitted(self) -> Emitted | None:
        """What emit.llamafactory wrote; None where the recipe does not emit for it."""
        path = self.path / names.EMITTED
        return Emitted.load(path) if path.is_file() else None

    @property
    def data_files(self) -> dict[str, EmittedFile]:
        """Entry -> file of the LLaMA-Factory data set, of those that are there; empty without one."""
        files = self.emitted.files if self.emitted is not None else {}
        return {name: file for name, file in files.items() if (self.path / file.file).is_file()}

    def lines(self, file: str) -> Iterator[dict[str, Any]]:
        """The rows of a data file (a JSON array, one row a line), from the first on."""
        path = self.path / file
        try:
            stream = open(path, "rb", opener=regular)  # noqa: SIM115 (closed by the with below)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", remedy=REMEDY) from None
        with stream:
            for number, line in enumerate(stream, 1):
                text = line.strip().rstrip(b",")
                if text in (b"", b"[", b"]", b"[]"):
                    continue
                try:
                    row = json.loads(text)
                except (ValueError, RecursionError):
                    row = None
                if not isinstance(row, dict):
                    raise UserError("this line is no record", where=f"{path}:{number}", remedy=REMEDY)
                yield row

    def rows(self, *parts: str) -> Iterator[dict[str, Any]]:
        """The emitted rows of `parts`, in order, repeats included."""
        if self.emitted is not None:
            for file in self.emitted.files.values():
                if file.part in parts:
                    yield from self.lines(file.file)

    def images_of(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Id -> the data set's own copies of its pictures, relative to it, of the rows with these ids."""
        wanted = set(ids)
        images: dict[str, list[str]] = {}
        for file in self.data_files.values():
            for row in self.lines(file.file) if wanted else ():
                if row["id"] in wanted:
                    images[row["id"]] = list(row.get("images") or ())
                    wanted.discard(row["id"])
                if not wanted:
                    return images
        return images

    @property
    def has_answer_format(self) -> bool:
        return (self.path / names.ANSWER_FORMAT).is_file()

    @cached_property
    def answer_format(self) -> AnswerFormat:
        """How answers are read. Raises UserError where the build does not say."""
        path = self.path / names.ANSWER_FORMAT
        if not path.is_file():
            raise UserError(
                f"the build {self.path} lacks {names.ANSWER_FORMAT}, which says how an answer is read",
                remedy="Build again with `datakit build RECIPE --force`; answers are written by render.chat.",
            )
        found = AnswerFormat.from_json(data := read_regular(path))
        refuse_newer(json.loads(data), NEWEST, str(path))
        return found

    @cached_property
    def answer_target(self) -> dict[str, str]:
        """The field by which answers are scored, where the build says it: kind, name, column, references."""
        try:
            document = json.loads(read_regular(self.path / names.ANSWER_FORMAT))
        except (OSError, ValueError):
            return {}
        found = document.get("target") if isinstance(document, dict) else None
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
