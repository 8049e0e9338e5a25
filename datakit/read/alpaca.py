"""read.alpaca: dialogues out of instruction, input and output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.core.errors import UserError
from datakit.core.step_context import StepContext
from datakit.core.transform import Package
from datakit.read._alpaca import AlpacaColumns
from datakit.read._files import found_files
from datakit.read._frames import frame_blocks
from datakit.read._hub import DATASETS, HubSource, frames, is_hub_name, loaded
from datakit.read._known_forms import PRE_TRAINING
from datakit.read._row_reader import missing_column
from datakit.read._rows import DIALOGUE, Block, Plan, Turns
from datakit.read._survey import Survey
from datakit.read._tables import table_rows, with_dialogue
from datakit.read._text_reader import TextReader

_COLUMNS = AlpacaColumns()


class Alpaca(TextReader):
    """One dialogue (`messages`) per row of the alpaca format, in order.

    The question is `instruction` and, on a line of its own, `input`; the answer is `output`; `system` and
    `history` (earlier pairs of question and answer) come before them. The rows stand in a JSON, JSON Lines,
    CSV or Parquet file, or in a data set of the Hugging Face hub (extra `hub`), such as
    `path: shibing624/alpaca-zh`. Pictures are those of the column `images` (or `image`), one for each
    `<image>` in the texts. Further columns are kept as read.json does.

    Reasons of rejection: instruction_missing, output_missing, answer_unwanted, messages_format,
    not_an_object, duplicate_id, image_places (another number of `<image>` in the texts than pictures),
    and for files those of their format: bad_json, bad_encoding, bad_csv, ragged_row. `source_line` is the
    line, or the row from 1 in JSON arrays, Parquet and hub sets.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../data/general.json"}

    subset: str | None = None
    """Hub only: name of the configuration."""
    split: str | None = None
    """Hub only: the part that is read; `train` when not given."""
    revision: str | None = None
    """Hub only: branch, tag or commit. Give a commit, so that two builds read the same."""

    def packages(self, context: StepContext) -> tuple[Package, ...]:
        own = (DATASETS,) if is_hub_name(self.path, context) else ()
        return (*super().packages(context), *own)

    def _files(self, context: StepContext) -> tuple[Path, ...]:
        return () if is_hub_name(self.path, context) else tuple(found_files(self.path, context))

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for file in files:
            for block in table_rows(file, rows, self.encoding):
                yield with_dialogue(block, _COLUMNS.names() - {*self.drop})
        if not files:
            dataset = loaded(HubSource(self.path, self.subset, self.revision), self.split)
            for block in frame_blocks(frames(dataset, rows), self.path):
                yield with_dialogue(block, _COLUMNS.names() - {*self.drop})

    def _plan(self, survey: Survey, source: str) -> Plan:
        if survey.rows and not survey.dialogue >= {"instruction", "output"}:
            self._check_form(survey, source, Plan())
            absent = "output" if "instruction" in survey.dialogue else "instruction"
            names = [name for name in survey.kinds if name != DIALOGUE] + sorted(survey.dialogue)
            fault = missing_column(absent, "path", names, source)
            if "text" in survey.kinds and not survey.dialogue:
                raise UserError(f"{fault.message}: this is {PRE_TRAINING}", remedy=fault.remedy)
            raise fault
        id_ = self.id if self.id in survey.kinds else None
        usual = [name for name in ("images", "image") if survey.filled.get(name)]
        images = tuple(usual[:1]) if self.images != "none" else ()
        extra = self._extra(survey, source, {DIALOGUE, *images, *([id_] if id_ else [])})
        return self._check_form(survey, source, Plan(id=id_, images=images, messages=DIALOGUE, extra=extra))

    def _turns(self, files: tuple[Path, ...]) -> Turns:
        return _COLUMNS.turns
