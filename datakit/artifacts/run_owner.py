"""owner.json of a run: whose it is. A copied or renamed build names in its train.yaml the runs of another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from datakit.artifacts.document import Document
from datakit.artifacts.run_ids import RUNS
from datakit.core.errors import UserError

_FILE = "owner.json"


class RunOwner(Document):
    """The build that works in a run's folder."""

    FORMAT: ClassVar[int] = 1

    build: str = ""
    """Its folder, relative to the folder of runs: a project that is moved as a whole takes both along."""
    content: str = ""
    """Content hash of its data."""
    device: int = 0
    inode: int = 0
    """Of its folder: a renamed folder keeps them, a copy has others."""

    @classmethod
    def read(cls, run: Path) -> RunOwner:
        """The noted owner; of runs of earlier versions the build that their folder is named after."""
        try:
            return cls.load(run / _FILE)
        except UserError:  # none, or half-written
            name = run.parent.name
            return cls(build=os.path.join("..", name.removesuffix(RUNS)) if name.endswith(RUNS) else "")

    @classmethod
    def of(cls, build: Path, content: str, run: Path) -> RunOwner:
        """What is noted for a build that works in a run."""
        status = os.stat(build)
        place = os.path.relpath(os.path.realpath(build), os.path.realpath(run.parent))
        return cls(build=place, content=content, device=status.st_dev, inode=status.st_ino)

    def note(self, run: Path) -> None:
        self.write(run / _FILE)

    def place(self, run: Path) -> Path | None:
        """The build's folder as it was noted; None where nobody knows."""
        return Path(os.path.normpath(run.parent / self.build)) if self.build else None

    def is_folder(self, build: Path, content: str | None) -> bool:
        """Whether a folder is the noted one, wherever it lies. An inode alone may be another's since."""
        try:
            status = os.stat(build)
        except OSError:
            return False
        noted = (self.device, self.inode, self.content)
        return self.inode != 0 and noted == (status.st_dev, status.st_ino, content)


def runs_beside(build: Path, output_dir: Callable[[], str]) -> Path:
    """The folder of a build's runs: named after it, or after what it was called when it made them.

    `output_dir` is that of its training; it raises UserError where it trains nothing.
    """
    own = build.with_name(f"{build.name}{RUNS}")
    try:
        run = Path(os.path.realpath(build / output_dir())).parent
    except (UserError, LookupError):
        return own
    if run.parent.name == own.name or not (run / _FILE).is_file():
        return own
    place = RunOwner.read(run).place(run)
    return run.parent if place is not None and is_same(place, build) else own


def is_same(place: Path, other: Path) -> bool:
    """Whether two paths lead to one folder."""
    try:
        return os.path.samefile(place, other)
    except OSError:
        return False
