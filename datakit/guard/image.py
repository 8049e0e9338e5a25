"""guard.image: every picture of a record exists, decodes to its last byte and has a usable shape."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from datakit.core.image import ImageProblem, size_fault
from datakit.core.image_pass import are_whole, image_facts, other_keys
from datakit.core.outcome import Done, Outcome, Rejected
from datakit.core.reasons import NOT_STORED
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator, Executor, Row, RowWorker


class Image(Annotator):
    """The same records without those that have a missing, broken, tiny or extremely long picture.

    Each picture is decoded to its last byte, once per content: the finding goes into the result store, so a
    later build looks only at new and changed files. Changed limits are applied to stored sizes, without
    decoding again. That is why this guard runs like an annotator (it adds no column). annotate.image_facts
    takes its facts from what is stored here, and the other way about.

    Reasons of rejection: image_missing, image_path_is_folder, image_no_access, image_empty, image_unreadable,
    image_truncated, image_too_large, image_over_memory, image_too_small, image_ratio, no_image. The detail
    names the file.
    """

    needs_images: ClassVar[bool] = True
    executor: ClassVar[Executor] = "process"

    min_side_px: int = Field(default=28, ge=1)
    """Shortest allowed side of the upright picture. 28 px is one visual token of Qwen2.5-VL."""
    max_ratio: float = Field(default=200.0, ge=1)
    """Largest allowed longer side divided by the shorter one. Qwen-VL's own resizing refuses more."""
    require: bool = False
    """Whether a record must have a picture. When false, text-only records pass."""

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("images",)

    def start(self, context: StepContext) -> RowWorker:
        return _Decoder(context.run.image_memory_mb)

    def other_keys(self, row: Row, context: StepContext) -> list[bytes]:
        return other_keys(self.name(), self.key_fields(row, context)["images"])

    def take_over(self, raw: Any) -> Done | None:
        return Done(raw) if are_whole(raw) else None

    def columns(self, raw: Any, row: Row, context: StepContext) -> Row | Rejected:
        if self.require and not row["images"]:
            return Rejected(
                "no_image", "the record has no picture; drop `require` to let text-only records pass"
            )
        for path, facts in zip(row["images"], raw, strict=True):
            fault = self._fault(path, facts)
            if fault:
                return fault
        return {}

    def _fault(self, path: str, facts: dict[str, Any]) -> Rejected | None:
        if "reason" in facts:
            return Rejected(facts["reason"], f"{path}: {facts['words']}")
        width, height = facts["width"], facts["height"]
        fault = size_fault(width, height, self.min_side_px, self.max_ratio)
        return Rejected(fault[0], f"{path}: {width} x {height} px, {fault[1]}") if fault else None


class _Decoder(RowWorker):
    """Decodes a record's pictures; a broken one is a finding, and its path stays out of the stored result."""

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb

    def answer(self, row: Row) -> Outcome:
        try:
            return Done([_facts(path, self._memory_mb) for path in row["images"]])
        except ImageProblem as problem:
            return Rejected(problem.reason, problem.detail)


def _facts(path: str, memory_mb: int) -> dict[str, Any]:
    """What is known of a picture, or what is wrong with it. Raises ImageProblem for what memory decides."""
    try:
        return image_facts(path, memory_mb)
    except ImageProblem as problem:
        if problem.reason in NOT_STORED:
            raise
        return {"reason": problem.reason, "words": problem.detail.removeprefix(f"{path}: ")}
