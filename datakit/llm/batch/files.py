"""The lines of batch files: questions as OpenAI and `vllm run-batch` take them, and the answers of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from datakit.core.files import FileDigests
from datakit.core.image import ImageProblem
from datakit.core.record import digest
from datakit.core.regular_files import regular
from datakit.llm import chat_answer
from datakit.llm._dialect import Dialect
from datakit.llm._faults import Fault
from datakit.llm.answer import Answer
from datakit.llm.provider import Provider
from datakit.llm.request import Request, Turn


@dataclass(frozen=True, slots=True)
class Found:
    """What came for a line."""

    what: Answer | Fault
    version: int
    """Of the dialect that the line was written in."""
    is_first: bool = True
    """Whether nobody else got the same answer: it is paid for once."""


@dataclass(eq=False, slots=True)
class Line:
    """A question that waits for its answer. It holds no picture: those are read when the line is written."""

    request: Request
    further: tuple[Turn, ...]
    future: asyncio.Future[Found]
    id: str = ""
    version: int = 0

    def name(self, dialect: Dialect, files: FileDigests, max_pixels: int) -> None:
        """Gives the line the `custom_id` of its content, the same in every run."""
        request = self.request
        frame = dialect.body(replace(request, images=()), self.further).decode()
        images = [files.sha256(path) for path in request.images]
        placed = [request.text, request.image_first, max_pixels]
        self.id = digest([frame, images, placed if images else None, request.sample]).hex()
        self.version = dialect.version

    def give(self, what: Answer | Fault, *, is_first: bool = True) -> None:
        if not self.future.done():
            self.future.set_result(Found(what, self.version, is_first))

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass
class Written:
    """A batch file that was written, and what did not get into it."""

    lines: list[Line] = field(default_factory=list)
    left: list[Line] = field(default_factory=list)
    """For the next file."""
    broken: list[tuple[Line, ImageProblem | Fault]] = field(default_factory=list)
    """Lines that no file can hold."""
    worst_usd: float = 0.0
    too_dear_usd: float | None = None
    """The price of the line at which the money was at its end."""


@dataclass(frozen=True)
class FileLimits:
    """What one batch file may hold."""

    max_requests: int
    max_bytes: int
    usd: float
    """Money that may be set aside for it."""


def write(
    path: Path,
    lines: Sequence[Line],
    dialect: Dialect,
    limits: FileLimits,
    worst_usd: Callable[[Line], float],
) -> Written:
    """A batch file of as many of the named lines as may stand in it, in their order. It is closed then."""
    written, size, full = Written(), 0, False
    ids: set[str] = set()
    with open(path, "wb") as file:
        for line in lines:
            assert line.id  # nothing could be joined on it
            if line.id in ids:  # asked twice: one line answers both
                written.lines.append(line)
                continue
            if full:
                written.left.append(line)
                continue
            try:
                data = _line(line, dialect)
            except ImageProblem as problem:
                written.broken.append((line, problem))
                continue
            worst = worst_usd(line)
            if len(data) > limits.max_bytes:
                detail = f"{len(data):,} bytes are more than a batch file holds; lower llm.max_image_pixels"
                written.broken.append((line, Fault("retry", "request_too_large", detail)))
            elif written.worst_usd + worst > limits.usd:
                written.left.append(line)
                written.too_dear_usd, full = worst, True
            elif size + len(data) > limits.max_bytes or len(ids) >= limits.max_requests:
                written.left.append(line)
                full = True
            else:
                file.write(data)
                ids.add(line.id)
                written.lines.append(line)
                size, written.worst_usd = size + len(data), written.worst_usd + worst
    return written


def _line(line: Line, dialect: Dialect) -> bytes:
    body = orjson.Fragment(dialect.body(line.request, line.further))
    value = {"custom_id": line.id, "method": "POST", "url": dialect.provider.batch_path, "body": body}
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def read(provider: Provider, *paths: Path) -> Iterator[tuple[str, Answer | Fault]]:
    """`custom_id` and answer of every readable line of output and error files that are there.

    A line that cannot be read is left out: its question counts as not answered.
    """
    for path in paths:
        if not path.exists():
            continue
        with open(path, "rb", opener=regular) as lines:
            for text in lines:
                value = _value(text)
                if isinstance(value, dict) and isinstance(value.get("custom_id"), str):
                    yield value["custom_id"], _found(provider, value)


def _value(line: bytes) -> Any:
    """The JSON of a line; None when it is none. What stands in it is an answer that was paid for."""
    try:
        return chat_answer.parse(line) if line.strip() else None
    except ValueError:
        return None


def _found(provider: Provider, value: dict[str, Any]) -> Answer | Fault:
    reply, error = value.get("response"), value.get("error")
    response = reply if isinstance(reply, dict) else {}
    status, body = chat_answer.count(response.get("status_code")), response.get("body")
    if status in (None, 0) and "choices" in response:  # a completion without a frame around it
        status, body = 200, response
    if status == 200 and body is not None:
        return provider.decode(_bytes(body))
    if status and status != 200:  # vLLM puts the body beside the response
        return provider.fault(status, {}, _bytes(body if body is not None else error))
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    words = (error.get("message") if isinstance(error, dict) else error) or "no answer and no error"
    reason = code if code in ("batch_expired", "batch_cancelled") else "line_failed"
    return Fault("again", reason, f"{code or 'error'}: {words}"[:400])


def _bytes(value: Any) -> bytes:
    return chat_answer.whole_characters(chat_answer.as_json(value)).encode()
