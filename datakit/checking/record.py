"""What the trainer does with one row: keeps it, drops it or stops, and how many tokens it makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from datakit.checking.convert import ASSISTANT, Dialogue, Dropped, Stops, dialogue_of
from datakit.checking.cutting import Lengths, cut
from datakit.checking.data_set import DataSet
from datakit.checking.images import ImageFiles
from datakit.checking.layout import Habits, Layout, Turn, turns_of
from datakit.checking.media import PLACES, media_fault
from datakit.checking.pieces import Piece, answer_cut, pictures_cut
from datakit.core.pixels import TRAINER, TrainerLimits, image_tokens
from datakit.core.tokens import IMAGE, TokenCounter

Verdict = Literal["kept", "dropped", "stops"]
_CONTROL = re.compile(r"<\|(?:im_start|im_end|endoftext|vision_start|vision_end|vision_pad)\|>")
_PAD = re.compile(r"<\|(?:image|video)_pad\|>")
_LONG = 200


@dataclass(frozen=True)
class How:
    """The settings of the training that decide over a row."""

    layout: Layout | None
    """None for a template whose tokens are not counted."""
    cutoff: int | None = None
    """Tokens that a row may have, with what packing takes already off; None leaves the length open."""
    media: frozenset[str] | None = None
    """What of `images`, `videos` and `audios` the template takes; None when that is not known."""
    limits: TrainerLimits = TRAINER
    habits: Habits = field(default_factory=Habits)
    last_only: bool = False
    """`mask_history`: only the last answer is learnt, and it takes its room first."""
    learns_prompt: bool = False
    """`train_on_prompt`."""


@dataclass(slots=True)
class RecordCheck:
    """The account of one row."""

    verdict: Verdict = "kept"
    text_tokens: int = 0
    """Of the whole dialogue before any cut, without pictures."""
    image_tokens: list[int] = field(default_factory=list)
    """Of each picture after both resizes, with its two frame tokens left to the text."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Width and height of each picture's stored pixels."""
    input_tokens: int = 0
    """What the trainer keeps of the row."""
    label_tokens: int = 0
    """What it learns."""
    crashes: bool = False
    """Preprocessing keeps the row, and a training step fails at it."""
    counted: bool = False
    """Whether the figures of tokens are those of the whole row: videos, sound, pictures of rare formats and
    rows of other templates are not counted."""
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Codes and words of findings."""

    @property
    def tokens(self) -> int:
        """All tokens before any cut."""
        return self.text_tokens + sum(self.image_tokens)


class Checker:
    """Checks rows one after another; remembers pictures and lines of text."""

    def __init__(self, how: How, images: ImageFiles) -> None:
        self.how, self.pictures = how, images
        self._counter = TokenCounter(how.layout.vocabulary if how.layout else "qwen2_5")

    def check(self, row: dict[str, Any], data_set: DataSet) -> RecordCheck:
        """The account of one row."""
        account = RecordCheck()
        try:
            dialogue = dialogue_of(row, data_set)
            self._texts(dialogue, account)
            self._media(dialogue)
            self._pictures(dialogue, account)
            known = len(account.sizes) == len(dialogue.images) and not (dialogue.videos or dialogue.audios)
            if self.how.layout is not None and known:
                self._length(dialogue, self.how.layout, account)
                account.counted = True
            elif dialogue.videos or dialogue.audios:
                words = f"{len(dialogue.videos)} videos, {len(dialogue.audios)} sounds"
                account.faults.append(("media_unchecked", words))
        except Dropped as error:
            account.verdict = "dropped"
            account.faults.append((error.code, str(error)))
        except Stops as error:
            account.verdict = "stops"
            account.faults.append((error.code, str(error)))
        return account

    def _texts(self, dialogue: Dialogue, account: RecordCheck) -> None:
        for number, (role, content) in enumerate(dialogue.turns, 1):
            if not isinstance(content, str):
                raise Stops("not_text", f"the content of turn {number} is a {type(content).__name__}")
            if role == ASSISTANT and not content.strip():
                account.faults.append(("empty_answer", f"turn {number}"))
            if "{{idx}}" in content and role != ASSISTANT:
                account.faults.append(("turn_number", f"turn {number}"))
            if "<" in content:
                self._tokens_in(content, f"turn {number}", account)
        if isinstance(dialogue.system, str) and "<" in dialogue.system:
            self._tokens_in(dialogue.system, "the system turn", account)
            if IMAGE in dialogue.system and self.how.media != frozenset():
                account.faults.append(("image_in_system", f"{dialogue.system.count(IMAGE)} times"))

    def _media(self, dialogue: Dialogue) -> None:
        """Raises Stops for a medium that the template lacks, for places that do not match, for lost files."""
        taken = self.how.media
        for medium in PLACES:
            count = len(getattr(dialogue, medium))
            if count and taken is not None and medium not in taken:
                raise Stops("template_blind", f"{count} {medium}")
        marked = [content for _, content in dialogue.turns if "<" in content]
        for medium, place in PLACES.items() if taken != frozenset() else ():
            count = len(getattr(dialogue, medium))
            places = sum([content.count(place) for content in marked])
            if places != count:
                code = "picture_count" if medium == "images" else "media_place"
                raise Stops(code, f"{places} `{place}` for {count} {medium}")
        for medium in ("videos", "audios"):
            for path in getattr(dialogue, medium):
                if fault := media_fault(self.pictures.folder, medium, path):
                    raise Stops(*fault)

    def _tokens_in(self, text: str, place: str, account: RecordCheck) -> None:
        if "<|" not in text:
            return
        if control := _CONTROL.search(text):
            account.faults.append(("control_token", f"`{control.group()}` in {place}"))
        if self.how.media != frozenset() and (pad := _PAD.search(text)):
            account.faults.append(("pad_token", f"`{pad.group()}` in {place}"))
            account.crashes = True

    def _pictures(self, dialogue: Dialogue, account: RecordCheck) -> None:
        layout = self.how.layout
        for place in dialogue.images:
            image = self.pictures.look(place)
            account.faults += image.doubts
            if image.problem:
                raise Stops(image.problem, image.detail)
            if not image.width:
                continue
            size = image.width, image.height
            account.sizes.append(size)
            if max(size) > _LONG * min(size):
                account.faults.append(("picture_long", f"{place}: {size[0]}x{size[1]}"))
            if layout is None or layout.family is None:
                continue
            try:
                account.image_tokens.append(image_tokens(*size, layout.family, self.how.limits))
            except ValueError as error:
                raise Stops("picture_vanishes", f"{place}: {error}") from None

    def _length(self, dialogue: Dialogue, layout: Layout, account: RecordCheck) -> None:
        turns = turns_of(dialogue, layout, self.how.habits)
        count = self._counter.count
        lengths: list[Lengths] = []
        pads = iter(account.image_tokens)
        for number, turn in enumerate(turns):
            source = sum([count(piece) for piece in turn.source])
            target = sum([count(piece) for piece in turn.target])
            account.text_tokens += source + target
            for role in (0, 1) if account.image_tokens else ():
                places = dialogue.turns[2 * number + role][1].count(IMAGE)
                more = sum(next(pads, 0) for _ in range(places))
                source, target = (source, target + more) if role else (source + more, target)
            lengths.append((source, target))
        kept = lengths
        if self.how.cutoff is not None and account.tokens > self.how.cutoff:
            kept = cut(lengths, self.how.cutoff, last_first=self.how.last_only)
            self._cuts(dialogue, layout, lengths, kept, account)
        account.input_tokens = sum(map(sum, kept))
        learnt = kept[-1:] if self.how.last_only else kept
        account.label_tokens = sum(target for _, target in learnt)
        if self.how.learns_prompt:
            account.label_tokens = account.input_tokens

    def _cuts(
        self,
        dialogue: Dialogue,
        layout: Layout,
        lengths: list[Lengths],
        kept: list[Lengths],
        account: RecordCheck,
    ) -> None:
        """Says what each cut takes away. Slow and exact; only rows over the limit come here."""
        pads = iter(account.image_tokens)
        turns: list[Turn] = turns_of(dialogue, layout, self.how.habits, Piece.PICTURE)
        for number, (turn, full, stays) in enumerate(zip(turns, lengths, kept, strict=True)):
            place = f"turn {2 * number + 1}"
            source = Piece.of(turn.source, layout.vocabulary, pads)
            target = Piece.of(turn.target, layout.vocabulary, pads)
            for piece, most in ((source, stays[0]), (target, stays[1])):
                for words in pictures_cut(piece, most):
                    account.faults.append(("image_cut", f"{place}: {words}"))
                    account.crashes = True
            if stays == (0, 0):
                account.faults.append(("turns_lost", f"turns {2 * number + 1} and {2 * number + 2}"))
                continue
            if stays[0] < full[0]:
                words = f"{place}: {full[0] - stays[0]:,} of {full[0]:,} tokens"
                account.faults.append(("prompt_cut", words))
            if stays[1] < full[1]:
                words = answer_cut(target, stays[1], dialogue.turns[2 * number + 1][1])
                account.faults.append(("answer_cut", f"turn {2 * number + 2}: {words}"))
