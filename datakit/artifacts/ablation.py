"""A folder of an ablation (`build/NAME.ablate`): a build for each change and training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datakit.artifacts import names
from datakit.artifacts.ablation_record import BASE as BASE
from datakit.artifacts.ablation_record import AblationRecord as AblationRecord
from datakit.artifacts.ablation_record import Change as Change
from datakit.artifacts.ablation_record import Job as Job
from datakit.artifacts.build_folder import BuildFolder

SCRIPT = "run.sh"


class AblationFolder:
    """The folder of a recipe's ablation."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def jobs(self, record: AblationRecord) -> Iterator[Job]:
        """Every training, those of the first seed first."""
        return record.jobs(self.path)

    @property
    def record_file(self) -> Path:
        return self.path / names.ABLATION

    @property
    def script(self) -> Path:
        return self.path / SCRIPT

    @property
    def page(self) -> Path:
        """The comparison for a browser."""
        return self.path / names.ABLATION_PAGE

    def outcomes_file(self, change: Change) -> Path:
        """How often each record was answered rightly under a change."""
        return self.path / f"{change.name}.parquet"

    def record(self) -> AblationRecord | None:
        """None where nothing was made here. Raises UserError for one that is damaged."""
        return AblationRecord.load(self.record_file) if self.record_file.is_file() else None

    def build(self, job: Job) -> BuildFolder:
        """The build of a training. Raises UserError where it is not finished."""
        return BuildFolder.open(job.path)
