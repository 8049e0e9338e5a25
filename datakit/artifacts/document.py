"""A file of a build with a format version: older ones are read, a newer one is refused with the remedy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, Field, ValidationError

from datakit.artifacts.format_version import UPGRADE, refuse_newer
from datakit.core.errors import UserError
from datakit.core.parameters import describe_fault
from datakit.core.private_files import open_private
from datakit.core.regular_files import read_regular

REMEDY = "Build again: datakit build RECIPE --force"
_D = TypeVar("_D", bound="Document")


class Document(BaseModel):
    """One JSON file of a build. A field that a later format adds needs a default, for the older files."""

    FORMAT: ClassVar[int] = 1
    """The newest format that is read, and the one that is written."""
    REMEDY: ClassVar[str] = REMEDY
    """What to do where the file is damaged."""
    UPGRADE: ClassVar[str] = UPGRADE
    """What to do where a later datakit wrote it."""

    version: int = Field(default=1, ge=1)
    """Format of the file. One without a version was written by datakit 0.1.0 and has format 1."""

    def to_json(self, *, sort_keys: bool = False) -> bytes:
        """The file's content."""
        import orjson  # here, because a bundle carries this module to machines without it

        option = orjson.OPT_INDENT_2 | (orjson.OPT_SORT_KEYS if sort_keys else 0)
        return orjson.dumps(self.model_dump(), option=option) + b"\n"

    def write(self, path: Path) -> None:
        """Puts a small document in its place, whole or not at all; only its owner may read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.part")
        with open_private(draft) as file:
            file.write((json.dumps(self.model_dump(), ensure_ascii=False, indent=2) + "\n").encode())
        os.replace(draft, path)

    @classmethod
    def load(cls: type[_D], path: Path) -> _D:
        """The content of a file. Raises UserError for one that is missing, damaged or of a newer format."""
        try:
            document = json.loads(read_regular(path))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", remedy=cls.REMEDY) from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} cannot be read: it is not JSON: {error}", remedy=cls.REMEDY) from None
        refuse_newer(document, cls.FORMAT, str(path), cls.UPGRADE)
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            what, _ = describe_fault(error.errors(include_url=False)[0], cls)
            raise UserError(f"{path} cannot be read: {what}", remedy=cls.REMEDY) from None
