"""packed.json: what a bundle's stages must know of a build beside its data set; and the two together."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import Field

from datakit.artifacts import names
from datakit.artifacts.data_set import DataSet
from datakit.artifacts.document import Document
from datakit.artifacts.needs import Needs
from datakit.artifacts.serving import Serving
from datakit.core.json_bytes import json_bytes
from datakit.core.labels import LabelSet
from datakit.core.regular_files import read_regular


class Packed(Document):
    """Figures and truths of a build, for machines without its recipe, its records and a tokenizer."""

    name: str
    """The build's name in its report."""
    content: str
    """Content hash of the build's data."""
    seed: int
    emitted_max_pixels: int | None
    """What emit.llamafactory scales pictures down to; None where it does not."""
    trainer_max_pixels: int
    trainer_min_pixels: int
    answer_tokens: int
    """Room for an answer, by the trained ones; of the last turn where `turn_rooms` says more."""
    prompt_tokens: int
    """Longest prompt with its pictures."""
    turn_rooms: list[int] = Field(default_factory=list)
    """Room for an answer of each turn; none in bundles of older versions."""
    asked_tokens: list[int] = Field(default_factory=list)
    """Tokens of what each of `records` asks, with its pictures; none in bundles of older versions."""
    columns: list[str]
    """Columns that hold a truth; `label` is one of them."""
    records: list[list[Any]]
    """Split, id and `columns` of the records of the task itself, in the build's order."""
    needs: Needs = Needs()
    """What a machine must have for it; nothing is known of bundles from before."""
    training: dict[str, Any] | None = None
    """LLaMA-Factory's keys in train.yaml, for machines without YAML; None where an older datakit packed."""
    export: dict[str, Any] | None = None
    """Those in export.yaml."""
    deepspeed: dict[str, Any] | None = None
    """The DeepSpeed configuration of the training; None without one."""
    gpus: int = 1
    """Of all nodes, as the steps were reckoned with."""
    nodes: int = 1
    serving: Serving | None = None
    """How the model is served; the build's plan, or the least that its data ask for."""

    def to_line(self) -> bytes:
        """The file's content, on one line: it has as many entries as the build has records."""
        return json_bytes(self.model_dump(), default=str) + b"\n"


class PackedData(DataSet):
    """A build's data set as a bundle carries it."""

    @cached_property
    def packed(self) -> Packed:
        return Packed.load(self.path / names.PACKED)

    @cached_property
    def labels(self) -> LabelSet | None:
        """The label set as it was built with; None without one."""
        path = self.path / names.LABEL_SET
        return LabelSet.from_json(read_regular(path)) if path.is_file() else None

    @property
    def label_of(self) -> dict[str, str]:
        """Id -> true label, of the records that have one."""
        place = 2 + self.packed.columns.index("label")
        return {row[1]: row[place] for row in self.packed.records if row[place] is not None}
