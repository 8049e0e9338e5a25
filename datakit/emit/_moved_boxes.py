"""Records whose answers have boxes in other numbers than the model that is trained counts in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from datakit.core.answer_forms import ContractFormat
from datakit.core.box_forms import PARTS
from datakit.core.boxes import Size
from datakit.core.chat_places import MAYBE, ChatPlace, places_in
from datakit.core.factored_chats import FactoredChats, SharedAffixes
from datakit.core.image import ImageHeader, ImageProblem, read_header
from datakit.core.loose_places import asks_where
from datakit.core.outcome import Reject
from datakit.core.pixels import FAMILIES, TrainerLimits, smart_resize, trainer_size
from datakit.core.record import GENERAL
from datakit.core.step_context import StepContext
from datakit.core.templates import PROMPT_ROLES
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
    """Pictures over it are scaled down, and places in pixels with them; None where nothing is. Those
    that EXIF turns are written upright in any case."""
    is_relative: bool = False
    """Whether the model counts in thousandths of the sides."""
    is_pixels: bool = False
    """Whether the model counts in pixels."""
    limits: TrainerLimits | None = None
    """How the trainer scales pictures before the processor does; None where no trainer is known."""
    own_written: bool = False
    """Whether a step has written the boxes of the task's own records."""
    general_written: bool = False
    """Whether a step has written those of the general data."""
    own_kept: bool = True
    """Whether some of the own chats came with their records: only these can hold doubtful places."""
    doubts: list[Reject] = field(default_factory=list)
    """Records with numbers that may be places: appended here."""
    unsaid: list[Reject] = field(default_factory=list)
    """Records with sure places of which nobody can tell what they count, with `pixels` or `rounded` for the
    reason: appended here."""

    def fitting(
        self, batch: pl.DataFrame, left_out: list[Reject], shared: Sequence[SharedAffixes] = ()
    ) -> pl.DataFrame:
        """The records of a batch whose boxes can be meant; the others join those left out.

        `shared` is what the chats lack, when they are folded: half a box may stand there.
        """
        columns = [name for name in ("id", "images", "messages", "set") if name in batch.columns]
        seeing = batch.select(columns).filter(pl.col("images").list.len() > 0)
        if seeing.is_empty():
            return batch
        whole = self._kept_whole(seeing, shared)
        text = pl.element().struct.field("content").fill_null("")
        named = whole["messages"].list.eval(text.str.contains(MAYBE)).list.any().fill_null(False)
        faults = dict[str, Reject]()
        for row in whole.filter(named).iter_rows(named=True):
            is_general = row.get("set") == GENERAL
            is_kept = is_general or self.own_kept
            wrong, doubtful, unsaid = self._found(row, loose=is_kept)
            is_written = self.general_written if is_general else self.own_written
            if wrong is not None and not is_written:
                faults[wrong.id] = wrong
                continue
            self.doubts.extend([doubtful] if doubtful is not None and is_kept else [])
            self.unsaid.extend([unsaid] if unsaid is not None and is_kept and not is_written else [])
        left_out += faults.values()
        return batch.filter(~pl.col("id").is_in(list(faults))) if faults else batch

    def _kept_whole(self, batch: pl.DataFrame, shared: Sequence[SharedAffixes]) -> pl.DataFrame:
        """The records with the whole texts of chats that came with them. What a template says to all is
        nobody's box."""
        if not shared or self.own_kept:
            return FactoredChats(batch, shared).expanded()
        is_general = pl.col("set") == GENERAL
        general = FactoredChats(batch.filter(is_general), shared).expanded()
        return pl.concat([batch.filter(~is_general), general]) if general.height else batch

    def _found(
        self, row: Mapping[str, Any], *, loose: bool
    ) -> tuple[Reject | None, Reject | None, Reject | None]:
        """The first sure place of a record that would be wrong, the first of which nobody can tell whether it
        is one, and the first sure one of which nobody can tell what its numbers are."""
        id_, headers = str(row["id"]), list(_headers(row["images"]))
        sizes = [(header.width, header.height) for header in headers]
        is_scaled = self.max_pixels is not None and any(
            width * height > self.max_pixels for width, height in sizes
        )
        is_turned = any(header.exif_orientation != 1 for header in headers)
        if not (is_scaled or is_turned or self.is_relative or self.is_pixels):
            return None, None, None
        every = [place for place in _places(row["messages"], loose=loose) if place.is_likely]
        moved = [
            place
            for place in every
            if (not place.is_shares and (is_scaled or (self.is_relative and _is_over(place))))
            or (self.is_pixels and place.scale == "thousandths")
        ]
        wrong = next((place for place in moved if place.is_sure), None)
        unclear = [place for place in moved if not place.is_sure]
        unclear += every if is_turned else []
        doubtful = next((place for place in unclear if place.is_sure or _is_within(place, sizes)), None)
        unsaid, why = self._unsaid(every, sizes)
        return (
            None if wrong is None else self._fault(id_, wrong),
            None if doubtful is None else Reject(id_, "", _shown(doubtful)),
            None if unsaid is None else Reject(id_, why, _shown(unsaid)),
        )

    def _unsaid(self, places: Sequence[ChatPlace], sizes: Sequence[Size]) -> tuple[ChatPlace | None, str]:
        """The first place that may count something else than the model, and what."""
        if self.is_relative:
            return next((place for place in places if _may_be_pixels(place, sizes)), None), "pixels"
        if not self.is_pixels:
            return None, ""
        parts = [self._seen_by(size) for size in sizes]
        moved = (place for place in places if _may_be_pixels(place, sizes) and _moves(place, parts))
        return next(moved, None), "rounded"

    def _seen_by(self, size: Size) -> tuple[float, float]:
        """How much larger across and down the processor makes a picture, to sides of whole tokens."""
        scaled = size if self.limits is None else trainer_size(*size, self.limits)
        seen = smart_resize(*scaled, FAMILIES["qwen2_5_vl"])
        return seen[0] / size[0], seen[1] / size[1]

    def _fault(self, id_: str, place: ChatPlace) -> Reject:
        if self.is_relative:
            words = f"the model counts to {PARTS} along each side, and a text of the chat has"
            return Reject(id_, "box_outside", f"{words} {place.text[:_SHOWN]}: {_SAY}")
        if place.scale == "thousandths":
            words = f"the model counts in pixels, and a text of the chat has {place.text[:_SHOWN]}"
            return Reject(id_, "boxes_moved", f"{words}, which it says are thousandths: {_SAY}")
        words = f"a text of the chat has a place in pixels, {place.text[:_SHOWN]}, and its picture is scaled"
        return Reject(id_, "boxes_moved", f"{words} down to {self.max_pixels:,} pixels: {_SAY}")


def box_guard(context: StepContext, emitted_max_pixels: int | None, *, trainer: bool) -> BoxGuard | None:
    """What boxes of chats must be like; None where a step has written them all.

    `trainer`: the files are for LLaMA-Factory, which scales pictures down by itself, whatever was emitted.
    """
    steps = context.steps
    written = any(_counts(step, context) for step in steps), not _mixes_behind_kept(steps)
    renders = any(isinstance(step, Renderer) for step in steps)
    kept = not renders or any(getattr(step, "keep_messages", False) for step in steps)
    if all(written) and not kept and not _mixes(steps):
        return None
    if context.pictures.form in _RELATIVE:
        return BoxGuard(None, True, False, None, *written, kept, context.doubts, context.unsaid_units)
    limits = [emitted_max_pixels]
    if trainer and context.pictures.form is not None:
        limits.append(context.pictures.trainer.max_pixels)
    least = min((limit for limit in limits if limit is not None), default=None)
    is_pixels = context.pictures.form == "qwen2_5_vl"
    through = context.pictures.trainer if trainer else None
    return BoxGuard(least, False, is_pixels, through, *written, kept, context.doubts, context.unsaid_units)


def _is_over(place: ChatPlace) -> bool:
    """Whether a place is none in thousandths, by its numbers or by what its text says."""
    return place.scale == "pixels" or any(number > PARTS for number in place.numbers)


def _may_be_pixels(place: ChatPlace, sizes: Sequence[Size]) -> bool:
    """Whether a sure place may be pixels as well as thousandths."""
    is_said = place.in_thousandths or place.is_shares or place.scale != ""
    return place.is_sure and not is_said and _is_within(place, sizes)


def _moves(place: ChatPlace, parts: Sequence[tuple[float, float]]) -> bool:
    """Whether a number of a place is over a pixel elsewhere in a picture that is so much larger."""
    far = max(place.numbers[::2]), max(place.numbers[1::2])
    return any(
        abs(part - 1) * number > 1
        for across, down in parts
        for part, number in zip((across, down), far, strict=True)
    )


def _shown(place: ChatPlace) -> str:
    return " ".join(place.text.split())[:_SHOWN]


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


def _places(turns: Sequence[Mapping[str, str | None]], *, loose: bool) -> Iterator[ChatPlace]:
    """The places of a chat, by what the last question asked."""
    asked = False
    for turn in turns:
        text = turn["content"] or ""
        if turn["role"] in PROMPT_ROLES:
            asked = asks_where(text)
        yield from places_in(text, asked=asked, loose=loose)


def _headers(images: Sequence[str]) -> Iterator[ImageHeader]:
    for path in images:
        with suppress(ImageProblem):  # left out for that, with its own reason
            yield read_header(path)


def _is_within(place: ChatPlace, sizes: Sequence[Size]) -> bool:
    """Whether a place's numbers, across and down in turn, lie within a picture."""
    across, down = max(place.numbers[::2]), max(place.numbers[1::2])
    return min(place.numbers) >= 0 and any(across <= width and down <= height for width, height in sizes)
