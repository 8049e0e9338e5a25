"""The classifier of a build: pictures in, labels with confidence out, asked exactly as the training asked."""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Self

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import EMPTY, REFUSED, THINKING_CUT, Prediction
from datakit.artifacts.tasks import of_task
from datakit.core.boxes import Box
from datakit.core.errors import DatakitError, Exit, UserError
from datakit.core.image import read_header
from datakit.core.transform import Row
from datakit.serving import sources
from datakit.serving.asker import Asker, Asking, Turns
from datakit.serving.endpoint import Endpoint
from datakit.serving.items import Item, NoPrompt, Picture
from datakit.serving.located import boxes_of, states_places
from datakit.serving.prompting import BuildPrompts, Prompter
from datakit.serving.requirements import rooms_of


class CannotClassify(DatakitError):
    """A record that no answer was had for: `reason` is a word (image_missing, timed_out …)."""

    exit_code = Exit.FAILED

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Classifier(Asker):
    """Labels for pictures from a served model.

    >>> import datakit as dk
    >>> with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
    ...     found = classify("examples/ecom/images/0001.jpg")
    >>> found.predicted
    '退货页面'

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
        super().__init__(
            Asking(prompts.form, prompts.recipe.labels, prompts.view, partial(rooms_of, prompts.build)),
            endpoint,
            model=model,
            closed=closed,
            max_answer_tokens=max_answer_tokens,
            concurrency=concurrency,
            threads=threads,
        )
        self.prompts = prompts
        self._folder = tempfile.TemporaryDirectory(prefix="datakit-")
        self._prompter: Prompter | None = None

    @classmethod
    def from_build(
        cls,
        build: str | Path,
        base_url: str,
        model: str | None = None,
        *,
        task: str | None = None,
        form: str | None = None,
        closed: bool = False,
        max_answer_tokens: int | None = None,
        concurrency: int = 32,
        timeout_s: float = 300.0,
        threads: int | None = None,
    ) -> Self:
        """The classifier of a build folder at a server.

        `task` names one of a build of several: its prompt, labels and answers are meant.
        `model` is the served name; without it, the only one that the server has. `form` is one of the
        answer's forms, such as `label_only`, where a build has several; the first when not given. `closed`
        makes the server decode nothing but answers of the trained form with a label of the set (vLLM's
        structured outputs). `max_answer_tokens`, of each turn, is twice its longest trained answer when not
        given; `threads` are for OCR and pictures. Raises UserError for a build that cannot be served as it
        was trained.

        >>> with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
        ...     classify.model
        'shop-7b'
        """
        return cls(
            BuildPrompts.load(of_task(BuildFolder(Path(build)), task), form=form),
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

        >>> with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
        ...     classify.classify("examples/ecom/images/0001.jpg").predicted
        '退货页面'
        """
        return _answered(self._call(self._judged(_item(image, columns))))

    async def aclassify(self, image: Picture | Sequence[Picture] | None, **columns: Any) -> Prediction:
        """As `classify`, from any event loop.

        >>> import asyncio
        >>> async def ask():
        ...     with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
        ...         return await classify.aclassify("examples/ecom/images/0001.jpg")
        >>> asyncio.run(ask()).predicted
        '退货页面'
        """
        return _answered(await asyncio.wrap_future(self._submit(self._judged(_item(image, columns)))))

    def classify_many(self, items: Iterable[Picture | Item]) -> Iterator[Prediction]:
        """The labels of many pictures, in their order, at most `concurrency` at work at once.

        `items` is read only as fast as answers come. A record without an answer is a Prediction with the
        problem `not_answered` or the fault of its picture, so that one bad file ends nothing.

        >>> with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
        ...     found = classify.classify_many(["examples/ecom/images/0001.jpg", "gone.jpg"])
        ...     [(one.predicted, one.problem) for one in found]
        [('退货页面', ''), (None, 'image_missing')]
        """
        waiting: deque[Future[Prediction]] = deque()
        try:
            for item in items:
                record = item if isinstance(item, Item) else _item(item, {})
                waiting.append(self._submit(self._judged(record)))
                if len(waiting) >= self.concurrency:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def boxes(self, prediction: Prediction, image: str | Path) -> list[Box]:
        """The boxes of an answer in pixels of the upright picture that was asked about, at its own size.

        The same stand in `prediction.boxes`, in hundredths. Raises UserError for a build whose boxes are in
        no model's numbers.

        >>> from datakit.core.errors import UserError
        >>> with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
        ...     found = classify("examples/ecom/images/0001.jpg")
        ...     try:
        ...         classify.boxes(found, "examples/ecom/images/0001.jpg")
        ...     except UserError as error:
        ...         print(error.message)
        the answers of this build have no boxes in the numbers of a model
        """
        form = self._asking.form
        if not states_places(form):
            raise UserError(
                "the answers of this build have no boxes in the numbers of a model",
                remedy="Render with render.grounding, or a field `boxes` for a Qwen-VL in `train.model`.",
            )
        header = read_header(image)
        values = form.parse(prediction.answer, self.labels).values
        return boxes_of(values, form, (header.width, header.height))

    def prompt_state(self) -> bytes:
        """What the prompts of records that bring none depend on, as a digest.

        >>> with dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1") as classify:
        ...     len(classify.prompt_state()) > 0
        True
        """
        return self.prompts.build.fingerprint()

    def close(self) -> None:
        """Gives threads, connections and files back; what is in flight is broken off.

        >>> classify = dk.Classifier.from_build("build/ecom_v1", "http://127.0.0.1:8000/v1")
        >>> classify.close()
        """
        super().close()
        self._folder.cleanup()

    async def _shut(self) -> None:
        if self._prompter is not None:
            await self._prompter.close()
        await super()._shut()

    async def _turns(self, item: Item, id_: str, paths: list[str]) -> Turns:
        if item.messages:
            return await super()._turns(item, id_, paths)
        if not paths and not self.prompts.takes_text_alone:
            raise NoPrompt("no_image", "it has no picture, and every record of the training has one")
        if self._prompter is None:
            self._prompter = Prompter(self.prompts, self.pool)
        row: Row = {**item.columns, "id": id_, "images": paths}
        prompted, columns = await self._prompter.turns(row)
        return prompted.system, prompted.users, columns

    async def _paths(self, images: Sequence[Picture]) -> list[str]:
        folder, timeout_s = Path(self._folder.name), self._endpoint.timeout_s
        return [await sources.path_of(image, folder, timeout_s) for image in images]


def _item(image: Picture | Sequence[Picture] | None, columns: Mapping[str, Any]) -> Item:
    if image is None:
        images: tuple[Picture, ...] = ()
    elif isinstance(image, str | Path | bytes):
        images = (image,)
    else:
        images = tuple(image)
    plain = dict(columns)
    return Item(images, plain.pop("id", None), plain.pop("label", None), plain)


def _answered(prediction: Prediction) -> Prediction:
    """The prediction; raises CannotClassify for a record that the model never answered."""
    if (
        prediction.problem
        and not prediction.answer
        and prediction.problem not in (EMPTY, REFUSED, THINKING_CUT)
    ):
        raise CannotClassify(prediction.problem, prediction.detail)
    return prediction
