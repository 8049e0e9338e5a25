"""Where a project's results are stored, before anything is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datakit.core.settings import RunSettings
from datakit.core.store_address import shown_url
from datakit.run.result_store import ResultStore
from datakit.run.store import FILE
from datakit.run.store_repair import sound_store, to_stderr


@dataclass(frozen=True)
class StorePlace:
    """A folder of this machine, and the database that results are in instead, if there is one."""

    folder: Path
    url: str | None = None

    @classmethod
    def of(cls, run: RunSettings, project: Path) -> StorePlace:
        """Where a recipe with these settings stores."""
        return cls(run.store_folder(project), run.store_url)

    def __str__(self) -> str:
        return str(self.folder) if self.url is None else shown_url(self.url)

    @property
    def is_made(self) -> bool:
        """Whether there is a store; of a database nobody knows before it is opened."""
        return self.url is not None or (self.folder / FILE).is_file()

    def open(self, say: Callable[[str], object] = to_stderr) -> ResultStore:
        """The store, sound and open. Raises UserError."""
        local = sound_store(self.folder, say)
        if self.url is None:
            return local
        from datakit.run.postgres_store import PostgresStore

        return PostgresStore(self.url, local)
