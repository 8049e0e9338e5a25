"""What the proxy reads, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ProxyData:
    """Records as the proxy reads them. Ids and paths are no part of it: they may tell the label."""

    texts: Sequence[str]
    """Of each record; "" for one without text."""
    pictures: npt.NDArray[np.float32] | None
    """(n, d), see proxy.pictures; NaN throughout for a record without one. None: nobody looks at them."""
    groups: Sequence[str]
    """Records with an equal value are never on both sides of a fold; a value of its own for a record that
    belongs to no other."""

    def __post_init__(self) -> None:
        sizes = {len(self.texts), len(self.groups)} | (
            set() if self.pictures is None else {len(self.pictures)}
        )
        if len(sizes) > 1:
            raise ValueError(f"texts, pictures and groups are of different lengths: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | Rows) -> ProxyData:
        """Some of the records, in the given order."""
        pictures = None if self.pictures is None else self.pictures[np.asarray(rows, dtype=np.int64)]
        return ProxyData([self.texts[row] for row in rows], pictures, [self.groups[row] for row in rows])


@dataclass(frozen=True)
class Predicted:
    """Probabilities of every class for every record."""

    classes: tuple[str, ...]
    """Sorted."""
    probabilities: Floats
    """(n, classes), each row sums to 1."""

    def of(self, labels: Sequence[str]) -> Floats:
        """(n,) probability of each record's label; 0 for one that is no class."""
        places = {name: at for at, name in enumerate(self.classes)}
        given = [places.get(label, -1) for label in labels]
        rows = np.arange(len(given))
        return np.where(np.array(given) >= 0, self.probabilities[rows, given], 0.0)

    def best(self) -> list[str]:
        """The likeliest class of each record; of equal ones the first."""
        return [self.classes[at] for at in self.probabilities.argmax(axis=1)] if self.classes else []
