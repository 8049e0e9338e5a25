"""Rows of any source -> records: one schema for all batches, every row a record or a reject."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl

from datakit.core.boxes import BOXES
from datakit.core.labels import LabelSet
from datakit.core.outcome import Batch, Reject
from datakit.core.record import BASE, COLUMNS, MESSAGES, content_id
from datakit.core.training_columns import LOSS
from datakit.read._beside_chats import UnfilledPlaces, faults_beside_chats
from datakit.read._boxes import BOX_COLUMN, BoxColumn, BoxReading
from datakit.read._dialogue import (
    DialogueFault,
    chat_of,
    check_order,
    check_places,
    joined_chat,
    losses_in,
    pictures_in,
    places_in,
    turns_of,
)
from datakit.read._embedded import EmbeddedImages
from datakit.read._images import ImageFault
from datakit.read._kinds import as_json, transposed
from datakit.read._label_column import LabelColumn, without_blank_lists
from datakit.read._text_columns import TextColumns

DIALOGUE = "\0dialogue"
"""Column that gathers several of the source which make up a dialogue. No file's column is called so."""


@dataclass(frozen=True)
class Block:
    """Some rows of one file, the line of each, and the lines that are no rows."""

    file: str
    rows: list[dict[str, Any]]
    lines: Sequence[int]
    rejects: list[Reject] = field(default_factory=list)
    kinds: dict[str, Any] | None = None
    """Column -> kind (`_kinds`), where the source itself has types."""


@dataclass(frozen=True)
class Plan:
    """Where each part of a record stands in a row; None for a part that the source does not have."""

    id: str | None = None
    images: tuple[str, ...] = ()
    label: str | None = None
    text: str | None = None
    messages: str | None = None
    completion: str | None = None
    """Column of the turns that follow those of `messages`."""
    system: str | None = None
    """Column of the system's texts, for dialogues that have no system turn."""
    boxes: BoxColumn | None = None
    """Where boxes stand, which become the column `boxes`."""
    turn_losses: bool = False
    """Whether turns say that they are not trained on."""
    marks: frozenset[str] = frozenset()
    """Labels that are marks of wanted and unwanted answers, as all their values are."""
    extra: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Column of the record -> column of the source and its kind (`_kinds`)."""
    note: str = ""
    """Which columns were taken by other names than the usual ones."""

    def schema(self) -> dict[str, Any]:
        """The columns that the records have."""
        schema = {name: COLUMNS[name] for name in BASE}
        if self.messages:
            schema["messages"] = MESSAGES
        if self.turn_losses:
            schema[LOSS] = pl.List(pl.Boolean)
        if self.boxes is not None:
            schema[BOXES] = BOX_COLUMN
        return schema | {
            name: pl.String() if isinstance(kind, str) else kind for name, (_, kind) in self.extra.items()
        }


def reserved(name: str) -> bool:
    """Whether datakit itself uses a column of this name."""
    return name in COLUMNS or name.startswith("@") or not name


def free_name(name: str, used_names: Sequence[str]) -> str:
    """The name that a further column of the source has in the record: `source_label` for `label`."""
    if not reserved(name):
        return name
    free = f"source_{name.lstrip('@')}"
    while free in used_names or reserved(free):
        free = f"source_{free}"
    return free


_ROUNDED = re.compile(r"-?\d(\.\d+)?[eE]\+\d{2,3}")
"""How Excel (1.23E+18) and Python (2.02e+27) write a number that has more digits than they keep."""
Turns = Callable[[Any], list[dict[str, str]] | None]


@dataclass(frozen=True)
class GivenIds:
    """Ids of a source that need care."""

    twice: frozenset[str] = frozenset()
    """Given more than once."""
    claimed: frozenset[str] = frozenset()
    """Given, but such as are made for rows without one."""


class Records:
    """Makes records out of blocks of rows; remembers the ids of a whole source."""

    def __init__(
        self,
        plan: Plan,
        images: Callable[[str], EmbeddedImages],
        ids: GivenIds,
        turns: Turns = turns_of,
        labels: LabelSet | None = None,
    ) -> None:
        self.plan, self.turns = plan, turns
        self.labels, self.texts, self.places = LabelColumn(labels), TextColumns(labels), UnfilledPlaces()
        self.boxes = BoxReading(plan.boxes)
        self.schema = plan.schema()
        self._images, self._twice, self._claimed = images, ids.twice, ids.claimed
        self._first: dict[str, tuple[str, int]] = {}
        self._made: dict[str, int] = {}

    def batches(self, blocks: Iterator[Block]) -> Iterator[Batch]:
        """One batch a block."""
        for block in blocks:
            yield self.batch(block)

    def batch(self, block: Block) -> Batch:
        """The block's records, and its faulty rows as rejects in the order of their lines."""
        if not block.rows:
            return Batch(pl.DataFrame(schema=self.schema), block.rejects)
        columns, empty = transposed(block.rows), [None] * len(block.rows)
        faults: dict[int, tuple[str, str]] = {}
        parts: dict[str, Sequence[Any]] = {
            "images": self._pictures(columns, block, faults),
            "label": self._labels_of(_values(columns, self.plan.label, empty), block, faults),
            "text": self.texts.cleaned(
                "text", _texts(_values(columns, self.plan.text, empty), "text", faults)
            ),
        }
        if self.plan.messages:
            dialogues = columns.get(self.plan.messages, empty)
            if self.plan.completion:
                rests = columns.get(self.plan.completion, empty)
                dialogues = [joined_chat(*both) for both in zip(dialogues, rests, strict=True)]
            parts["messages"] = self._dialogues(dialogues, _values(columns, self.plan.system, empty), faults)
            if self.plan.turn_losses:
                parts[LOSS] = self._losses(dialogues, parts["messages"], faults)
            self._pictures_within(dialogues, parts, block, faults)
            beside = (parts["messages"], parts["images"], self.plan.marks)
            for at, *why in faults_beside_chats(self.plan.extra, columns, *beside):
                faults.setdefault(at, (why[0], why[1]))
            self.places.look_into(self.plan.extra, columns, parts["messages"], block.lines, faults)
        check_places(parts, faults)
        place = partial(_place, block)
        parts |= self.boxes.of_rows(columns, parts["images"], place, faults)
        ids = self._ids(columns, parts, block, faults)
        series = [
            pl.Series("id", ids, dtype=pl.String),
            pl.Series("source_file", [block.file], dtype=pl.String).new_from_index(0, len(ids)),
            pl.Series("source_line", block.lines, dtype=pl.Int64),
            *(_series(name, values, self.schema[name]) for name, values in parts.items()),
            *(
                self.texts.column(name, columns.get(source, empty), kind)
                for name, (source, kind) in self.plan.extra.items()
            ),
        ]
        frame = pl.DataFrame(series)
        if not faults:
            return Batch(frame, block.rejects)
        kept = [at for at in range(len(ids)) if at not in faults]
        new_rejects = [
            Reject(ids[at] or place_name(block.file, block.lines[at]), *why, block.file, block.lines[at])
            for at, why in faults.items()
        ]
        rejects = sorted([*block.rejects, *new_rejects], key=lambda reject: reject.source_line or 0)
        return Batch(frame[kept], rejects)

    def _pictures(
        self, columns: dict[str, Sequence[Any]], block: Block, faults: dict[int, tuple[str, str]]
    ) -> list[list[str]]:
        paths = self._images(block.file)
        pictures: list[list[str]] = [[] for _ in block.rows]
        paths.expect(cell for name in self.plan.images for cell in columns.get(name, ()))
        for name in self.plan.images:
            for at, value in enumerate(columns.get(name, ())):
                try:
                    pictures[at] += paths.of(value)
                except ImageFault as fault:
                    faults.setdefault(at, (fault.reason, fault.detail))
        return pictures

    def _labels_of(
        self, values: Sequence[Any], block: Block, faults: dict[int, tuple[str, str]]
    ) -> Sequence[str | None]:
        values = without_blank_lists(values)
        if block.kinds is not None and block.kinds.get(self.plan.label or "") in (pl.Int64, pl.Float64):
            self.labels.note_numbers(values)
        return self.labels.cleaned(_texts(values, "label", faults))

    def _pictures_within(
        self,
        dialogues: Sequence[Any],
        parts: dict[str, Sequence[Any]],
        block: Block,
        faults: dict[int, tuple[str, str]],
    ) -> None:
        """Gives rows without pictures of their own those that their dialogues name."""
        paths, images = self._images(block.file), parts["images"]
        named = {
            at: pictures_in(dialogues[at])
            for at, turns in enumerate(parts["messages"])
            if not images[at] and at not in faults and turns and places_in(turns)
        }
        paths.expect(named.values())
        for at, pictures in named.items():
            try:
                images[at].extend(paths.within(pictures))
            except ImageFault as fault:
                faults.setdefault(at, (fault.reason, fault.detail))

    def _dialogues(
        self, values: Sequence[Any], systems: Sequence[Any], faults: dict[int, tuple[str, str]]
    ) -> list[list[dict[str, str]] | None]:
        dialogues: list[list[dict[str, str]] | None] = []
        for at, (value, system) in enumerate(zip(values, systems, strict=True)):
            turns = None
            try:
                turns = self.turns(value)
                if turns and isinstance(system, str) and system.strip() and turns[0]["role"] != "system":
                    turns = [{"role": "system", "content": system}, *turns]
                    check_order(turns)
            except DialogueFault as fault:
                faults.setdefault(at, (fault.reason, fault.detail))
            dialogues.append(turns)
        return dialogues

    def _losses(
        self, values: Sequence[Any], dialogues: Sequence[Any], faults: dict[int, tuple[str, str]]
    ) -> list[list[bool | None] | None]:
        losses: list[list[bool | None] | None] = []
        for at, (value, turns) in enumerate(zip(values, dialogues, strict=True)):
            try:
                losses.append(losses_in(chat_of(value), turns) if turns else None)
            except DialogueFault as fault:
                faults.setdefault(at, (fault.reason, fault.detail))
                losses.append(None)
        return losses

    def _ids(
        self,
        columns: dict[str, Sequence[Any]],
        parts: dict[str, Sequence[Any]],
        block: Block,
        faults: dict[int, tuple[str, str]],
    ) -> list[str]:
        """Given ids as text; where none is given, one made of the record's content."""
        source_ids = given_ids(_values(columns, self.plan.id, None), len(block.rows))
        _reject_rounded(source_ids, faults)
        if self._twice:
            self._reject_second(source_ids, block, faults)
        return [
            id_ if id_ is not None else self._made_id(columns, parts, at, at in faults)
            for at, id_ in enumerate(source_ids)
        ]

    def _reject_second(
        self, source_ids: list[str | None], block: Block, faults: dict[int, tuple[str, str]]
    ) -> None:
        for at, id_ in enumerate(source_ids):
            if id_ not in self._twice or id_ is None or at in faults:
                continue
            file, line = self._first.setdefault(id_, (block.file, block.lines[at]))
            if (file, line) != (block.file, block.lines[at]):
                here = f"{block.file}:{block.lines[at]}"
                faults[at] = ("duplicate_id", f"{here} has the id {id_} of {file}:{line}")

    def _made_id(
        self, columns: dict[str, Sequence[Any]], parts: dict[str, Sequence[Any]], at: int, faulty: bool
    ) -> str:
        if faulty:
            return ""
        written = self._written(columns, parts["images"], at)
        facts = [*written, parts["label"][at], parts["text"][at]]
        if "messages" in parts and parts["messages"][at] is not None:
            facts.append(parts["messages"][at])
            if parts["images"][at] and not written:
                facts.append(pictures_in(columns[self.plan.messages or ""][at]))
        if not any(facts):
            facts = [
                [name, as_json(cells[at])] for name, cells in sorted(columns.items()) if cells[at] is not None
            ]
        base_id = content_id(facts)
        while True:
            count = self._made[base_id] = self._made.get(base_id, 0) + 1
            free = base_id if count == 1 else f"{base_id}-{count}"
            if free not in self._claimed:
                return free

    def _written(self, columns: dict[str, Sequence[Any]], images: Sequence[list[str]], at: int) -> list[Any]:
        """What the row says of its pictures. Nothing of other rows enters, so that it may be moved."""
        facts: list[Any] = []
        for name in self.plan.images:
            cell = columns[name][at] if name in columns else None
            if cell:
                is_paths = isinstance(cell, list) and all(type(item) is str for item in cell)
                fact = cell if type(cell) is str or is_paths else _file_names(images[at])
                facts.append([name, fact] if len(self.plan.images) > 1 else fact)
        return facts


def _file_names(paths: list[str]) -> list[str]:
    """Names of pictures that were inside the data: each is made of the picture's content."""
    return [path.rsplit("/", 1)[-1] for path in paths]


def _series(name: str, values: Sequence[Any], kind: Any) -> pl.Series:
    """A column. Polars takes 5 us for each list, a third of reading: lists of one or none go as a whole."""
    if kind == pl.List(pl.String):
        lengths = set(map(len, values))
        if lengths == {0}:
            return pl.Series(name, [[]], dtype=kind).new_from_index(0, len(values))
        if lengths == {1}:
            items = pl.DataFrame({name: [value[0] for value in values]}, schema={name: pl.String})
            return items.select(pl.concat_list(name))[name]
    return pl.Series(name, values, dtype=kind)


def _values(columns: dict[str, Sequence[Any]], name: str | None, absent: Any) -> Any:
    return columns.get(name, absent) if name is not None else absent


def given_ids(values: Sequence[Any] | None, rows: int) -> list[str | None]:
    """Ids as text: numbers are written out; null, blank and nested values count as not given."""
    if values is None:
        return [None] * rows
    if set(map(type, values)) == {str} and "" not in values:
        return list(values)
    return [
        (value.strip() and value) or None
        if isinstance(value, str)
        else str(value)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else None
        for value in values
    ]


def _reject_rounded(given: list[str | None], faults: dict[int, tuple[str, str]]) -> None:
    """Rejects ids that a spreadsheet or a float has rounded: several records would share one."""
    for at, id_ in enumerate(given):
        if id_ is not None and id_[-4:-1].find("+") >= 0 and _ROUNDED.fullmatch(id_):
            words = f"the id {id_} is a rounded number: export the column as text, with all digits"
            faults.setdefault(at, ("id_rounded", words))


def _place(block: Block, at: int) -> str:
    return place_name(block.file, block.lines[at])


def place_name(file: str, line: int | None) -> str:
    """What a row without an id is called in rejects: `train.jsonl:12`."""
    return f"{file.rsplit('/', 1)[-1]}:{line}"


def reject_at(file: str, line: int, reason: str, detail: str) -> Reject:
    """What stands in a line (or is the element of that number) and is no row, rejected."""
    return Reject(place_name(file, line), reason, detail, file, line)


def _texts(values: Sequence[Any], column: str, faults: dict[int, tuple[str, str]]) -> Sequence[str | None]:
    """Texts as they are, numbers and truth values written out; blank ones are null."""
    if set(map(type, values)) == {str} and "" not in values:
        return values
    texts: list[str | None] = []
    for at, value in enumerate(values):
        if value is None or isinstance(value, str):
            texts.append(value if value and value.strip() else None)
        elif isinstance(value, bool | int | float):
            texts.append(str(value).lower() if isinstance(value, bool) else str(value))
        else:
            words = f"the {column} is a {type(value).__name__}, not a text"
            faults.setdefault(at, (f"{column}_not_text", words))
            texts.append(None)
    return texts
