"""What the data asks of a server: the longest request, the most pictures, and the pixels of training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.core.image import ImageProblem, read_header
from datakit.core.pixels import (
    FAMILIES,
    FRAME_TOKENS,
    MAX_ASPECT,
    Family,
    TrainerLimits,
    image_tokens,
    smart_resize,
    trainer_size,
)
from datakit.core.qwen_models import QwenModel
from datakit.core.seen_pictures import processor_in
from datakit.core.tokens import Template, TokenCounter
from datakit.serving.rooms import Rooms, rounded_room

Size = tuple[int, int]
"""Width and height in pixels."""
NEED = "Serving needs a build with `- llamafactory: {}` under `emit:`."
_ANSWERS_COUNTED = 20_000
_USUAL_ASPECT = 4.0
"""Pictures up to this aspect pass a server unchanged even when the data has none so long."""


@dataclass(frozen=True)
class Requirements:
    """The figures of a build that a server must meet."""

    records: int
    prompt_tokens: int
    """Longest prompt with its pictures, in tokens."""
    answer_tokens: int
    """Longest answer of the last turn."""
    longest: str
    """Id of the record with the longest prompt and answer together."""
    longest_tokens: int
    """Its tokens."""
    images: int
    """Most pictures of a record."""
    image_tokens: int
    """Tokens of the largest picture, frame tokens included."""
    trainer: TrainerLimits
    """Pixel limits of the training."""
    family: Family
    """Grid and limits of the model's processor."""
    served: Family
    """The same with the limits that the server gets."""
    mismatches: tuple[Size, ...] = ()
    """Sizes in the build whose pictures the server would cut into other tokens than the training did."""
    untreated: int = 0
    """Different sizes that a client would get wrong if it sent pictures as they are."""
    sizes: int = 0
    """Different sizes of pictures."""
    turn_tokens: tuple[int, ...] = ()
    """Longest answer of each turn."""
    asked_tokens: int = 0
    """Longest prompt without the answers between its turns."""


def requirements_of(build: BuildFolder, model: QwenModel) -> Requirements:
    """The demand of a build for a model, by its data files and picture headers: no pixel is decoded.

    Raises UserError for a folder without a data set for LLaMA-Factory, or with a picture that is missing.
    """
    family, trainer = processor_of(model), trainer_limits(build)
    longest = _Longest(build.path, family, trainer, template_of(model))
    for row in classified_rows(build):
        longest.add(row)
    if not longest.records:
        raise UserError(
            f"{build.path} holds no record of the task itself", remedy="Build again with `datakit build`."
        )
    served = served_family(longest.sizes.values(), family, trainer)
    return Requirements(
        records=longest.records,
        prompt_tokens=longest.prompt,
        answer_tokens=longest.answer,
        longest=longest.longest,
        longest_tokens=longest.both,
        images=longest.images,
        image_tokens=longest.image,
        trainer=trainer,
        family=family,
        served=served,
        mismatches=tuple(
            sorted({size for size in longest.sizes.values() if not _same(size, family, served, trainer)})
        ),
        untreated=sum(
            not _same_untreated(size, family, served, trainer) for size in set(longest.sizes.values())
        ),
        sizes=len(set(longest.sizes.values())),
        turn_tokens=tuple(longest.turns),
        asked_tokens=longest.asked,
    )


def served_family(sizes: Iterable[Size], family: Family, trainer: TrainerLimits) -> Family:
    """The processor limits that leave every picture as the training had it.

    The trainer resizes to `image_max_pixels`, then the processor rounds each side to its grid: up to half a
    grid cell more on each side. A server that was given the trainer's limit itself would shrink such
    pictures once more (a picture of 521 x 1129 by a row), so the limit has that much room, for the longest
    aspect of the data and at least 4:1.
    """
    distinct = set(sizes)
    aspect = max([_USUAL_ASPECT, *(max(size) / min(size) for size in distinct)])
    long_side, short_side = math.sqrt(trainer.max_pixels * aspect), math.sqrt(trainer.max_pixels / aspect)
    room = (long_side + family.factor / 2) * (short_side + family.factor / 2)
    trained = [_pixels(smart_resize(*trainer_size(*size, trainer), family)) for size in distinct]
    cell = family.factor**2
    most = math.ceil(max([room, *trained]) / cell) * cell
    return family.within(max_pixels=min(family.max_pixels, most))


def trainer_limits(build: BuildFolder) -> TrainerLimits:
    """LLaMA-Factory's pixel limits in a build: those of its training, else of what was emitted."""
    keys = build.training if build.training_file is not None else {}
    most = keys.get("image_max_pixels") or build.emitted_for(NEED).image_max_pixels
    least = keys.get("image_min_pixels")
    plain = TrainerLimits()
    return TrainerLimits(most or plain.max_pixels, least or plain.min_pixels)


def processor_of(model: QwenModel) -> Family:
    """The grid of a model's processor; its limits are the folder's own (preprocessor_config.json), if any."""
    return processor_in(Path(model.name), FAMILIES[model.size_family])


def classified_rows(build: BuildFolder, *splits: str) -> Iterator[dict[str, Any]]:
    """The emitted rows of the task itself (train and val, or only `splits`), in order, repeats included.

    Raises UserError for a build without a data set for LLaMA-Factory.
    """
    build.emitted_for(NEED)
    yield from build.rows(*(splits or ("train", "val")))


@dataclass
class _Longest:
    """The largest figures of the rows seen; a record that stands several times counts once."""

    folder: Path
    family: Family
    trainer: TrainerLimits
    template: Template
    records: int = 0
    prompt: int = 0
    answer: int = 0
    both: int = 0
    longest: str = ""
    images: int = 0
    image: int = 0
    turns: list[int] = field(default_factory=list)
    """Longest answer of each turn."""
    asked: int = 0
    sizes: dict[str, Size] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _counter: TokenCounter = field(init=False)

    def __post_init__(self) -> None:
        self._counter = TokenCounter(template=self.template)

    def add(self, row: dict[str, Any]) -> None:
        if row["id"] in self._seen:
            return
        self._seen.add(row["id"])
        self.records += 1
        prompt, last, images = self.tokens(row["messages"], row.get("images") or ())
        answers = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
        between = [self._counter.count(answer) for answer in answers[:-1]]
        self.turns += [0] * (len(answers) - len(self.turns))
        for turn, count in enumerate([*between, last][: len(answers)]):
            self.turns[turn] = max(self.turns[turn], count)
        self.asked = max(self.asked, prompt - sum(between))
        self.prompt, self.answer = max(self.prompt, prompt), max(self.answer, last)
        self.images, self.image = max(self.images, len(images)), max([self.image, *images])
        if prompt + last > self.both:
            self.both, self.longest = prompt + last, row["id"]

    def tokens(
        self, messages: Sequence[Mapping[str, str]], paths: Sequence[str]
    ) -> tuple[int, int, list[int]]:
        """Tokens of the prompt with its pictures, of the last answer, and of each picture."""
        counted = self._counter.chat(messages)
        images = [self._picture(path) for path in paths]
        # chat counts the frames
        return counted.prompt + sum(images) - FRAME_TOKENS * len(images), counted.answer, images

    def _picture(self, path: str) -> int:
        if path not in self.sizes:
            try:
                header = read_header(self.folder / path)
            except ImageProblem as problem:
                raise UserError(
                    f"a picture of the build cannot be read: {problem.detail}", remedy="Build again."
                ) from problem
            self.sizes[path] = (header.width, header.height)
        try:
            return image_tokens(*self.sizes[path], self.family, self.trainer) + FRAME_TOKENS
        except ValueError as error:
            raise UserError(
                f"{path}: {error}, so the trainer stops at it",
                remedy="Raise `train.image_max_pixels`, or cut it.",
            ) from None


def _same(size: Size, family: Family, served: Family, trainer: TrainerLimits) -> bool:
    """Whether a picture resized as in training has the same tokens at the server."""
    sent = trainer_size(*size, trainer)
    return image_tokens(*sent, served, None) == image_tokens(*size, family, trainer)


def _same_untreated(size: Size, family: Family, served: Family, trainer: TrainerLimits) -> bool:
    """The same for the picture as it is. One that is longer than the server takes is another to it."""
    if max(size) > MAX_ASPECT * min(size):
        return False
    return image_tokens(*size, served, None) == image_tokens(*size, family, trainer)


def _pixels(size: Size) -> int:
    return size[0] * size[1]


def rooms_of(build: BuildFolder) -> Rooms:
    """The rooms of a build's answers; a prompt is counted by the template of the training."""
    return Rooms(trained_rooms(build), longest_prompt(build), AskedTokens(build))


def trained_rooms(build: BuildFolder) -> tuple[int, ...]:
    """Tokens for an answer of each turn: what the serving plan says, else twice the longest trained one."""
    planned = build.serving
    if planned is not None and (planned.turn_rooms or len(build.answer_format.turns) == 1):
        return tuple(planned.turn_rooms or (planned.max_answer_tokens,))
    counter = TokenCounter()
    longest: list[int] = []
    for row in islice(classified_rows(build), _ANSWERS_COUNTED):
        answers = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
        longest += [0] * (len(answers) - len(longest))
        for turn, answer in enumerate(answers):
            longest[turn] = max(longest[turn], counter.count(answer))
    rooms = [rounded_room(tokens) for tokens in longest or [0]]
    if planned is not None:  # of a version that planned for the last turn alone
        rooms[-1] = planned.max_answer_tokens
    return tuple(rooms)


def longest_prompt(build: BuildFolder) -> int:
    """Tokens of the longest prompt with its pictures: by the plan, else by the template of the training."""
    planned = build.serving.demand.get("prompt_tokens") if build.serving is not None else None
    if isinstance(planned, int):
        return planned
    longest = _by_training(build)
    for row in classified_rows(build):
        with suppress(UserError):  # of a lost picture its own prediction tells
            longest.add(row)
    return longest.prompt


class AskedTokens:
    """Tokens of what a record asks in all its turns, pictures and all, without the answers between them."""

    def __init__(self, build: BuildFolder) -> None:
        self._build = build
        self._lock = Lock()

    def __call__(
        self, id_: str, system: str | None, users: Sequence[str], images: Sequence[str]
    ) -> int | None:
        """None for a record with a picture that cannot be read: of that its own prediction tells."""
        messages = [{"role": "system", "content": system}] if system else []
        for user in users:
            messages += [{"role": "user", "content": user}, {"role": "assistant", "content": ""}]
        with self._lock, suppress(UserError):
            return self._counter.tokens(messages, images)[0]
        return None

    @cached_property
    def _counter(self) -> _Longest:
        return _by_training(self._build)


def _by_training(build: BuildFolder) -> _Longest:
    trained = build.training if build.training_file is not None else {}
    template: Template = "qwen3_vl" if "qwen3" in str(trained.get("template")) else "qwen2_vl"
    return _Longest(build.path, FAMILIES[template], trainer_limits(build), template)


def prompt_tokens(
    build: BuildFolder, messages: Sequence[Mapping[str, str]], images: Sequence[str], model: QwenModel
) -> int:
    """Tokens of a prompt with its pictures in training: what a server must count too."""
    family, trainer = processor_of(model), trainer_limits(build)
    longest = _Longest(build.path, family, trainer, template_of(model))
    longest.add({"id": "", "messages": list(messages), "images": list(images)})
    return longest.prompt


def template_of(model: QwenModel) -> Template:
    """The chat layout of a model's family."""
    return "qwen3_vl" if model.size_family == "qwen3_vl" else "qwen2_vl"
