"""Files and folders that a reader of tables was given by mistake: what they are, and what reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from datakit.artifacts.names import DATASET_INFO, MANIFEST, RECORDS
from datakit.core.errors import UserError
from datakit.core.regular_files import regular
from datakit.core.scripts import shell_words
from datakit.core.shown_path import show_path
from datakit.read._column_names import PICTURE_SUFFIXES

_HEAD = 4096
_LOOKED_AT = 2000
"""Files of a folder that are looked at."""
_YOLO_LINE = re.compile(rb"\s*\d+( -?\d*\.?\d+(e-?\d+)?){4,}\s*")
_YOLO_KEYS = re.compile(rb"^(nc|names|train|val):", re.MULTILINE)
_COCO = "boxes as COCO has them"
BOXES = "No reader takes them: convert them to COCO's form for read.coco, or to a column for read.jsonl."
COCO = "read.coco reads such a file: one record per picture, with the column `boxes`."
_COCO_NAMES = re.compile(r"((instances|person_keypoints)_.*|_annotations\.coco)\.json")
_CAPTIONS = "captions as COCO has them"
_CAPTION_NAMES = re.compile(r"captions_.*\.json")
_TO_LINES = (
    'import json, sys; d = json.load(open(sys.argv[1], encoding="utf-8")); '
    'n = {i["id"]: i["file_name"] for i in d["images"]}; '
    '[print(json.dumps({"image": n[a["image_id"]], "caption": a["caption"]})) for a in d["annotations"]]'
)
"""Makes JSON Lines of such captions: a line for each, so that a picture with five has five."""


def check_file(path: Path) -> None:
    """Raises UserError for a file that is known to be no table: a picture, boxes, a build's own records."""
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        raise UserError(
            f"{path}: this is a picture, not a table", remedy="Folders of pictures: read.image_folder."
        )
    if path.name == RECORDS and (path.parent / MANIFEST).is_file():
        raise UserError(
            f"{path}: these are the records of a build",
            remedy=f"read.build reads them: `path: {path.parent}`.",
        )
    if suffix in (".xml", ".txt", ".yaml", ".yml") and (words := box_file(path)):
        raise UserError(f"{path}: these are {words}", remedy=BOXES)


def box_file(path: Path) -> str:
    """What kind of boxes a file holds; "" for any other file."""
    if _COCO_NAMES.fullmatch(path.name) and b'"' in _head(path):
        return _COCO
    if _CAPTION_NAMES.fullmatch(path.name) and b'"' in _head(path):
        return _CAPTIONS
    suffix = path.suffix.lower()
    if suffix not in (".xml", ".txt", ".yaml", ".yml"):
        return ""
    head = _head(path)
    if suffix == ".xml":
        return "boxes as Pascal VOC has them" if b"<annotation" in head else ""
    if suffix == ".txt":
        lines = [line for line in head.splitlines()[:20] if line.strip()]
        whole = lines[:-1] if len(head) == _HEAD else lines
        return "boxes as YOLO has them" if whole and all(map(_YOLO_LINE.fullmatch, whole)) else ""
    keys = {match[1] for match in _YOLO_KEYS.finditer(head)}
    return "boxes as YOLO has them" if b"names" in keys and keys & {b"train", b"val", b"nc"} else ""


def boxes_beside_pictures(files: Iterator[Path]) -> UserError | None:
    """The error for a folder that is a set of boxes: its folders' names are no labels."""
    for file in files:
        if words := box_file(file):
            return UserError(
                f"{file}: these are {words}, so the folders' names are no labels",
                remedy=f"{_remedy(words, file)} For the pictures alone say `labelled: false`.",
            )
    return None


def folder_remedy(folder: Path) -> str:
    """What reads a folder; "" for one that nothing says anything of."""
    if (folder / MANIFEST).is_file():
        return "This is a build: read.build reads its records."
    if (folder / DATASET_INFO).is_file() and not (folder / "state.json").is_file():
        return "This is a folder of LLaMA-Factory's: read.llamafactory reads it."
    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        return "This is a data set that `datasets` saved: read.hub reads it."
    paths = list(islice(_below(folder), _LOOKED_AT))
    if told := next(((words, path) for path in paths if (words := box_file(path))), None):
        return f"In it are {told[0]}. {_remedy(*told)}"
    names = [path.name for path in paths]
    if (folder / "README.md").is_file() and any(name.endswith(".parquet") for name in names):
        return "This is a data set as a hub holds it: read.hub reads it."
    pictures = sum(name.lower().endswith(PICTURE_SUFFIXES) for name in names)
    if pictures and 2 * pictures >= len(names):
        return "This is a folder of pictures: read.image_folder reads it."
    return ""


def captions_of(document: Any, path: Path) -> UserError | None:
    """The error for captions in COCO's form; None for any other document."""
    annotations = document.get("annotations") if isinstance(document, dict) else None
    first = annotations[0] if isinstance(annotations, list) and annotations else None
    if not isinstance(first, dict) or "caption" not in first or "bbox" in first:
        return None
    return UserError(f"{show_path(path)}: these are {_CAPTIONS}", remedy=_to_lines(path))


def _to_lines(path: Path) -> str:
    """How captions become a table, with the commands."""
    table = Path(show_path(path)).with_suffix(".jsonl")
    words = f"{shell_words(['python', '-c', _TO_LINES, show_path(path)])} > {shell_words([str(table)])}"
    return (
        f"Make a line of each, with `image` and `caption`:\n  {words}\n  Then: "
        f"{shell_words(['datakit', 'init', str(table)])}, or read.jsonl in a recipe."
    )


def _remedy(words: str, path: Path) -> str:
    """What reads a file of a kind."""
    if words == _CAPTIONS:
        return _to_lines(path)
    return COCO if words == _COCO else BOXES


def _below(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb", opener=regular) as file:
            return file.read(_HEAD)
    except OSError:
        return b""  # the reader itself says what is wrong with it
