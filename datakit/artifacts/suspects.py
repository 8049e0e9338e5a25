"""suspects.jsonl: records whose label somebody doubts, the most doubted first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datakit.core.errors import UserError
from datakit.core.regular_files import regular


class Voice(BaseModel):
    """One that doubts a label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    voice: str
    """proxy, kfold, reason, duplicates or description."""
    says: str
    """In a sentence, in the language of the labels."""
    weight: float = Field(ge=0, le=1)
    """How far it alone would have the label wrong."""


class Suspect(BaseModel):
    """A record whose label is doubted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    rank: int = Field(ge=1)
    """1 for the most doubted, of its task where there are several."""
    score: float = Field(ge=0, le=1)
    """What the weights of all voices come to."""
    label: str | None
    """The label as it is."""
    proposed: str | None = None
    """The label that most of the weight is for; None where no voice proposes one."""
    cluster: str | None = None
    """The finding that it belongs to with others, such as `退款页面→退货页面 1`; None for one by itself."""
    voices: tuple[Voice, ...] = ()
    judged: str = ""
    """Digest of what was judged (label, pictures, texts): an edit since shows by it. "" where not known."""
    task: str = ""
    """The task that the record is of; "" where there is one."""


def write_suspects(path: Path, suspects: Iterable[Suspect]) -> int:
    """Writes the file whole or not at all; the number of suspects in it."""
    draft = path.with_name(f".{path.name}.part")
    count = 0
    with open(draft, "wb") as file:
        for suspect in suspects:
            file.write(suspect.model_dump_json(exclude_defaults=True).encode() + b"\n")
            count += 1
    os.replace(draft, path)
    return count


def read_suspects(path: Path) -> Iterator[Suspect]:
    """The suspects in their order. Raises UserError with file and line for a line that is none."""
    try:
        file = open(path, "rb", opener=regular)  # noqa: SIM115 (closed by the with below)
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}",
            remedy="curate.suspects in a recipe and `datakit kfold` write one.",
        ) from None
    with file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield Suspect.model_validate_json(line)
            except ValidationError as error:
                fault = error.errors(include_url=False)[0]
                place = ".".join(map(str, fault["loc"]))
                raise UserError(
                    f"this line is no suspect: {place or 'it'}: {fault['msg']}",
                    where=f"{path}:{number}",
                    remedy="Build again, or join the folds again.",
                ) from None
