"""What is asked about the boxes of a record, and what is answered: drawn by the record's id and the seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, get_args

from datakit.core.box_forms import SeenPictures
from datakit.core.boxes import Box, BoxFault, checked, of_column
from datakit.core.image import ImageProblem, read_header
from datakit.core.outcome import Rejected

Task = Literal["lines", "locate", "read"]
TASKS: tuple[Task, ...] = get_args(Task)
TEXT_TASKS: frozenset[Task] = frozenset({"lines", "read"})
"""Tasks whose answer is what is written in a box. What a box is called is no such answer: a box `button` has
a text too, which nobody wrote down."""
ASK_NAME, ASK_BOX, ANSWER_BOXES, ANSWER_TEXT = "ask_name", "ask_box", "answer_boxes", "answer_text"
COLUMNS = (ASK_NAME, ASK_BOX, ANSWER_BOXES, ANSWER_TEXT)
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


@dataclass(frozen=True)
class Questions:
    """Makes questions out of a column of boxes."""

    column: str
    seen: SeenPictures
    min_score: float
    max_boxes: int
    label_is_text: bool = False
    """Whether a label is what is written in the box, where the box has no text."""

    def has_text(self, record: Mapping[str, Any]) -> bool:
        """Whether a box of the record has a text; True where `of` finds its boxes unreadable."""
        try:
            return bool(self._with_text(of_column(self._sure(record[self.column]))))
        except BoxFault:
            return True

    def of(self, record: Mapping[str, Any], task: Task, rng: Random) -> Question | Rejected:
        """The question of a record, or why there is none."""
        try:
            return self._asked(record, task, rng)
        except (BoxFault, ImageProblem) as fault:
            return Rejected(fault.reason, str(fault))

    def _asked(self, record: Mapping[str, Any], task: Task, rng: Random) -> Question | Rejected:
        paths = record["images"] or ()
        boxes = of_column(self._sure(record[self.column]))
        if len(paths) > 1:
            words = f"the record has {len(paths)} pictures, and the boxes of an answer do not say on which"
            return Rejected("images_too_many", words)
        if not paths or not boxes:
            return Rejected("boxes_missing", "the record has no box to ask about")
        header = read_header(paths[0])
        size = header.width, header.height
        boxes, clipped = checked(boxes, [size])
        try:
            self.seen.size(size)
        except ValueError as error:
            return Rejected("image_too_long", f"{paths[0]}: {error}")
        name, count = None, len(boxes)
        if task in TEXT_TASKS:
            boxes = self._with_text(boxes)
            if not boxes:
                return Rejected("boxes_missing", _without_text(task, count))
        if task == "read":
            return self._read(boxes, size, clipped, rng)
        textless = count - len(boxes)
        if task == "locate":
            name = _drawn(boxes, rng)
            boxes = [box for box in boxes if box.name == name]
            if name is None:
                return Rejected("boxes_missing", "no box of the record has a name to ask for")
        else:
            boxes = [box._replace(label=box.text) for box in boxes]
        if len(boxes) > self.max_boxes:
            words = f"the answer would have {len(boxes)} boxes, max_boxes allows {self.max_boxes}"
            return Rejected("boxes_too_many", words)
        entries = self.seen.written(boxes, [size])
        answer = json.dumps(entries, ensure_ascii=False)
        return Question(ask_name=name, answer_boxes=answer, clipped=clipped, textless=textless)

    def _with_text(self, boxes: Sequence[Box]) -> list[Box]:
        """The boxes that say what is written in them."""
        if self.label_is_text:
            boxes = [box._replace(text=box.text or box.label) for box in boxes]
        return [box for box in boxes if box.text]

    def _sure(self, entries: Any) -> Any:
        """The boxes that are sure enough; what is no list of objects as it is."""
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            return entries
        return [entry for entry in entries if _score(entry) >= self.min_score]

    def _read(self, boxes: Sequence[Box], size: tuple[int, int], clipped: int, rng: Random) -> Question:
        box = rng.choice(boxes)
        left, top, right, bottom = self.seen.numbers(box.sides, size)
        shown = f"[{left}, {top}, {right}, {bottom}]"
        if self.seen.form == "qwen2_vl":
            shown = f"({left},{top}),({right},{bottom})"
        return Question(ask_box=shown, answer_text=box.text, clipped=clipped)


def _without_text(task: Task, boxes: int) -> str:
    """Why a record cannot be asked for what is written in its boxes, and what to do."""
    return (
        f"none of the {boxes} boxes has a text, and `{task}` is answered with texts, not with labels; take "
        "`tasks: [locate]`, or say `label_is_text: true` where the labels are what is written there"
    )


def _score(entry: Mapping[str, Any]) -> float:
    """How sure an OCR engine is of a box; 1 for boxes without a score."""
    score = entry.get("score")
    return 1.0 if score is None else float(score)


def _drawn(boxes: Sequence[Box], rng: Random) -> str | None:
    """One of the names, equally often whatever their boxes; a telling one where there is one.

    One that stands within another (收藏 in 收藏夹) would have more places than boxes.
    """
    names = list(dict.fromkeys(box.name for box in boxes if box.name))
    alone = [name for name in names if not any(name in other for other in names if other != name)]
    telling = [name for name in alone if sum(map(str.isalnum, name)) >= _TELLING_CHARS]
    return rng.choice(telling or alone) if names else None
