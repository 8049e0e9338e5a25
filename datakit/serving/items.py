"""Records that a served model is asked about, and what can keep one from being asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.artifacts.data_set import DataSet
from datakit.core.errors import DatakitError

Picture = str | Path | bytes
"""A path, an http(s) address, or the bytes of a picture file."""


class NoPrompt(DatakitError):
    """A record that has no prompt: `reason` is a word, `detail` a sentence. `again`: another try may help."""

    def __init__(self, reason: str, detail: str, *, again: bool = False) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.again = reason, detail, again


@dataclass(frozen=True)
class Item:
    """One record to classify."""

    images: tuple[Picture, ...]
    id: str | None = None
    label: str | None = None
    """The truth, where it is known: copied into the prediction, never sent."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Columns that no step of the recipe makes, such as `text`."""
    messages: tuple[Mapping[str, str], ...] = ()
    """A prompt that is rendered already, as a build's data files hold it."""
    sizes: tuple[tuple[int, int], ...] | None = None
    """Width and height of the upright originals, where the pictures are copies at another size."""
    names: tuple[str, ...] | None = None
    """What the prediction calls the pictures; their paths when not given."""

    @property
    def shown_images(self) -> tuple[str, ...]:
        """The pictures as the prediction names them."""
        if self.names is not None:
            return self.names
        return tuple("bytes" if isinstance(image, bytes) else str(image) for image in self.images)


def rendered_items(
    data: DataSet, split: str, truths: Mapping[str, str], *, by_name: bool = False
) -> list[Item]:
    """The records of one split with the prompts that the data files hold, in their order, each once.

    `truths` are the labels by id; the answers in the data files state them too. With `by_name` predictions
    name the pictures as the data files do, not by their place on this machine.
    """
    form = data.answer_format
    items: dict[str, Item] = {}
    for row in data.rows(split):
        if row["id"] in items:
            continue
        turns, images = row["messages"], tuple(row.get("images") or ())
        items[row["id"]] = Item(
            tuple(str(data.path.absolute() / image) for image in images),
            row["id"],
            truths.get(row["id"]) or form.parse(turns[-1]["content"]).label,
            messages=tuple(turns[:-1]),
            names=images if by_name else None,
        )
    return list(items.values())
