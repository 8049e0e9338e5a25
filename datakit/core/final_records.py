"""What an emitter reads, the records of a recipe's last step, and what it says of the files that it wrote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from datakit.core.factored_chats import FactoredChats


class Artifact(BaseModel):
    """A file that an emitter wrote, relative to the build folder."""

    model_config = ConfigDict(frozen=True)

    path: str
    kind: str
    """data, config, image, card …"""
    records: int | None = None
    sha256: str = ""
    """Of its bytes, where the emitter took it while writing; else the file is read again for it."""


class FinalRecords(ABC):
    """The records of a recipe's last step, as an emitter reads them: they lie on disk, in record order."""

    @property
    @abstractmethod
    def schema(self) -> Mapping[str, Any]:
        """Column -> dtype."""

    @abstractmethod
    def factored(self, columns: Sequence[str] | None = None) -> Iterator[FactoredChats]:
        """Some records at a time, with what their chats share apart."""

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The same with whole chats."""
