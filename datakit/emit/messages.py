"""Chats as JSON Lines with pictures as content parts: for OpenAI's fine-tuning, and for TRL."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from datakit.core.record import TRAIN
from datakit.core.regular_files import read_regular
from datakit.core.step_context import StepContext
from datakit.core.training_columns import LOSS, TOOLS
from datakit.core.transform import Artifact, Emitter, FinalRecords
from datakit.emit._faults import RowFault, written_rows
from datakit.emit._images import How, ImageFiles
from datakit.emit._records import (
    PLACED,
    batches,
    carried_columns,
    fitting,
    nothing_to_train,
    split_keys,
    with_places,
)
from datakit.emit._split_files import SplitFiles
from datakit.emit._tool_turns import ToolTurns, json_line

_MOST_PICTURES = 10
"""Pictures that OpenAI takes in one example (vision fine-tuning guide, 2026-11)."""
_MOST_BYTES = 10_000_000
"""Size of a picture that OpenAI takes."""
_SLICE = {"base64": 16, "path": 256}
"""Rows encoded at a time: with their pictures in them, a few are many megabytes."""
_TYPES = {".jpg": "jpeg", ".png": "png", ".webp": "webp"}


class Messages(Emitter):
    """JSON Lines: `<name>_openai_train.jsonl` or `<name>_trl_train.jsonl`, `_val`, `_general`.

    Form `openai`: `{"messages": [{"role", "content"}]}`; in rows with pictures every content is a list of
    parts, `{"type": "text", "text"}` and `{"type": "image_url", "image_url": {"url"}}`, in the places that
    the text gives them. Form `trl`: `{"id", "prompt", "completion", "images"}`, parts `{"type": "image"}`;
    the completion is the last answer, because TRL learns the whole of a `messages` row of a vision model,
    its prompt included. Earlier answers of a dialogue are then part of the prompt and not learnt.

    Rows without pictures have plain texts as contents, and a file of their own where rows with pictures
    exist too: one file holds one type of column. A training record with `repeat` 3 is written three times,
    first copies first. Pictures are upright RGB as in emit.llamafactory, which shares `images/`.

    Turns of tools become `tool_calls` and `tool`, `tools` stands beside the messages, and in form `openai` a
    turn that is not trained on has the weight 0.

    Left out with their reason are records that a trainer would stop at, those with several calls in one turn
    or a picture in a call, and, for OpenAI, with more than 10 pictures, one above 10 MB, or one in an answer.
    """

    version: ClassVar[int] = 2

    form: Literal["openai", "trl"] = "openai"
    """Whose format."""
    images: Literal["base64", "link", "copy", "resize"] | None = None
    """`base64` puts the pictures into the rows (openai only); the others put them into `images/` and paths
    relative to the build into the rows. base64 for openai and link for trl when not given."""
    image_max_pixels: int | None = Field(default=None, ge=784)
    """Larger pictures are scaled down to this; for `base64` and `resize`."""

    @model_validator(mode="after")
    def _fits_together(self) -> Messages:
        if self.form == "trl" and self.images == "base64":
            raise ValueError("TRL reads pictures from paths: use `images: link`, `copy` or `resize`")
        if self.image_max_pixels is not None and self.how not in ("base64", "resize"):
            raise ValueError(f"`image_max_pixels` belongs to `base64` or `resize`, not to `{self.how}`")
        if self.how == "resize" and self.image_max_pixels is None:
            raise ValueError("`images: resize` needs `image_max_pixels`")
        return self

    @property
    def how(self) -> str:
        """What is done with pictures, after the default."""
        return self.images or ("base64" if self.form == "openai" else "link")

    def inputs(self, context: StepContext) -> tuple[str, ...]:
        return ("id", "messages", "images")

    def carries(self, context: StepContext) -> tuple[str, ...]:
        return (TOOLS, LOSS) if self.form == "openai" else (TOOLS,)

    def optional(self, context: StepContext) -> tuple[str, ...]:
        return (*PLACED, *self.carries(context))

    def write(self, records: FinalRecords, folder: Path, context: StepContext) -> list[Artifact]:
        name = f"{context.name}_{self.form}"
        embedded = self.how == "base64"
        place = folder / (f".{name}.pictures" if embedded else "images")
        images = ImageFiles.into(place, self._placing(), self.image_max_pixels, context)
        split_files = SplitFiles(folder, name, lines=True)
        rows = _Rows(self.form, place if embedded else None)
        others = carried_columns(records, self.carries(context))
        try:
            for batch in batches(records, others):
                fit = fitting(batch, {"openai": "OpenAI", "trl": "TRL"}[self.form], context.left_out)
                for portion in fit.iter_slices(_SLICE["base64" if embedded else "path"]):
                    placed = with_places(*images.place_for(portion, context.left_out))
                    texts, written = written_rows(placed, rows.row, context.left_out)
                    split_files.append(texts, split_keys(written))
            artifacts = split_files.close()
        finally:
            split_files.release()
            if embedded and place.exists():
                shutil.rmtree(place)
        if not split_files.rows(TRAIN):
            raise nothing_to_train(context.left_out)
        return artifacts

    def _placing(self) -> How:
        if self.how == "base64":
            return "resize" if self.image_max_pixels else "link"
        return self.how  # type: ignore[return-value]  # one of the three


class _Rows:
    """Writes one row at a time."""

    def __init__(self, form: str, embedded: Path | None) -> None:
        self.form, self.embedded = form, embedded

    def row(self, record: dict[str, Any]) -> bytes:
        images = list(record["images"] or ())
        if self.form == "openai" and len(images) > _MOST_PICTURES:
            raise RowFault(
                "images_too_many",
                f"the record has {len(images)} pictures; OpenAI takes {_MOST_PICTURES} an example",
            )
        urls = iter(images)
        openai = self.form == "openai"
        tools = ToolTurns(
            arguments_as_text=openai,
            content_of_calls="" if not images else None if openai else [],
        )
        losses = record.get(LOSS) or [None] * len(record["messages"])
        messages = [
            {
                **tools.turn(turn, self._content(turn, urls) if images else turn["content"]),
                **({} if loss is None else {"weight": int(loss)}),
            }
            for turn, loss in zip(record["messages"], losses, strict=True)
        ]
        given = {TOOLS: json.loads(record[TOOLS])} if record.get(TOOLS) else {}
        if openai:
            return json_line({"messages": messages, **given})
        row = {"id": record["id"], "prompt": messages[:-1], "completion": messages[-1:], **given}
        return json_line({**row, "images": images} if images else row)

    def _content(self, turn: dict[str, Any], urls: Iterator[str]) -> list[dict[str, Any]]:
        """The parts of a turn: texts, and a picture at each `<image>`."""
        parts: list[dict[str, Any]] = []
        pieces = turn["content"].split("<image>")
        refusing = ("assistant", "function_call") if self.form == "openai" else ("function_call",)
        if len(pieces) > 1 and turn["role"] in refusing:
            place = "an answer" if turn["role"] == "assistant" else "a call of a tool"
            raise RowFault(
                "image_in_answer",
                f"the record has a picture in {place}, which the form {self.form} does not take",
            )
        for number, piece in enumerate(pieces):
            if number:
                parts.append(self._picture(next(urls)))
            if piece:
                parts.append({"type": "text", "text": piece})
        return parts

    def _picture(self, path: str) -> dict[str, Any]:
        if self.form == "trl":
            return {"type": "image"}
        if self.embedded is None:
            return {"type": "image_url", "image_url": {"url": path}}
        file = self.embedded / Path(path).name
        data = read_regular(file)
        if len(data) > _MOST_BYTES:
            raise RowFault(
                "image_too_many_bytes",
                f"a picture of the record has {len(data) / 1e6:.1f} MB; OpenAI takes 10 MB. Scale pictures "
                "down with `image_max_pixels`",
            )
        text = base64.b64encode(data).decode()
        return {
            "type": "image_url",
            "image_url": {"url": f"data:image/{_TYPES[file.suffix]};base64,{text}"},
        }
