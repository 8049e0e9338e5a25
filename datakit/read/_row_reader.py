"""What the readers of tables share: which column is what, and the columns that are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.errors import UserError, did_you_mean
from datakit.core.files import Stamp
from datakit.core.outcome import Batch
from datakit.core.tools import Tools
from datakit.core.transform import Columns, Reader
from datakit.read._files import empty_source, found_files, stamp_of
from datakit.read._images import ImagePaths
from datakit.read._kinds import Kinds, transposed
from datakit.read._rows import Block, Plan, Records, free_name, given_ids

_SURVEY_ROWS = 4096


@dataclass(frozen=True)
class Survey:
    """What a first pass over a source found."""

    kinds: dict[str, Any] = field(default_factory=dict)
    """Column of the source -> its kind (`_kinds`), in the order of the source."""
    twice: frozenset[str] = frozenset()
    """Ids that are given more than once."""
    rows: int = 0
    rejects: int = 0


class RowReader(Reader):
    """Records out of the rows of a table."""

    path: str
    """The file, from the recipe's folder; a pattern such as `data/*.jsonl` takes every match, by name."""
    id: str = "id"
    """Column of the ids. A row without one gets an id made of its pictures, label and texts, which stays the
    same when rows are moved; equal rows get `-2`, `-3`. Numbers become texts."""
    image: str | tuple[str, ...] = "image"
    """Column of the pictures: a path or a list of paths a row. Several columns: their pictures in this order.
    When not given and there is no `image`, the column `images`."""
    label: str | None = "label"
    """Column of the labels. Numbers become texts, a blank label is null."""
    text: str | None = "text"
    """Column of the text that comes with the pictures: a question, or a dialogue with `<image>` places."""
    messages: str | None = "messages"
    """Column of chats: a list of turns with `role` and `content`, or `from` and `value`. When not given and
    there is no `messages`, the column `conversations`."""
    keep: tuple[str, ...] | None = None
    """Further columns that the records keep; all when not given. One with a name that datakit uses itself
    gets `source_` before it."""
    image_root: str | None = None
    """Folder that picture paths start from and may not leave; that of the data file when not given."""

    @abstractmethod
    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        """Blocks of at most so many rows, in the order of the source."""

    def _files(self, tools: Tools) -> tuple[Path, ...]:
        return tuple(found_files(self.path, tools))

    def sources(self, tools: Tools) -> list[Path]:
        return list(self._files(tools))

    def columns(self, tools: Tools) -> Columns:
        return self._plan(self._files(tools))[0].schema()

    def read(self, tools: Tools) -> Iterator[Batch]:
        files = self._files(tools)
        plan, survey = self._plan(files)
        records = Records(plan, partial(self._image_paths, tools, {}), survey.twice)
        yield from records.batches(self._blocks(files, tools.run.batch_rows))

    def _image_paths(self, tools: Tools, known: dict[Path, ImagePaths], file: str) -> ImagePaths:
        root = tools.path(self.image_root) if self.image_root is not None else Path(file).parent
        if root not in known:
            known[root] = ImagePaths(root)
        return known[root]

    def _plan(self, files: tuple[Path, ...]) -> tuple[Plan, Survey]:
        survey = self._survey(files)
        if survey.rows + survey.rejects == 0:
            raise empty_source(list(files))
        return self._plan_for(survey, str(files[0])), survey

    def _survey(self, files: tuple[Path, ...]) -> Survey:
        return _surveyed(self, files, tuple(stamp_of(file) for file in files))

    def _plan_for(self, survey: Survey, source: str) -> Plan:
        names = list(survey.kinds)
        strict = survey.rows > 0  # where no row can be read, the rejects say more than a missing column
        find = partial(self._found, names, source if strict else "")
        images = (self.image,) if isinstance(self.image, str) else self.image
        given = [find("image", name, "images" if len(images) == 1 else None) for name in images]
        used = {
            "id": find("id", self.id),
            "label": find("label", self.label),
            "text": find("text", self.text),
            "messages": find("messages", self.messages, "conversations"),
        }
        pictures = tuple(name for name in given if name)
        taken = {*pictures, *(name for name in used.values() if name)}
        extra: dict[str, tuple[str, Any]] = {}
        for name in self._kept(names, source if strict else "", taken):
            extra[free_name(name, [*names, *extra])] = (name, survey.kinds[name])
        return Plan(images=pictures, extra=extra, **used)

    def _found(
        self, names: list[str], source: str, parameter: str, name: str | None, instead: str | None = None
    ) -> str | None:
        """The column if it is there. Raises UserError if it was asked for and is not."""
        if name is None or name in names:
            return name
        if parameter not in self.model_fields_set:
            return instead if instead in names else None
        if source:
            raise _missing_column(name, parameter, names, source)
        return None

    def _kept(self, names: list[str], source: str, taken: set[str]) -> Iterable[str]:
        if self.keep is None:
            return [name for name in names if name not in taken]
        for name in self.keep:
            if name not in names and source:
                raise _missing_column(name, "keep", names, source)
        return [name for name in self.keep if name in names and name not in taken]


def _missing_column(name: str, parameter: str, names: list[str], source: str) -> UserError:
    there = f"Columns there: {', '.join(names)}."
    return UserError(
        f"{source} has no column `{name}` (parameter `{parameter}`)",
        remedy=f"{did_you_mean(name, names)} {there}".strip(),
    )


@lru_cache(maxsize=16)
def _surveyed(reader: RowReader, files: tuple[Path, ...], _stamps: tuple[Stamp, ...]) -> Survey:
    """One pass over every value: types and ids. Remembered until a file changes."""
    kinds, ids = Kinds(), []
    rows = rejects = 0
    for block in reader._blocks(files, _SURVEY_ROWS):
        rows += len(block.rows)
        rejects += len(block.rejects)
        if not block.rows:
            continue
        columns = transposed(block.rows)
        kinds.add(columns)
        if reader.id in columns:
            given = given_ids(columns[reader.id], len(block.rows))
            ids.append(pl.Series(given, dtype=pl.String).drop_nulls())
    found = pl.concat(ids) if ids else pl.Series(dtype=pl.String)
    twice = frozenset(found.filter(found.is_duplicated()).unique())
    return Survey({name: kinds.dtype(name) for name in kinds.names()}, twice, rows, rejects)
