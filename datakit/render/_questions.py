"""What is asked about the boxes of a record, and what is answered: drawn by the record's id and the seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal, get_args

from datakit.core.box_forms import SeenPictures
from datakit.core.boxes import Box, BoxFault, checked, of_column
from datakit.core.image import ImageProblem, read_header
from datakit.core.likeness import standing
from datakit.core.outcome import Rejected
from datakit.render._legible import LeftOut, Legible, legible

Task = Literal["lines", "locate", "read"]
TASKS: tuple[Task, ...] = get_args(Task)
TEXT_TASKS: frozenset[Task] = frozenset({"lines", "read"})
"""Tasks whose answer is what is written in a box. What a box is called is no such answer: a box `button` has
a text too, which nobody wrote down."""
ASK_NAME, ASK_BOX, ANSWER_BOXES, ANSWER_TEXT = "ask_name", "ask_box", "answer_boxes", "answer_text"
COLUMNS = (ASK_NAME, ASK_BOX, ANSWER_BOXES, ANSWER_TEXT)
_LIKE = 0.8
"""Likeness from which a name may stand in a text that OCR has misread."""
_TELLING_CHARS = 2
"""Letters and digits of a name that says what is meant: OCR reads arrows and ticks as `<` and `1 +`."""


@dataclass(frozen=True)
class Question:
    """A question about one picture and its answer; null for what it does not have."""

    ask_name: str | None = None
    """What is to be found."""
    ask_box: str | None = None
    """The box that is asked about, as a prompt writes it."""
    answer_boxes: str | None = None
    """The boxes of the answer as JSON, in the numbers of the form."""
    answer_text: str | None = None
    clipped: int = 0
    """Boxes that hung over the edge of the picture."""
    textless: int = 0
    """Boxes that the answer leaves out, since they have no text."""
    left_out: int = 0
    """Texts that no question of this step is asked about."""


@dataclass(frozen=True)
class Questions:
    """Makes questions out of a column of boxes."""

    column: str
    seen: SeenPictures
    min_score: float
    max_boxes: int
    label_is_text: bool = False
    """Whether a label is what is written in the box, where the box has no text."""
    left_out: tuple[LeftOut, ...] = ()
    """What of the texts no question is asked about."""

    def of(self, record: Mapping[str, Any], task: Task, rng: Random) -> Question | Rejected:
        """The question of a record, or why there is none."""
        try:
            return self._asked(record, task, rng)
        except (BoxFault, ImageProblem) as fault:
            return Rejected(fault.reason, str(fault))

    def _asked(self, record: Mapping[str, Any], task: Task, rng: Random) -> Question | Rejected:
        paths = record["images"] or ()
        entries = record[self.column]
        boxes = self._texts(of_column(entries))
        if len(paths) > 1:
            words = f"the record has {len(paths)} pictures, and the boxes of an answer do not say on which"
            return Rejected("images_too_many", words)
        if not paths or entries is None:
            return Rejected("boxes_missing", "the record has no box to ask about")
        if not boxes:
            return Rejected("boxes_none_left", "the picture has no box to ask about")
        header = read_header(paths[0])
        size = header.width, header.height
        try:
            self.seen.size(size)
        except ValueError as error:
            return Rejected("image_too_long", f"{paths[0]}: {error}")
        pairs = list(zip(entries, boxes, strict=True))
        by_label = task not in TEXT_TASKS
        known = legible(pairs, header.height, self.min_score, self.left_out, by_label=by_label)
        boxes, clipped = checked(known.boxes, [size])
        if task in TEXT_TASKS:
            boxes = [box for box in boxes if box.text]
        if not boxes:
            reason = "boxes_missing" if known.boxes else "boxes_none_left"
            return Rejected(reason, _none_left(task, known))
        if task == "read":
            question: Question | Rejected = self._read(boxes, size, rng)
        else:
            question = self._placed(task, boxes, size, known, rng)
        if isinstance(question, Rejected):
            return question
        textless = len(known.boxes) - len(boxes)
        return replace(question, clipped=clipped, textless=textless, left_out=len(known.left_out))

    def _placed(
        self, task: Task, boxes: list[Box], size: tuple[int, int], known: Legible, rng: Random
    ) -> Question | Rejected:
        """A question that boxes answer: all of them, or those of a name."""
        name = None
        if task == "locate":
            if not any(box.name for box in boxes):
                return Rejected("boxes_missing", "no box of the record has a name to ask for")
            name = _drawn(boxes, known.others, rng)
            if name is None:
                return Rejected("boxes_doubtful", _DOUBTFUL_NAMES)
            boxes = [box for box in boxes if box.name == name]
        elif known.doubtful:
            return Rejected("boxes_doubtful", _doubtful_lines(known.doubtful, self.min_score))
        else:
            boxes = [box._replace(label=box.text) for box in boxes]
        if len(boxes) > self.max_boxes:
            words = f"the answer would have {len(boxes)} boxes, max_boxes allows {self.max_boxes}"
            return Rejected("boxes_too_many", words)
        answer = json.dumps(self.seen.written(boxes, [size]), ensure_ascii=False)
        return Question(ask_name=name, answer_boxes=answer)

    def _texts(self, boxes: list[Box]) -> list[Box]:
        """The boxes with what is written in them, where their labels say it."""
        return [box._replace(text=box.text or box.label) for box in boxes] if self.label_is_text else boxes

    def _read(self, boxes: Sequence[Box], size: tuple[int, int], rng: Random) -> Question:
        box = rng.choice(boxes)
        left, top, right, bottom = self.seen.numbers(box.sides, size)
        shown = f"[{left}, {top}, {right}, {bottom}]"
        if self.seen.form == "qwen2_vl":
            shown = f"({left},{top}),({right},{bottom})"
        return Question(ask_box=shown, answer_text=box.text)


_DOUBTFUL_NAMES = (
    "each name of the record stands also within another text, or in one that OCR is not sure of, so that no "
    "answer could give all its places"
)


def _doubtful_lines(doubtful: Sequence[str], min_score: float) -> str:
    """Why a record cannot be asked for every line, and what to do."""
    return (
        f"OCR is less sure than {min_score:g} of {len(doubtful)} of the texts, such as {doubtful[0]!r}, or "
        "ran them together, and an answer to `lines` may neither lack nor hold them; add `locate` or `read` "
        "to the tasks, which ask about the others, or take a lower `min_score`"
    )


def _none_left(task: Task, known: Legible) -> str:
    """Why a record has nothing that can be asked about, and what to do."""
    count = len(known.boxes)
    if not count:
        return (
            f"the record has no box to ask about: {len(known.doubtful)} are less sure than `min_score`, and "
            f"{len(known.left_out)} are what `leave_out` names"
        )
    return (
        f"none of the {count} boxes has a text, and `{task}` is answered with texts, not with labels; take "
        "`tasks: [locate]`, or say `label_is_text: true` where the labels are what is written there"
    )


def _drawn(boxes: Sequence[Box], others: Sequence[str], rng: Random) -> str | None:
    """One of the names, equally often whatever their boxes; a telling one where there is one.

    One that stands within another (收藏 in 收藏夹), or in a text that is no name here, would have more places
    than boxes: None where all do.
    """
    names = list(dict.fromkeys(box.name for box in boxes if box.name))
    alone = [
        name
        for name in names
        if not any(name in other for other in names if other != name)
        and not any(standing(name, other) >= _LIKE for other in others)
    ]
    telling = [name for name in alone if sum(map(str.isalnum, name)) >= _TELLING_CHARS]
    return rng.choice(telling or alone) if alone else None
