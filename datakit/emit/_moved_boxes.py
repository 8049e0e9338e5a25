"""Records whose answers have boxes in other numbers than the model that is trained counts in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import polars as pl

from datakit.core.answer_forms import ContractFormat
from datakit.core.box_forms import PARTS
from datakit.core.boxes import Size
from datakit.core.chat_places import MAYBE, ChatPlace, places_in
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Reject
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.core.transform import Renderer, Transform

_SAY = "say what they are (render.chat: `keep_messages: true, kept_boxes: pixels`)"
_RELATIVE = ("qwen2_vl", "qwen3_vl")
"""Families whose numbers are parts of the sides: no resizing moves them."""
_SHOWN = 60


@dataclass(frozen=True)
class BoxGuard:
    """What boxes in chats must be like, of which nobody has said what they are.

    Records with sure places that would be wrong are left out. Those with doubtful ones are written and told.
    """

    max_pixels: int | None = None
    """Pictures over it are scaled down, and places in pixels with them; None where nothing is."""
    is_relative: bool = False
    """Whether the model counts in thousandths of the sides."""
    own_written: bool = False
    """Whether a step has written the boxes of the task's own records."""
    general_written: bool = False
    """Whether a step has written those of the general data."""
    own_kept: bool = True
    """Whether some of the own chats came with their records: only these can hold doubtful places."""
    doubts: list[Reject] = field(default_factory=list)
    """Records with numbers that may be places: appended here."""

    def fitting(self, batch: pl.DataFrame, left_out: list[Reject]) -> pl.DataFrame:
        """The records of a batch whose boxes can be meant; the others join those left out."""
        text = pl.element().struct.field("content").fill_null("")
        named = batch["messages"].list.eval(text.str.contains(MAYBE)).list.any().fill_null(False)
        named &= (batch["images"].list.len() > 0).fill_null(False)
        faults = dict[str, Reject]()
        columns = [name for name in ("id", "images", "messages", "set") if name in batch.columns]
        for row in batch.filter(named).select(columns).iter_rows(named=True):
            is_general = row.get("set") == GENERAL
            texts = [turn["content"] or "" for turn in row["messages"]]
            for fault, is_sure in self._found(row["id"], row["images"], texts):
                if not is_sure:
                    self.doubts.extend([fault] if is_general or self.own_kept else [])
                elif not (self.general_written if is_general else self.own_written):
                    faults[fault.id] = fault
                    break
        left_out += faults.values()
        return batch.filter(~pl.col("id").is_in(list(faults))) if faults else batch

    def _found(self, id_: str, images: Sequence[str], texts: Iterable[str]) -> Iterator[tuple[Reject, bool]]:
        """The first sure place of a record that would be wrong, and the first doubtful one that may be."""
        places = [place for text in texts for place in places_in(text) if not place.is_shares]
        if not places:
            return
        sizes = list(_sizes(images))
        is_scaled = self.max_pixels is not None and any(
            width * height > self.max_pixels for width, height in sizes
        )
        for place in places if is_scaled or self.is_relative else ():
            if place.is_sure and (is_scaled or _is_over(place)):
                yield self._fault(id_, place), True
                break
        for place in places if is_scaled or self.is_relative else ():
            is_doubtful = not place.is_sure and place.is_likely and _is_within(place, sizes)
            if is_doubtful and (is_scaled or _is_over(place)):
                yield Reject(id_, "", " ".join(place.text.split())[:_SHOWN]), False
                break

    def _fault(self, id_: str, place: ChatPlace) -> Reject:
        if self.is_relative:
            words = f"the model counts to {PARTS} along each side, and a text of the chat has"
            return Reject(id_, "box_outside", f"{words} {place.text[:_SHOWN]}: {_SAY}")
        words = f"a text of the chat has a place in pixels, {place.text[:_SHOWN]}, and its picture is scaled"
        return Reject(id_, "boxes_moved", f"{words} down to {self.max_pixels:,} pixels: {_SAY}")


def box_guard(context: StepContext, emitted_max_pixels: int | None, *, trainer: bool) -> BoxGuard | None:
    """What boxes of chats must be like; None where a step has written them all, or nothing is known.

    `trainer`: the files are for LLaMA-Factory, which scales pictures down by itself, whatever was emitted.
    """
    steps = context.steps
    written = any(_counts(step, context) for step in steps), not _mixes_behind_kept(steps)
    renders = any(isinstance(step, Renderer) for step in steps)
    kept = not renders or any(getattr(step, "keep_messages", False) for step in steps)
    if all(written) and not kept and not _mixes(steps):
        return None
    if context.pictures.form in _RELATIVE:
        return BoxGuard(None, True, *written, kept, context.doubts)
    limits = [emitted_max_pixels]
    if trainer and context.pictures.form is not None:
        limits.append(context.pictures.trainer.max_pixels)
    least = min((limit for limit in limits if limit is not None), default=None)
    return None if least is None else BoxGuard(least, False, *written, kept, context.doubts)


def _is_over(place: ChatPlace) -> bool:
    return any(number > PARTS for number in place.numbers)


def _counts(step: Transform, context: StepContext) -> bool:
    """Whether a step writes all boxes in the numbers of the model."""
    if getattr(step, "keep_messages", False):
        return getattr(step, "kept_boxes", None) is not None
    form = step.answer_format(context) if isinstance(step, Renderer) else None
    return isinstance(form, ContractFormat) and form.seen is not None


def _mixes(steps: Sequence[Transform]) -> list[int]:
    """The places of the steps that mix general data in."""
    return [at for at, step in enumerate(steps) if step.name() == "mix.general"]


def _mixes_behind_kept(steps: Sequence[Transform]) -> bool:
    """Whether general data joins where no later step writes the boxes of kept dialogues anew."""
    kept = max((at for at, step in enumerate(steps) if getattr(step, "kept_boxes", None)), default=-1)
    return max(_mixes(steps), default=-1) > kept


def _sizes(images: Sequence[str]) -> Iterator[Size]:
    for path in images:
        with suppress(ImageProblem):  # left out for that, with its own reason
            header = read_header(path)
            yield header.width, header.height


def _is_within(place: ChatPlace, sizes: Sequence[Size]) -> bool:
    """Whether a place's numbers, across and down in turn, lie within a picture."""
    across, down = max(place.numbers[::2]), max(place.numbers[1::2])
    return min(place.numbers) >= 0 and any(across <= width and down <= height for width, height in sizes)
