"""The stages of a handoff, and the record that each leaves in its run: what it took in and what it gave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from datakit.artifacts.document import Document
from datakit.artifacts.format_version import NewerFormat
from datakit.core.clock import seconds_of, utc_now
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
_OTHER_NODE = re.compile(rf"(?:{'|'.join(EVERY_NODE)})-\d+")


class StageRecord(Document):
    """What a stage of a run took in and gave. One that was begun and not ended has no `exit`."""

    FORMAT: ClassVar[int] = 1

    stage: str
    """With what it was done for, where that is not the validation part: `predict_train`."""
    inputs: dict[str, str]
    """Name in words -> digest of the content."""
    outputs: dict[str, str] = Field(default_factory=dict)
    """Path in the run -> digest of the content."""
    begun: str
    """UTC, to the second."""
    finished: str = ""
    """"" while it is not."""
    seconds: float = 0.0
    """Between the two."""
    exit: int | None = None
    """0 where it is done; none where it was begun and not ended."""
    note: str = ""
    """What must be known of its outcome beside, for the status."""

    @property
    def is_done(self) -> bool:
        return self.exit == 0

    def end(self, code: int) -> None:
        """The stage has ended now, with this exit code."""
        self.exit, self.finished = code, utc_now()
        self.seconds = seconds_of(self.finished) - seconds_of(self.begun)


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
        record.write(self.path(record.stage))

    def all(self) -> Iterator[StageRecord]:
        """Every record, in the order of the stages; those of other nodes are not read."""
        names = sorted(path.stem for path in (self.run / FOLDER).glob("*.json"))
        own = [name for name in names if _stage_of(name) in STAGES and not _OTHER_NODE.fullmatch(name)]
        for name in sorted(own, key=lambda name: STAGES.index(_stage_of(name))):
            if (record := self.read(name)) is not None:
                yield record


def _stage_of(name: str) -> str:
    """`predict_train` is a record of `predict`."""
    return name.partition("_")[0]
