"""What `datakit predict` asks about: a split of the build, a folder of pictures, or a JSON Lines file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.boxes import Size
from datakit.core.errors import UserError
from datakit.core.files import inside
from datakit.core.image import ImageProblem, read_header
from datakit.core.regular_files import regular
from datakit.serving.items import Item, rendered_items
from datakit.serving.located import states_places
from datakit.serving.requirements import NEED

SPLITS = ("train", "val")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
_KEYS = frozenset({"id", "image", "images", "label"})


def items_of(build: BuildFolder, source: str) -> list[Item]:
    """The records of `train`, `val`, a folder of pictures, or a .jsonl file, each id once.

    Those of a split carry the prompts that the build holds: they are asked to the letter. Those of a file
    have `id`, `image` or `images` (relative to the file), and maybe `label` and further columns. Raises
    UserError with file and line.
    """
    if source in SPLITS:
        items = split_items(build, source)
        if not items:
            raise UserError(f"{build.path} has no records in `{source}`", remedy="curate.split makes `val`.")
        return items
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    raise UserError(
        f"`{source}` is neither a split nor a folder or file here",
        remedy="Give train, val, a folder of pictures, or a .jsonl file.",
    )


def split_items(build: BuildFolder, split: str) -> list[Item]:
    """The records of one split, in the order of the data files, each once, with their truth."""
    build.emitted_for(NEED)
    items = rendered_items(build, split, _truths(build))
    placed = build.is_finished and states_places(build.answer_format)
    return _with_originals(items, build) if placed else items


def _with_originals(items: list[Item], build: BuildFolder) -> list[Item]:
    """The records with what boxes of answers are measured by: sizes of the originals, and what OCR read."""
    form = build.answer_format
    contracts = form.contracts if isinstance(form, ContractFormat) else ()
    cited = {field.lines_column for own in contracts for field in own.fields if field.kind == "evidence"}
    names = sorted(cited & set(build.columns))
    rows = build.main.select("id", "images", *names).collect().iter_rows(named=True)
    records = {row["id"]: row for row in rows}
    return [
        replace(
            item,
            sizes=_sizes(records[item.id]["images"] or ()),
            columns={name: records[item.id][name] for name in names},
        )
        if item.id in records
        else item
        for item in items
    ]


def _sizes(paths: Sequence[str]) -> tuple[Size, ...] | None:
    """Of upright pictures; None where one of them is not there any more, and its copy must do."""
    try:
        return tuple((header.width, header.height) for header in map(read_header, paths))
    except ImageProblem:
        return None


def _truths(build: BuildFolder) -> dict[str, str]:
    """Id -> label, as the build's records have them; the answers in the data files state them too."""
    if not build.is_finished:
        return {}
    return dict(build.records.select("id", "label").drop_nulls().collect().rows())


def _folder(folder: Path) -> list[Item]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise UserError(
            f"there is no picture in {folder}", remedy=f"Looked for {', '.join(sorted(_SUFFIXES))}."
        )
    return [Item((_told(path.absolute()),), _told(path.relative_to(folder))) for path in paths]


def _told(path: Path) -> str:
    """The path, with escapes for bytes that are no UTF-8: the file is told as missing, by a visible name."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def _file(path: Path) -> list[Item]:
    items: dict[str, Item] = {}
    with open(path, "rb", opener=regular) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            item = _item(line, where, path.absolute().parent)
            assert item.id is not None  # `_item` gives one
            if item.id in items:
                raise UserError(
                    f"id `{item.id}` stands twice", where=where, remedy="Give each record its own."
                )
            items[item.id] = item
    if not items:
        raise UserError(f"{path} holds no record", remedy='One a line: {"id": "a", "image": "a.png"}')
    return list(items.values())


def _item(line: bytes, where: str, root: Path) -> Item:
    try:
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UserError(f"this line is not JSON: {error}", where=where) from None
    if not isinstance(row, dict):
        raise UserError("a record is a JSON object", where=where)
    images = row.get("images", row.get("image"))
    images = [images] if isinstance(images, str) else images or []
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise UserError("`image` must be a path, `images` a list of paths", where=where)
    id_ = row.get("id", images[0] if images else None)
    if id_ is None or not str(id_):
        raise UserError("the record has neither `id` nor a picture", where=where)
    label = row.get("label")
    try:
        paths = tuple(image if "://" in image else str(inside(root, image)) for image in images)
    except UserError as error:
        raise UserError(error.message, where=where, remedy=error.remedy) from None
    columns = {key: value for key, value in row.items() if key not in _KEYS}
    return Item(paths, str(id_), str(label) if label is not None else None, columns)
