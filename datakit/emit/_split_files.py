"""The data files of an emitter as they fill: one for each split, text-only rows in a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datakit.artifacts.emitted import EmittedFile
from datakit.core.transform import Artifact
from datakit.emit._records import SPLITS
from datakit.emit._row_file import RowFile

Key = tuple[str, bool]
"""Part (train, val, general), and whether its rows have pictures."""


@dataclass
class SplitFiles:
    """`<name>_<part>.json` or `.jsonl`; `<name>_<part>_text` only where rows with pictures exist too.

    >>> import tempfile
    >>> files = SplitFiles(Path(tempfile.mkdtemp()), "shop")
    >>> files.append([b'{"id":1}', b'{"id":2}'], [("train", True, 3), ("val", True, 1)])
    >>> [(artifact.path, artifact.records) for artifact in files.close()]
    [('shop_train.json', 3), ('shop_val.json', 1)]
    """

    folder: Path
    name: str
    lines: bool = False
    """JSON Lines, instead of JSON arrays."""
    _files: dict[Key, RowFile] = field(default_factory=dict)

    def append(self, rows: list[bytes], keys: list[tuple[str, bool, int]]) -> None:
        """Adds rows, JSON each, by their keys of `split_keys`."""
        if len(set(keys)) == 1:  # nearly always, and 5 times quicker
            split, images, copies = keys[0]
            self._file((split, images)).append(rows, [copies] * len(rows))
            return
        groups: dict[Key, tuple[list[bytes], list[int]]] = {}
        for row, (split, images, copies) in zip(rows, keys, strict=True):
            lines_and_copies = groups.setdefault((split, images), ([], []))
            lines_and_copies[0].append(row)
            lines_and_copies[1].append(copies)
        for key, group in groups.items():
            self._file(key).append(*group)

    def _file(self, key: Key) -> RowFile:
        if key not in self._files:
            draft = self.folder / f".{self.name}.{key[0]}.{key[1]}.part"
            self._files[key] = RowFile(draft, lines=self.lines)
        return self._files[key]

    def close(self) -> list[Artifact]:
        """Ends every file and gives it its name."""
        for file in self._files.values():
            file.close()
        suffix = "jsonl" if self.lines else "json"
        for key, file in self._files.items():
            file.path = file.path.rename(self.folder / f"{self.entry(key)}.{suffix}")
        return [
            Artifact(path=file.path.name, kind="data", records=file.rows, sha256=file.sha256)
            for _, file in self.files()
        ]

    def release(self) -> None:
        """Closes what is open, whatever happened before."""
        for file in self._files.values():
            file.release()

    def rows(self, split: str) -> int:
        return sum(file.rows for (own, _), file in self._files.items() if own == split)

    def files(self) -> Iterator[tuple[Key, RowFile]]:
        """The files in order: training first, those with pictures before those without."""
        yield from sorted(self._files.items(), key=lambda item: (SPLITS.index(item[0][0]), not item[0][1]))

    def entry(self, key: Key) -> str:
        """The file's name without its suffix."""
        split, images = key
        apart = not images and (split, True) in self._files
        return f"{self.name}_{split}{'_text' if apart else ''}"

    def summary(self) -> dict[str, EmittedFile]:
        """Entry -> what its file holds."""
        return {
            self.entry(key): EmittedFile(
                file=file.path.name, part=key[0], pictures=key[1], records=file.records, rows=file.rows
            )
            for key, file in self.files()
        }
