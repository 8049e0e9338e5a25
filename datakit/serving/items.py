"""Records that a served model is asked about, and what can keep one from being asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datakit.artifacts.data_set import DataSet
from datakit.artifacts.document import REMEDY
from datakit.core.errors import DatakitError, UserError

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
    name the pictures as the data files do, not by their place on this machine. Raises UserError for a row
    that has no id, or no conversation.
    """
    form = data.answer_format
    items: dict[str, Item] = {}
    for number, row in enumerate(data.rows(split), 1):
        if why := _damage(row):
            raise UserError(f"row {number:,} of the split {split} in {data.path} {why}", remedy=REMEDY)
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


def _damage(row: Mapping[str, Any]) -> str:
    """What keeps a row from being asked about, in words; "" for nothing."""
    turns, images = row.get("messages"), row.get("images") or []
    if not isinstance(row.get("id"), str):
        return "has no id"
    are_turns = isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns)
    if not turns or not are_turns or not all(isinstance(turn.get("content"), str) for turn in turns):
        return "has no messages"
    are_names = isinstance(images, list) and all(isinstance(image, str) for image in images)
    return "" if are_names else "has images that are no names of files"
