"""What a person says of the data to `datakit init`, in place of what would be found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from datakit.core.language import Language

Task = Literal["classify", "vqa", "caption", "extract", "boxes", "chats"]
TASKS: tuple[Task, ...] = get_args(Task)
TASK_WORDS: dict[Task, str] = {
    "classify": "classify pictures",
    "vqa": "answer questions about pictures",
    "caption": "write a text on each picture",
    "extract": "copy fields out of pictures",
    "boxes": "say where things are",
    "chats": "learn chats as they are",
}
FORMATS = (
    "image_folder",
    "csv",
    "jsonl",
    "json",
    "parquet",
    "llamafactory",
    "alpaca",
    "coco",
    "label_studio",
    "hub",
)
"""The readers (`read.NAME`) that `datakit init` takes data by."""


@dataclass(frozen=True)
class Asked:
    """The options of `datakit init`; None or empty for what is to be found out."""

    task: Task | None = None
    language: Language | None = None
    format: str | None = None
    image_columns: tuple[str, ...] = ()
    label_column: str | None = None
    image_root: Path | None = None
    encoding: str | None = None
    dataset: str | None = None
    """Which data set of a dataset_info.json."""
    subset: str | None = None
    """Configuration of a data set of the `datasets` package."""
    split: str | None = None
    """Part of it that is read."""
