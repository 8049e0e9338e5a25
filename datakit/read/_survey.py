"""What a first pass over every value of a source finds: types, ids, and which columns hold what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from datakit.core.training_columns import (
    TURN_NAMES,
    WEIGHTS,
    are_marks,
    column_meaning,
    is_trained,
    plain_name,
    turn_meaning,
)
from datakit.read._beside_chats import may_be_class
from datakit.read._column_names import MESSAGES_NAMES, may_hold_pictures, names_picture
from datakit.read._dialogue import ROLES, DialogueFault, unpacked
from datakit.read._kinds import Kinds, transposed
from datakit.read._known_forms import is_telling
from datakit.read._rows import DIALOGUE, Block, GivenIds, given_ids

_SURVEY_ROWS = 4096
_EMPTY = ("", "[]", "{}", "null")
_MOST_MARKS = 12
"""Different ways to write a mark that a column may mix."""
_MADE = r"^[0-9a-f]{16}(-\d+)?$"
_CHATS = frozenset(map(plain_name, (*MESSAGES_NAMES, "prompt", "completion")))


@dataclass(frozen=True)
class Survey:
    """What a first pass over a source found."""

    kinds: dict[str, Any] = field(default_factory=dict)
    """Column of the source -> its kind (`_kinds`), in the order of the source."""
    ids: GivenIds = field(default_factory=GivenIds)
    rows: int = 0
    rejects: int = 0
    dialogue: frozenset[str] = frozenset()
    """Columns that make up a dialogue together."""
    filled: Mapping[str, int] = field(default_factory=dict)
    """Rows with a value, of columns that may hold pictures, mean something to a trainer or tell a form."""
    pictures: Mapping[str, int] = field(default_factory=dict)
    """Of columns that may hold pictures: rows that name or hold one."""
    turn_keys: Mapping[str, int] = field(default_factory=dict)
    """Key of turns that means something to a trainer -> rows that have it."""
    marks: frozenset[str] = frozenset()
    """Columns called label whose every value may be a mark of a wanted or unwanted answer."""

    def without(self, names: Collection[str]) -> Survey:
        """The same as if the source had no columns, and no keys of turns, of these names."""
        return replace(
            self,
            kinds={name: kind for name, kind in self.kinds.items() if name not in names},
            dialogue=self.dialogue - {*names},
            turn_keys={key: count for key, count in self.turn_keys.items() if key not in names},
        )


def survey_of(
    blocks: Callable[[int], Iterator[Block]], id_column: str | None, chat_column: str | None
) -> Survey:
    """One pass over every value; `blocks` gives the rows, so many at a time."""
    kinds, ids, dialogue, tally = Kinds(), list[pl.Series](), set[str](), _Tally(chat_column)
    rows = rejects = 0
    for block in blocks(_SURVEY_ROWS):
        rows += len(block.rows)
        rejects += len(block.rejects)
        if not block.rows:
            continue
        columns = transposed(block.rows)
        if block.kinds is None:
            kinds.add(columns)
        else:
            kinds.declare(block.kinds)
        tally.add(columns)
        for row in columns.get(DIALOGUE, ()):
            dialogue.update(row)
        if id_column in columns:
            given = given_ids(columns[id_column], len(block.rows))
            ids.append(pl.Series(given, dtype=pl.String).drop_nulls())
    return Survey(
        {name: kinds.dtype(name) for name in kinds.names()},
        _needing_care(ids, rows),
        rows,
        rejects,
        frozenset(dialogue),
        tally.filled,
        tally.pictures,
        tally.turn_keys,
        frozenset(name for name, values in tally.labels.items() if values and are_marks(values)),
    )


class _Tally:
    """Counts rows whose values mean something."""

    def __init__(self, chat_column: str | None) -> None:
        self._chat_column = chat_column
        self.filled: Counter[str] = Counter()
        self.pictures: Counter[str] = Counter()
        self.turn_keys: Counter[str] = Counter()
        self.labels: dict[str, set[Any]] = {}
        """Label -> its different values, a few of them."""

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        for name, values in columns.items():
            if may_be_class(name):
                self._add_labels(self.labels.setdefault(name, set()), values)
            pictures = may_hold_pictures(name)
            if pictures or is_telling(name) or column_meaning(name, chats=True) is not None:
                self.filled[name] += _filled(values)
            if pictures:
                self.pictures[name] += sum(map(names_picture, values))
            if name == self._chat_column or plain_name(name) in _CHATS:
                self._add_chats(values)
            elif name == DIALOGUE:
                self._add_dialogues(values)

    def _add_labels(self, known: set[Any], values: Sequence[Any]) -> None:
        for value in values:
            if len(known) > _MOST_MARKS:
                return  # one of them is no mark
            if value is not None:
                known.add(value if isinstance(value, str | int | float) else str(value))

    def _add_dialogues(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of several columns that make one dialogue: their chats, and what else has a meaning."""
        for row in rows:
            self._add_chats(row.values())
            for name, value in row.items():
                counted = may_hold_pictures(name) or is_telling(name) or column_meaning(name, chats=True)
                if counted and _is_filled(value):
                    self.filled[name] += 1

    def _add_chats(self, cells: Iterable[Any]) -> None:
        for cell in cells:
            if isinstance(cell, str) and cell[:1] not in "[{":
                continue
            try:
                turns = unpacked(cell)
            except DialogueFault:
                continue
            keys: set[str] = set()
            for turn in turns if isinstance(turns, list) else ():
                if isinstance(turn, dict) and not TURN_NAMES.isdisjoint(turn):
                    keys.update(key for key, value in turn.items() if _counts(key, value, turn))
            self.turn_keys.update(keys)


def _counts(key: str, value: Any, turn: Mapping[str, Any]) -> bool:
    """Whether a key of a turn says something that is not so anyway."""
    if turn_meaning(key) is None:
        return False
    if key in WEIGHTS:  # every answer is trained on where nothing is said
        return is_trained(key, value) is False
    if key == "name":  # answers of tools bear the tool's name
        role = turn.get("role", turn.get("from"))
        return bool(value) and ROLES.get(str(role).strip().casefold()) in ("user", "assistant")
    return _is_filled(value)


def _filled(values: Sequence[Any]) -> int:
    if set(map(type, values)) == {str}:  # nearly always, and 3 times quicker
        return sum(value.strip() not in _EMPTY for value in values)
    return sum(map(_is_filled, values))


def _is_filled(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_filled, value.values()))
    if isinstance(value, str):
        return value.strip() not in _EMPTY
    return value is not None and value not in ([], ())


def _needing_care(ids: list[pl.Series], rows: int) -> GivenIds:
    given = pl.concat(ids) if ids else pl.Series(dtype=pl.String)
    twice = frozenset(given.filter(given.is_duplicated()).unique())
    # Made ids come back as given ones, when rows are added to data that datakit wrote.
    claimed = given.filter(given.str.contains(_MADE)) if len(given) < rows else given.clear()
    return GivenIds(twice, frozenset(claimed))
