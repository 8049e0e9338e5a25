"""Records put to a served model, many in flight: the one way from a prompt to a prediction.

Works on rendered prompts and pictures on this machine, so that a bundle can carry it; `classifier.py` adds
the recipe's steps, and pictures from elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import contract_of
from datakit.core.boxes import Size
from datakit.core.errors import DatakitError, UserError
from datakit.core.image import ImageProblem, read_header
from datakit.core.labels import LabelSet
from datakit.core.regular_files import regular
from datakit.core.tokens import IMAGE
from datakit.serving.asking import Asked, Question, contents
from datakit.serving.closed import ClosedForm
from datakit.serving.endpoint import Endpoint, NoAnswer
from datakit.serving.images import TrainedView
from datakit.serving.items import Item, NoPrompt, Picture
from datakit.serving.located import states_places
from datakit.serving.rooms import Rooms, TurnRooms
from datakit.serving.served import Served

_ENDING_S = 0.5
"""Longest wait for questions that are broken off."""
Turns = tuple[str | None, tuple[str, ...], Mapping[str, Any]]
_T = TypeVar("_T")
_S = TypeVar("_S", bound="Asker")


@dataclass(frozen=True)
class Asking:
    """How a build asks, and how it reads answers."""

    form: AnswerFormat
    labels: LabelSet | None
    view: TrainedView
    rooms: Callable[[], Rooms]
    """May read the whole data set: called once, when a server is asked for the first time."""


class Asker:
    """Asks about records on an event loop of its own. A context manager; or call `close`."""

    def __init__(
        self,
        asking: Asking,
        endpoint: Endpoint,
        *,
        model: str | None = None,
        closed: bool = False,
        max_answer_tokens: int | None = None,
        concurrency: int = 32,
        threads: int | None = None,
    ) -> None:
        self.concurrency, self.labels = concurrency, asking.labels
        self._asking, self._endpoint, self._model = asking, endpoint, model
        self._closed, self._wanted = closed, max_answer_tokens
        self.pool = ThreadPoolExecutor(
            threads or min(4, os.cpu_count() or 1), thread_name_prefix="datakit-serve"
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="datakit-asker", daemon=True)
        self._thread.start()
        self._opened: asyncio.Task[_Ready] | None = None
        self.tell_other: Callable[[str], None] | None = None
        """Is told once where the server counts other tokens in a prompt than the training did."""

    def submit(self, item: Item) -> Future[Prediction]:
        """The prediction to come of one record, for callers that take them as they are made."""
        return self._submit(self._judged(item))

    @property
    def model(self) -> str:
        """The served name that is asked."""
        return self.identity[0]

    @property
    def identity(self) -> tuple[str, str]:
        """The served name and where its weights come from, as the server says."""
        return self.served.name, self.served.root

    @property
    def served(self) -> Served:
        """What the server says of the model."""
        return self._call(self._ready()).served

    def ask(self, item: Item) -> Asked:
        """The reply as it came, with the tokens of its prompt, for checks of the server."""
        return self._call(self._asked(item))

    def other_count(self, item: Item, asked: Asked) -> str:
        """That the server counts other tokens in a prompt of the build than the training, in a sentence.

        "" where it counts the same, and where nobody knows. With several turns its own answers count too.
        """
        return _other_count(self._call(self._ready()).rooms, item, asked)

    def prompt_state(self) -> bytes:
        """What the prompts of records that bring none depend on."""
        return b""

    def close(self) -> None:
        """Gives threads, connections and files back; what is in flight is broken off."""
        if not self._thread.is_alive():
            return
        self._call(self._break_off())
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self: _S) -> _S:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._submit(work).result()

    async def _ready(self) -> _Ready:
        if self._opened is None:
            self._opened = asyncio.ensure_future(self._open())
        try:
            return await asyncio.shield(self._opened)
        except DatakitError:
            self._opened = None  # the next call tries again
            raise

    async def _open(self) -> _Ready:
        served = await self._endpoint.served(self._model)
        rooms = await asyncio.to_thread(self._asking.rooms)
        return _Ready(served, rooms, self._form_wanted(rooms))

    async def _break_off(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()  # nobody waits for these any more, and the server may never answer them
        if under_way:
            await asyncio.wait(under_way, timeout=_ENDING_S)

    async def _shut(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        await self._endpoint.close()

    async def _judged(self, item: Item) -> Prediction:
        ready = await self._ready()
        name = ready.served.name
        try:
            asked = await self._asked(item)
            if self.tell_other is not None:
                other = await asyncio.to_thread(_other_count, ready.rooms, item, asked)
                if other and self.tell_other is not None:  # meanwhile another record may have been told
                    tell, self.tell_other = self.tell_other, None
                    tell(other)
        except (NoPrompt, NoAnswer) as problem:
            return Prediction(
                id=item.id or "picture",
                label=item.label,
                problem=NOT_ANSWERED if problem.again else problem.reason,
                detail=f"{problem.reason}: {problem.detail}" if problem.again else problem.detail,
                images=item.shown_images,
                model=name,
            )
        return asked.prediction(self._asking.form, self.labels, item.label, item.shown_images, name)

    async def _asked(self, item: Item) -> Asked:
        ready = await self._ready()
        try:
            paths = await self._paths(item.images)
            id_ = item.id if item.id is not None else await asyncio.to_thread(_content_id, paths)
            system, users, columns = await self._turns(item, id_, paths)
            _check_places(users, paths)
            view = self._asking.view
            images = await asyncio.gather(
                *(self._loop.run_in_executor(self.pool, view.data_url, path) for path in paths)
            )
        except ImageProblem as problem:
            raise NoPrompt(problem.reason, problem.detail) from problem
        rooms = await asyncio.to_thread(self._rooms, ready, id_, system, users, paths)
        question = Question(id_, system, users, tuple(images))
        asked = await question.ask(self._endpoint, ready.served.name, rooms, ready.closed)
        return replace(asked, size=self._size(item, paths), columns=columns)

    def _size(self, item: Item, paths: Sequence[str]) -> Size | None:
        """Width and height of the one picture of a record, where its answers have places on it."""
        if not states_places(self._asking.form) or len(paths) != 1:
            return None
        if item.sizes:
            return item.sizes[0]
        header = read_header(paths[0])  # which was read a moment ago
        return header.width, header.height

    def _rooms(
        self, ready: _Ready, id_: str, system: str | None, users: Sequence[str], paths: Sequence[str]
    ) -> TurnRooms:
        """Tokens for the answers of a record; its prompt is counted where the context may be too short."""
        rooms, last = ready.rooms, len(users) - 1
        wanted = [self._wanted or rooms.of_turn(turn) for turn in range(len(users))]
        if ready.closed is not None and self._wanted is None:
            wanted[last] = ready.closed.room
        context = ready.served.max_model_len
        asked = rooms.longest_prompt
        if context is not None and asked + sum(wanted) > context:
            asked = rooms.asked_tokens(id_, system, users, paths)
        return TurnRooms(tuple(wanted), context, asked)

    async def _turns(self, item: Item, id_: str, paths: list[str]) -> Turns:
        """The system turn, the user turns, and the record's columns. Raises NoPrompt."""
        return *contents(item.messages), item.columns

    @property
    def answers_labels(self) -> bool:
        """Whether what is scored in an answer is one label, so that right and wrong can be told at once."""
        return contract_of(self._asking.form).target.kind == "label"

    async def _paths(self, images: Sequence[Picture]) -> list[str]:
        """Files of the pictures. Raises ImageProblem."""
        return [str(image) for image in images]

    def _form_wanted(self, rooms: Rooms) -> ClosedForm | None:
        if not self._closed:
            return None
        form = self._asking.form
        scored = contract_of(form).target.kind
        if self.labels is None and scored in ("label", "labels"):
            raise UserError("a closed answer needs a label file, which the recipe does not name")
        labels = tuple(self.labels.names) if self.labels is not None else ()
        return ClosedForm(form, labels, rooms.of_turn(len(form.turns) - 1))


@dataclass(frozen=True)
class _Ready:
    """What the server said of itself."""

    served: Served
    rooms: Rooms
    closed: ClosedForm | None


def _check_places(users: Sequence[str], paths: Sequence[str]) -> None:
    """Raises NoPrompt for a record that would be asked without a picture of its own."""
    places = sum(text.count(IMAGE) for text in users)
    if places == len(paths):
        return
    reason = "image_places" if paths else "image_missing"
    detail = f"its prompt has {places} places for pictures, and it has {len(paths)} pictures"
    remedy = "give it as many as its prompt has `<image>`, or build again with a template that shows each"
    raise NoPrompt(reason, f"{detail}: {remedy}")


def counts_as_trained(training: Mapping[str, Any]) -> bool:
    """Whether the tokens of a prompt are known for a training with these keys: datakit counts Qwen's."""
    return "qwen" in str(training.get("template"))


def _other_count(rooms: Rooms, item: Item, asked: Asked) -> str:
    system, users = contents(item.messages)
    if rooms.count is None or asked.tokens_in is None or len(users) != 1:
        return ""
    expected = rooms.count(asked.id, system, users, [str(image) for image in item.images])
    if expected is None or expected == asked.tokens_in:
        return ""
    return (
        f"The server counts {asked.tokens_in:,} prompt tokens in record {asked.id}, the training had "
        f"{expected:,}: its pixels or its chat template are not those of the training."
    )


def _content_id(paths: Sequence[str]) -> str:
    """An id for a record that has none: the digest of its pictures."""
    state = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb", opener=regular) as file:
                image = hashlib.sha256()
                while chunk := file.read(1 << 20):
                    image.update(chunk)
            state.update(image.digest())
        except OSError:
            state.update(path.encode())
    return state.hexdigest()[:16]
