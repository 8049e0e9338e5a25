"""The boxes of a record's question and answer, where they stand on the picture of a card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.box_forms import SeenPictures
from datakit.core.box_texts import entries_in
from datakit.core.boxes import Box, Size

_ASKED = "ask_box"
"""Column of render.grounding with the box that is asked about."""


@dataclass(frozen=True)
class DrawnColumns:
    """The columns of a build with boxes in the numbers of its model."""

    names: tuple[str, ...]
    seen: SeenPictures

    def boxes_of(self, record: Mapping[str, Any], size: Size) -> list[Box]:
        """The boxes of a record in pixels of its picture of this size."""
        texts = (record.get(name) for name in self.names)
        entries = [entry for text in texts if text for entry in entries_in(str(text)) or ()]
        return [Box(0, self.seen.pixels(entry["bbox_2d"], size), entry.get("label")) for entry in entries]


def drawn_columns(build: BuildFolder) -> DrawnColumns | None:
    """Of a build; None where no step writes boxes for a model."""
    form = build.answer_format if build.has_answer_format else None
    if not isinstance(form, ContractFormat) or form.seen is None:
        return None
    fields = (field for own in form.contracts for field in own.fields if field.is_placed)
    names = dict.fromkeys([*(field.source for field in fields), _ASKED])
    return DrawnColumns(tuple(name for name in names if name in build.columns), form.seen)
