"""What the readers of tables share: which column is what, and the columns that are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from datakit.core.errors import UserError, did_you_mean
from datakit.core.files import Stamp
from datakit.core.outcome import Batch
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Reader
from datakit.read._dialogue import turns_of
from datakit.read._files import empty_source, found_files, stamp_of
from datakit.read._images import ImagePaths
from datakit.read._kinds import BYTES, Kinds, transposed
from datakit.read._rows import DIALOGUE, Block, GivenIds, Plan, Records, Turns, free_name, given_ids

_SURVEY_ROWS = 4096
_MADE = r"^[0-9a-f]{16}(-\d+)?$"


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


class TableReader(Reader):
    """Records out of rows. A source is gone through twice: for types and ids, then for the records."""

    path: str
    """The file, from the recipe's folder; a pattern such as `data/*.jsonl` takes every match, by name."""
    id: str | None = "id"
    """Column of the ids. A row without one gets an id made of its pictures, label and texts, which stays the
    same when rows are moved; equal rows get `-2`, `-3`. Numbers become texts. null makes every id so."""
    keep: tuple[str, ...] | None = None
    """Further columns that the records keep; all when not given. One with a name that datakit uses itself
    gets `source_` before it."""
    image_root: str | None = None
    """Folder that picture paths start from and may not leave; that of the data file when not given."""

    @abstractmethod
    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        """Blocks of at most so many rows, in the order of the source."""

    @abstractmethod
    def _plan(self, survey: Survey, source: str) -> Plan:
        """Where each part of a record stands. Raises UserError for a named column that is not there."""

    def _files(self, context: StepContext) -> tuple[Path, ...]:
        return tuple(found_files(self.path, context))

    def _declared(self, context: StepContext) -> tuple[Path, ...]:
        """The files, before anything in them is read."""
        return tuple(context.declared(file) for file in self._files(context))

    def _turns(self, files: tuple[Path, ...]) -> Turns:
        """What makes turns of a cell of the plan's `messages`; raises DialogueFault."""
        return turns_of

    def _image_folder(self, file: str, files: tuple[Path, ...]) -> Path:
        """Where picture paths of a data file start, unless `image_root` says otherwise."""
        return Path(file).parent

    def _image_paths(self, root: Path, context: StepContext) -> ImagePaths:
        return ImagePaths(root)

    def _warnings(self, files: tuple[Path, ...], plan: Plan) -> list[str]:
        """What whoever builds should know of how the files were read, one line for each fact."""
        return []

    def _survey(self, files: tuple[Path, ...]) -> Survey:
        return _surveyed(self, files, tuple(stamp_of(file) for file in files))

    def files(self, context: StepContext) -> list[Path]:
        return list(self._files(context))

    def columns(self, context: StepContext) -> Columns:
        return self._planned(self._declared(context))[0].schema()

    def read(self, context: StepContext) -> Iterator[Batch]:
        files = self._declared(context)
        plan, survey = self._planned(files)
        by_root: dict[Path, ImagePaths] = {}

        def image_paths(file: str) -> ImagePaths:
            asked = self.image_root
            root = context.path(asked) if asked is not None else self._image_folder(file, files)
            if root not in by_root:
                by_root[root] = self._image_paths(root, context)
            return by_root[root]

        records = Records(plan, image_paths, survey.ids, self._turns(files), context.labels)
        for block in self._blocks(files, context.run.batch_rows):
            yield records.batch(block)
        warnings = [*self._warnings(files, plan), *records.labels.warnings()]
        if warnings:
            yield Batch(pl.DataFrame(schema=plan.schema()), notes={"warnings": warnings})

    def _planned(self, files: tuple[Path, ...]) -> tuple[Plan, Survey]:
        survey = self._survey(files)
        if survey.rows + survey.rejects == 0:
            raise empty_source(files or (Path(self.path),))
        return self._plan(survey, str(files[0]) if files else self.path), survey

    def _extra(self, survey: Survey, source: str, used_names: set[str]) -> dict[str, tuple[str, Any]]:
        """The further columns: name in the record -> name in the source and kind."""
        names = [name for name, kind in survey.kinds.items() if name not in used_names and kind != BYTES]
        if self.keep is not None:
            for name in self.keep:
                if name not in survey.kinds and survey.rows:
                    raise missing_column(name, "keep", list(survey.kinds), source)
            names = [name for name in self.keep if name in names]
        extra: dict[str, tuple[str, Any]] = {}
        for name in names:
            extra[free_name(name, [*survey.kinds, *extra])] = (name, survey.kinds[name])
        return extra


class RowReader(TableReader):
    """Records out of the rows of a table whose columns the recipe names."""

    image: str | tuple[str, ...] | None = "image"
    """Column of the pictures: a path or a list of paths a row. Several columns: their pictures in this order.
    When not given and there is no `image`, the column `images`."""
    label: str | None = "label"
    """Column of the labels. Numbers become texts; a blank label is null, and so is a word that says that
    there is none (nan, NULL, None, N/A, 无), unless the label file has it as a class. Signs that nobody sees,
    such as zero-width spaces, are taken out and told."""
    text: str | None = "text"
    """Column of the text that comes with the pictures: a question, or a dialogue with `<image>` places."""
    messages: str | None = "messages"
    """Column of chats: a list of turns with `role` and `content`, or `from` and `value`. When not given and
    there is no `messages`, the column `conversations`."""

    def _plan(self, survey: Survey, source: str) -> Plan:
        find = partial(self._found, survey, source)
        images = (self.image,) if isinstance(self.image, str) else self.image or ()
        picture_columns = [find("image", name, "images" if len(images) == 1 else None) for name in images]
        used = {
            "id": find("id", self.id),
            "label": find("label", self.label),
            "text": find("text", self.text),
            "messages": find("messages", self.messages, "conversations"),
        }
        pictures = tuple(name for name in picture_columns if name)
        used_names = {*pictures, *(name for name in used.values() if name)}
        return Plan(images=pictures, extra=self._extra(survey, source, used_names), **used)

    def _found(
        self, survey: Survey, source: str, parameter: str, name: str | None, instead: str | None = None
    ) -> str | None:
        """The column if it is there. Raises UserError if it was asked for and is not."""
        if name is None or name in survey.kinds:
            return name
        if parameter not in self.model_fields_set:
            return instead if instead in survey.kinds else None
        if survey.rows:  # where no row can be read, the rejects say more than a missing column
            raise missing_column(name, parameter, list(survey.kinds), source)
        return None


def missing_column(name: str, parameter: str, names: list[str], source: str) -> UserError:
    listing = f"Columns there: {', '.join(names)}."
    return UserError(
        f"{source} has no column `{name}` (parameter `{parameter}`)",
        remedy=f"{did_you_mean(name, names)} {listing}".strip(),
    )


@lru_cache(maxsize=16)
def _surveyed(reader: TableReader, files: tuple[Path, ...], _stamps: tuple[Stamp, ...]) -> Survey:
    """One pass over every value: types and ids. Remembered until a file changes."""
    kinds, ids, dialogue = Kinds(), [], set()
    rows = rejects = 0
    for block in reader._blocks(files, _SURVEY_ROWS):
        rows += len(block.rows)
        rejects += len(block.rejects)
        if not block.rows:
            continue
        columns = transposed(block.rows)
        if block.kinds is None:
            kinds.add(columns)
        else:
            kinds.declare(block.kinds)
        for row in columns.get(DIALOGUE, ()):
            dialogue.update(row)
        if reader.id in columns:
            block_ids = given_ids(columns[reader.id], len(block.rows))
            ids.append(pl.Series(block_ids, dtype=pl.String).drop_nulls())
    dtypes = {name: kinds.dtype(name) for name in kinds.names()}
    return Survey(dtypes, _needing_care(ids, rows), rows, rejects, frozenset(dialogue))


def _needing_care(ids: list[pl.Series], rows: int) -> GivenIds:
    all_ids = pl.concat(ids) if ids else pl.Series(dtype=pl.String)
    twice = frozenset(all_ids.filter(all_ids.is_duplicated()).unique())
    # Made ids come back as given ones, when rows are added to data that datakit wrote.
    claimed = all_ids.filter(all_ids.str.contains(_MADE)) if len(all_ids) < rows else all_ids.clear()
    return GivenIds(twice, frozenset(claimed))
