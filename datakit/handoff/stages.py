"""The stages of a handoff, and the record that each leaves in its run: what it took in and what it gave."""

from __future__ import annotations

import calendar
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from datakit.artifacts.document import Document
from datakit.artifacts.format_version import NewerFormat
from datakit.core.errors import UserError

CHECK, TRAIN, EXPORT = "check", "train", "export"
SERVE, PREDICT, EVALUATE = "serve", "predict", "evaluate"
STAGES = (CHECK, TRAIN, EXPORT, SERVE, PREDICT, EVALUATE)
"""In their order. `serve` is a part of `predict`; asked for alone it lasts until it is ended."""
KEYED = (TRAIN, EXPORT, PREDICT, EVALUATE)
"""Those that leave something, and are passed over while neither it nor what it came from has changed."""
EVERY_NODE = (CHECK, TRAIN)
"""Those that nodes other than the first go through."""
UNKNOWN = ""
"""Digest of an input that cannot be read from here, such as the weights of a server elsewhere."""
GONE = "-"
"""Digest of something that is not there."""
FOLDER = "stages"


class StageRecord(Document):
    """What a stage of a run took in and gave. One that was begun and not ended has no `exit`."""

    FORMAT: ClassVar[int] = 1

    stage: str
    inputs: dict[str, str]
    """Name in words -> digest of the content."""
    outputs: dict[str, str] = Field(default_factory=dict)
    """Path in the run -> digest of the content."""
    begun: str
    """UTC, to the second."""
    finished: str = ""
    seconds: float = 0.0
    exit: int | None = None

    @property
    def is_done(self) -> bool:
        return self.exit == 0


@dataclass(frozen=True)
class StageRecords:
    """The records of one run, in its folder; nodes that share it have their own."""

    run: Path
    rank: int = 0

    def path(self, stage: str) -> Path:
        name = stage if self.rank == 0 else f"{stage}-{self.rank}"
        return self.run / FOLDER / f"{name}.json"

    def read(self, stage: str) -> StageRecord | None:
        """The record; None where there is none. One that is damaged says nothing, so its stage runs again.

        Raises UserError for a record of a newer format.
        """
        path = self.path(stage)
        if not path.is_file():
            return None
        try:
            return StageRecord.load(path)
        except NewerFormat:
            raise
        except UserError:
            return None

    def write(self, record: StageRecord) -> None:
        """Puts the record in its place, whole or not at all."""
        write_json(self.path(record.stage), record.model_dump())

    def remove(self, stage: str) -> None:
        self.path(stage).unlink(missing_ok=True)


def write_json(path: Path, document: object) -> None:
    """Writes a small document for people and programs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    os.replace(draft, path)


def utc_now() -> str:
    """The time as it stands in records, such as 2026-11-26T17:02:11Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def seconds_of(utc: str) -> float:
    """A time of a record in seconds since the epoch; 0 for what is none."""
    try:
        return float(calendar.timegm(time.strptime(utc, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0


def local(utc: str) -> str:
    """A time of a record as the clock on the wall shows it, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds_of(utc)))
