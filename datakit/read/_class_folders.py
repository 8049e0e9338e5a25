"""Folders of pictures as classes and splits: `女装/其他` and `男装/其他` are two, `train/` is no class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from datakit.core.labels import visible_form
from datakit.core.split_words import split_of

ClassFrom = Literal["leaf", "path", "top"]
_MOST_NAMED = 3


@dataclass(frozen=True)
class ClassFolders:
    """What the folders above each picture mean; names that look the same are one, as é in two signs is."""

    class_from: ClassFrom | None = None
    splits: dict[str, str] = field(default_factory=dict)
    """Folder at the top -> split; empty where the folders at the top are classes."""
    ambiguous: frozenset[str] = frozenset()
    """Names of folders that stand below several others, and so say too little by themselves."""

    @classmethod
    def of(cls, names: Iterable[str], class_from: ClassFrom | None, *, splits: bool) -> ClassFolders:
        """From the paths of all pictures below the root."""
        folders = {_visible(PurePosixPath(name).parent) for name in names}
        tops = {folder.parts[0] for folder in folders if folder.parts}
        known = {top: split for top in tops if (split := split_of(top))}
        if not splits or len(known) < len(tops):
            known = {}
        parents: dict[str, set[PurePosixPath]] = defaultdict(set)
        for folder in folders:
            own = _own(folder, known)
            if own.parts:
                parents[own.name].add(own.parent)
        return cls(class_from, known, frozenset(name for name, above in parents.items() if len(above) > 1))

    def split(self, name: str) -> str | None:
        """The split of a picture."""
        return self.splits.get(visible_form(PurePosixPath(name).parts[0]))

    def label(self, name: str) -> tuple[str, ...]:
        """The folders that are the class of a picture; none for one that lies in no folder of a class."""
        folder = _own(PurePosixPath(name).parent, self.splits)
        if self.class_from == "top":
            return folder.parts[:1]
        whole = self.class_from is None and visible_form(folder.name) in self.ambiguous
        return folder.parts if self.class_from == "path" or whole else folder.parts[-1:]

    def note(self) -> str:
        """What was made of the folders, in one line; "" where each is a class."""
        parts = [f"`{top}/` as split {split}" for top, split in sorted(self.splits.items())]
        if self.class_from is None and self.ambiguous:
            names = ", ".join(f"`{name}`" for name in sorted(self.ambiguous)[:_MOST_NAMED])
            more = " …" if len(self.ambiguous) > _MOST_NAMED else ""
            parts.append(
                f"folders called {names}{more} by their whole paths, for several are called so "
                "(`class_from: leaf` makes each name one class)"
            )
        return f"took {', '.join(parts)}" if parts else ""


def _own(folder: PurePosixPath, splits: dict[str, str]) -> PurePosixPath:
    """The folder without that of its split."""
    is_split = bool(folder.parts) and visible_form(folder.parts[0]) in splits
    return PurePosixPath(*folder.parts[1:]) if is_split else folder


def _visible(folder: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(*map(visible_form, folder.parts))
