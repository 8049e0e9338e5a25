"""The classifier of a build: pictures in, labels with confidence out, asked exactly as the training asked."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import EMPTY, NOT_ANSWERED, REFUSED, THINKING_CUT, Prediction
from datakit.core.answer_forms import contract_of
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.image import ImageProblem
from datakit.core.transform import Row
from datakit.serving import sources
from datakit.serving.asking import Asked, Question, closed_form, contents
from datakit.serving.endpoint import Endpoint, NoAnswer, Served
from datakit.serving.prompting import BuildPrompts, NoPrompt, Prompter
from datakit.serving.requirements import answer_room

Picture = str | Path | bytes
"""A path, an http(s) address, or the bytes of a picture file."""
_T = TypeVar("_T")


class CannotClassify(DatakitError):
    """A record that no answer was had for: `reason` is a word (image_missing, timed_out …)."""

    exit_code = Exit.FAILED

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


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


class Classifier:
    """Labels for pictures from a served model.

        with datakit.Classifier.from_build("build/ecom_v3", "http://127.0.0.1:8000/v1") as classify:
            found = classify("screen.png")
            found.predicted, found.confidence

    A context manager; or call `close`. It works on an event loop of its own, so that it can be used from
    scripts, notebooks, threads and other event loops alike.
    """

    def __init__(
        self,
        prompts: BuildPrompts,
        endpoint: Endpoint,
        *,
        model: str | None = None,
        closed: bool = False,
        max_answer_tokens: int | None = None,
        concurrency: int = 32,
        threads: int | None = None,
    ) -> None:
        self.prompts, self.concurrency = prompts, concurrency
        self.labels = prompts.recipe.labels
        self._endpoint, self._model = endpoint, model
        self._closed, self._max_tokens = closed, max_answer_tokens
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="datakit-classifier", daemon=True)
        self._thread.start()
        self._folder = tempfile.TemporaryDirectory(prefix="datakit-")
        self._working: _Working | None = None
        self._opened: asyncio.Task[_Working] | None = None
        self._threads = threads

    @classmethod
    def from_build(
        cls,
        build: str | Path,
        base_url: str,
        model: str | None = None,
        *,
        form: str | None = None,
        closed: bool = False,
        max_answer_tokens: int | None = None,
        concurrency: int = 32,
        timeout_s: float = 300.0,
        threads: int | None = None,
    ) -> Self:
        """The classifier of a build folder at a server.

        `model` is the served name; without it, the only one that the server has. `form` is one of the
        answer's forms, such as `label_only`, where a build has several; the first when not given. `closed`
        makes the server decode nothing but answers of the trained form with a label of the set (vLLM's
        structured outputs). `max_answer_tokens` is twice the longest trained answer when not given; `threads`
        are for OCR and pictures. Raises UserError for a build that cannot be served as it was trained.
        """
        return cls(
            BuildPrompts.load(BuildFolder(Path(build)), form=form),
            Endpoint(base_url, timeout_s=timeout_s),
            model=model,
            closed=closed,
            max_answer_tokens=max_answer_tokens,
            concurrency=concurrency,
            threads=threads,
        )

    def __call__(self, image: Picture | Sequence[Picture] | None, **columns: Any) -> Prediction:
        return self.classify(image, **columns)

    def classify(self, image: Picture | Sequence[Picture] | None, **columns: Any) -> Prediction:
        """The label of one picture (or of several that are one record, or of none).

        An answer outside the label set is a Prediction with a `problem`, never a guess. Raises CannotClassify
        where no answer was had, StopProvider when the server can answer nobody.
        """
        return _answered(self._call(self._judged(_item(image, columns))))

    async def aclassify(self, image: Picture | Sequence[Picture] | None, **columns: Any) -> Prediction:
        """As `classify`, from any event loop."""
        return _answered(await asyncio.wrap_future(self._submit(self._judged(_item(image, columns)))))

    def classify_many(self, items: Iterable[Picture | Item]) -> Iterator[Prediction]:
        """The labels of many pictures, in their order, at most `concurrency` at work at once.

        `items` is read only as fast as answers come. A record without an answer is a Prediction with the
        problem `not_answered` or the fault of its picture, so that one bad file ends nothing.
        """
        waiting: deque[Future[Prediction]] = deque()
        try:
            for item in items:
                given = item if isinstance(item, Item) else _item(item, {})
                waiting.append(self._submit(self._judged(given)))
                if len(waiting) >= self.concurrency:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

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
        served = self._call(self._ready()).served
        return served.name, served.root

    def ask(self, item: Item) -> Asked:
        """The reply as it came, with the tokens of its prompt, for checks of the server."""
        return self._call(self._asked(item))

    def close(self) -> None:
        """Gives threads, connections and files back."""
        if not self._thread.is_alive():
            return
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._submit(work).result()

    async def _ready(self) -> _Working:
        if self._opened is None:
            self._opened = asyncio.ensure_future(self._open())
        try:
            return await asyncio.shield(self._opened)
        except DatakitError:
            self._opened = None  # the next call tries again
            raise

    async def _open(self) -> _Working:
        served = await self._endpoint.served(self._model)
        prompter = Prompter(self.prompts, **({"threads": self._threads} if self._threads else {}))
        most = self._max_tokens
        if most is None:
            most = await asyncio.to_thread(answer_room, self.prompts.build)
        self._working = _Working(prompter, served, most)
        return self._working

    async def _shut(self) -> None:
        if self._working is not None:
            await self._working.prompter.close()
        await self._endpoint.close()

    async def _judged(self, item: Item) -> Prediction:
        working = await self._ready()
        name = working.served.name
        try:
            asked = await self._asked(item)
        except (NoPrompt, NoAnswer) as problem:
            return Prediction(
                id=item.id or "picture",
                label=item.label,
                problem=NOT_ANSWERED if problem.again else problem.reason,
                detail=f"{problem.reason}: {problem.detail}" if problem.again else problem.detail,
                images=_shown(item.images),
                model=name,
            )
        return asked.prediction(self.prompts.form, self.labels, item.label, _shown(item.images), name)

    async def _asked(self, item: Item) -> Asked:
        working = await self._ready()
        paths = await self._paths(item.images)
        id_ = item.id if item.id is not None else await asyncio.to_thread(_content_id, paths)
        system, users = await self._turns(working, item, id_, paths)
        try:
            images = await asyncio.gather(
                *(
                    self._loop.run_in_executor(working.prompter.pool, self.prompts.view.data_url, path)
                    for path in paths
                )
            )
        except ImageProblem as problem:
            raise NoPrompt(problem.reason, problem.detail) from problem
        question = Question(id_, system, users, tuple(images))
        return await question.ask(
            self._endpoint, working.served.name, working.max_tokens, self._form_wanted()
        )

    async def _turns(
        self, working: _Working, item: Item, id_: str, paths: list[str]
    ) -> tuple[str | None, tuple[str, ...]]:
        if item.messages:
            return contents(item.messages)
        row: Row = {**item.columns, "id": id_, "images": paths}
        prompted = await working.prompter.turns(row)
        return prompted.system, prompted.users

    async def _paths(self, images: Sequence[Picture]) -> list[str]:
        try:
            return [
                await sources.path_of(image, Path(self._folder.name), self._endpoint.timeout_s)
                for image in images
            ]
        except ImageProblem as problem:
            raise NoPrompt(problem.reason, problem.detail) from problem

    def _form_wanted(self) -> dict[str, Any] | None:
        if not self._closed:
            return None
        form = self.prompts.form
        scored = contract_of(form).target.kind
        if self.labels is None and scored in ("label", "labels"):
            raise UserError("a closed answer needs a label file, which the recipe does not name")
        return closed_form(form, self.labels.names if self.labels is not None else ())


@dataclass
class _Working:
    prompter: Prompter
    served: Served
    max_tokens: int


def _item(image: Picture | Sequence[Picture] | None, columns: Mapping[str, Any]) -> Item:
    if image is None:
        images: tuple[Picture, ...] = ()
    elif isinstance(image, str | Path | bytes):
        images = (image,)
    else:
        images = tuple(image)
    plain = dict(columns)
    return Item(images, plain.pop("id", None), plain.pop("label", None), plain)


def _answered(found: Prediction) -> Prediction:
    """The prediction; raises CannotClassify for a record that the model never answered."""
    if found.problem and not found.answer and found.problem not in (EMPTY, REFUSED, THINKING_CUT):
        raise CannotClassify(found.problem, found.detail)
    return found


def _content_id(paths: Sequence[str]) -> str:
    """An id for a record that has none: the digest of its pictures."""
    state = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                state.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            state.update(path.encode())
    return state.hexdigest()[:16]


def _shown(images: Sequence[Picture]) -> tuple[str, ...]:
    return tuple("bytes" if isinstance(image, bytes) else str(image) for image in images)
