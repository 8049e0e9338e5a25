"""read.llamafactory: dialogues out of a data set that LLaMA-Factory trains on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from datakit.artifacts.names import DATASET_INFO
from datakit.core.step_context import StepContext
from datakit.core.training_columns import TOOLS
from datakit.read._dataset_info import Entry, load_entry
from datakit.read._dialogue import check_order, turns_of
from datakit.read._row_reader import missing_column
from datakit.read._rows import DIALOGUE, Block, Plan, Turns
from datakit.read._survey import Survey
from datakit.read._tables import table_rows, with_dialogue
from datakit.read._text_reader import TextReader


class Llamafactory(TextReader):
    """One dialogue (`messages`, `images`) per row of a LLaMA-Factory data set, in order.

    The data set is an entry of `dataset_info.json`, in the formatting alpaca, sharegpt or openai, with
    its own columns and tags; its file is JSON, JSON Lines, CSV or Parquet. Further columns are kept as
    read.json does. A data set that datakit emitted comes back with its ids, messages and pictures; rows
    written several times come back once, the others as duplicate_id. Ranked answers, videos and audios
    are refused.

    Reasons of rejection: image_places (the trainer would stop at such a row), messages_format,
    messages_order, answer_unwanted, instruction_missing, output_missing, image_not_a_path, image_outside,
    duplicate_id, and those of the file's format. `source_line` is the line, or the row from 1 in JSON
    arrays and Parquet.
    """

    example: ClassVar[dict[str, Any] | None] = {"path": "../LLaMA-Factory/data", "dataset": "mllm_demo"}

    path: str
    """The folder that holds `dataset_info.json`, or that file, from the recipe's folder."""
    dataset: str
    """Name of the data set in `dataset_info.json`."""
    image_root: str | None = None
    """Folder that pictures may not leave, and that their paths start from unless `image_base` says otherwise:
    the trainer's `media_dir`. The folder of `dataset_info.json` when not given."""

    def _files(self, context: StepContext) -> tuple[Path, ...]:
        """The index and the data file."""
        index = context.path(self.path)
        index = index if index.name == DATASET_INFO else index / DATASET_INFO
        return (index, load_entry(index, self.dataset, self.drop).file)

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        entry = load_entry(files[0], self.dataset, self.drop)
        for block in table_rows(entry.file, rows, self.encoding):
            yield with_dialogue(block, entry.dialogue_columns())

    def _plan(self, survey: Survey, source: str) -> Plan:
        entry = load_entry(Path(source), self.dataset, self.drop)
        text_column = entry.alpaca.output if entry.formatting == "alpaca" else entry.messages
        names = sorted(survey.dialogue | survey.kinds.keys() - {DIALOGUE})
        for name in (text_column, entry.images):
            if survey.rows and name and name not in names:
                raise missing_column(name, "dataset", names, str(entry.file))
        id_ = self.id if self.id in survey.kinds else None
        images = (entry.images,) if entry.images and self.images != "none" else ()
        extra = self._extra(survey, source, {DIALOGUE, *images, *([id_] if id_ else [])})
        if entry.tools in extra and TOOLS not in extra:
            extra = {TOOLS if name == entry.tools else name: column for name, column in extra.items()}
        plan = Plan(id=id_, images=images, messages=DIALOGUE, extra=extra)
        return self._check_form(survey, str(entry.file), plan)

    def _turns(self, files: tuple[Path, ...]) -> Turns:
        entry = load_entry(files[0], self.dataset, self.drop)
        return entry.alpaca.turns if entry.formatting == "alpaca" else _Sharegpt(entry)

    def _image_folder(self, file: str, files: tuple[Path, ...]) -> Path:
        return files[0].parent


class _Sharegpt:
    """Turns out of the messages and the system column of one row."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    def __call__(self, row: dict[str, Any]) -> list[dict[str, str]] | None:
        entry = self.entry
        value = row.get(entry.messages or "")
        turns = turns_of(value if value is not None else [], entry.roles, entry.role_key, entry.content_key)
        system = row.get(entry.system or "")
        if turns and isinstance(system, str) and system.strip() and turns[0]["role"] != "system":
            turns = [{"role": "system", "content": system}, *turns]
            check_order(turns)
        return turns
