"""Whether the pictures that data names are there, where their paths start from, and which cannot be read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datakit.core.image import ImageHeader, ImageProblem, load_rgb, read_header, size_fault
from datakit.core.regular_files import regular

_OPENED = 400
"""Pictures whose headers are read: about a second."""
_FOLDERS = 200
"""Folders beside the data that are tried."""
_ENOUGH = 0.5
MIN_SIDE_PX, MAX_RATIO = 28, 200
"""What the recipe's guard.image is given."""
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
"""Format -> what a whole file ends with. A shortened WebP is not even opened: it states its length."""
_USUAL_MODES = "1 L LA P PA RGB RGBA RGBX CMYK YCbCr LAB I I;16 I;16B I;16L I;16N".split()  # noqa: SIM905
"""Pixel types that are read for sure: floating-point ones are not, which their header does not say."""


class Spread:
    """Some thousands of paths, spread over all that were given, in their order."""

    def __init__(self, most: int = 4000) -> None:
        self.paths: list[str] = []
        self._most, self._stride, self._seen = most, 1, 0

    def add(self, paths: Sequence[str]) -> None:
        """Takes the next paths; those that two records share count twice."""
        for path in paths:
            if self._seen % self._stride == 0:
                self.paths.append(path)
            self._seen += 1
            if len(self.paths) >= self._most:
                self.paths, self._stride = self.paths[::2], self._stride * 2


@dataclass(frozen=True)
class Looked:
    """What looking at pictures found."""

    opened: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Reason of rejection -> pictures of those that were opened."""
    example: str = ""

    @property
    def share(self) -> float:
        """Of the pictures that were opened, those that cannot be used."""
        return self.faults.total() / self.opened if self.opened else 0.0


def looked_at(paths: Sequence[str]) -> Looked:
    """What the headers of some of the pictures say, and the ends of their files."""
    some = paths[:: max(1, len(paths) // _OPENED)]
    faults, example = Counter[str](), ""
    for path in some:
        try:
            header = read_header(path)
            if header.mode not in _USUAL_MODES or not _ends_as_it_should(path, header):
                load_rgb(path)  # not every rare mode is read, and whole pictures may have bytes behind them
        except ImageProblem as problem:
            faults[problem.reason] += 1
            example = example or (problem.detail if path in problem.detail else f"{path}: {problem.detail}")
            continue
        if fault := size_fault(header.width, header.height, MIN_SIDE_PX, MAX_RATIO):
            faults[fault[0]] += 1
            example = example or f"{path}: {header.width} x {header.height} px"
    return Looked(len(some), faults, example)


def _ends_as_it_should(path: str, header: ImageHeader) -> bool:
    """Whether a file has the end of its format. Decoding every picture takes some 30 times as long as headers
    do (2026-11-28)."""
    end = _ENDS.get(header.format, b"")
    with open(path, "rb", opener=regular) as file:
        file.seek(max(0, header.bytes - len(end)))
        return file.read() == end


def are_missing(paths: Sequence[str]) -> bool:
    """Whether most of the pictures are not where their paths lead."""
    return bool(paths) and sum(map(os.path.exists, paths)) < _ENOUGH * len(paths)


@dataclass(frozen=True)
class Base:
    """A folder from which most of the paths lead to pictures."""

    folder: Path
    is_inside: bool
    """Whether it is a folder of the data."""
    others: tuple[Path, ...]
    """Further ones, as near to the data."""


def base_of(paths: Sequence[str], folder: Path) -> Base | None:
    """The folder near `folder` from which most of the paths lead to pictures, where they do not from it.

    Names such as `0.jpg` are in many folders: one below the data's wins, although a folder beside it has more
    of them. Only then the working folder, the two folders above the data, and those beside it are tried.
    """
    names = [os.path.relpath(path, folder) for path in paths]
    some = names[:: max(1, len(names) // _FOLDERS)]
    for is_inside, bases in ((True, _inner(folder, 2)), (False, _outside(folder))):
        counts = {base: _there(base, some) for base in _once(bases)}
        full = sorted(
            (base for base in counts if 2 * counts[base] >= len(some)), key=lambda base: -counts[base]
        )
        if full:
            return Base(full[0], is_inside, tuple(full[1:]))
    return None


def _there(base: Path, names: Sequence[str]) -> int:
    paths = (os.path.join(base, name) for name in names)
    return sum(os.path.exists(path) or os.path.exists(path.replace("\\", "/")) for path in paths)


def _once(folders: Sequence[Path]) -> list[Path]:
    """Each folder once, also where a link leads to it."""
    return list({os.path.realpath(folder): folder for folder in reversed(folders)}.values())[::-1]


def _outside(folder: Path) -> list[Path]:
    above = [folder.parent, folder.parent.parent]
    beside = [path for path in _inner(folder.parent, 2) if not path.is_relative_to(folder)]
    return [Path.cwd(), *above, *beside]


def _inner(folder: Path, depth: int) -> list[Path]:
    """Folders below a folder, some levels deep."""
    folders: list[Path] = []
    try:
        entries = sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
    for path in entries[:_FOLDERS]:
        folders.append(Path(path))
        if depth > 1:
            folders += _inner(Path(path), depth - 1)
    return folders[:_FOLDERS]
