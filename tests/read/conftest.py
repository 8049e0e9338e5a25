"""A reader at work on files in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.labels import LabelSet
from datakit.core.outcome import Reject
from datakit.core.parameters import validated
from datakit.core.registry import find
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Reader


@dataclass(frozen=True)
class Got:
    """What a reader gave."""

    frame: pl.DataFrame
    rejects: list[Reject]
    warnings: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    """What was assumed of boxes."""

    @property
    def reasons(self) -> dict[str, str]:
        """Rejected record -> reason."""
        return {reject.id: reject.reason for reject in self.rejects}

    def column(self, name: str) -> list[Any]:
        return self.frame[name].to_list()


Read = Callable[..., Got]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads with a reader by name; paths start from the test's folder."""

    def go(name: str, batch_rows: int = 4096, labels: LabelSet | None = None, **parameters: Any) -> Got:
        reader = validated(find(name), parameters)
        assert isinstance(reader, Reader)
        run = RunSettings(batch_rows=batch_rows)
        context = StepContext(base=tmp_path, project=tmp_path, labels=labels, run=run)
        columns = dict(reader.columns(context))
        batches = list(reader.read(context))
        for batch in batches:
            assert dict(batch.frame.schema) == columns
        frame = pl.concat([batch.frame for batch in batches])
        warnings = [words for batch in batches for words in batch.notes.get("warnings", ())]
        unclear = [
            f"{found['count']} {found['what']} {[*found['shown']]}"
            for batch in batches
            for found in batch.notes.get("unclear boxes", ())
        ]
        return Got(frame, [reject for batch in batches for reject in batch.rejects], warnings, unclear)

    return go
