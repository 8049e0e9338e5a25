"""read.coco: pictures with the boxes of a COCO file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import orjson

from datakit.core.boxes import is_number
from datakit.core.counted import counted
from datakit.core.errors import UserError
from datakit.core.files import Stamp
from datakit.core.regular_files import read_regular
from datakit.core.text_encoding import decoded
from datakit.read._boxes import BoxColumn, BoxesOn
from datakit.read._files import stamp_of, unreadable
from datakit.read._known_files import captions_of
from datakit.read._row_reader import TableReader
from datakit.read._rows import Block, Plan, reject_at
from datakit.read._survey import Survey

_NAME, _SIZES = "file_name", ("width", "height")
_SHOWN = 3
"""Annotations of one fault that are named."""


class Coco(TableReader):
    """One record per picture of a COCO file, with the column `boxes`; pictures without any have none.

    A box has its category as `label`. `bbox` is left, top, width and height; a file whose `width` and
    `height` are those of the stored pixels has its boxes turned with the picture. A rectangle that is turned
    about its centre (`attributes.rotation` of CVAT) becomes the upright one around it. Boxes of crowds
    (`iscrowd`) are left out and counted. Masks and key points are not read. The id is that of the picture in
    the file.

    Reasons of rejection: box_empty, box_outside, box_other_size, boxes_unreadable, duplicate_id,
    image_not_a_path, image_outside, not_an_object, and those of the picture itself. `source_line` is the
    place in `images`, from 1. An annotation of a category that the file does not list is an error; those of
    pictures that it does not list are counted.
    """

    boxes_on: BoxesOn | None = None
    """The pixels of pictures that EXIF turns or mirrors, where `width` and `height` do not say it (a half
    turn, a mirror, a square, no size): `upright` or `stored`, as the file has them. When not given:
    `upright`, and told (`boxes_unclear`)."""

    example: ClassVar[dict[str, Any] | None] = {
        "path": "../coco/annotations/instances_val2017.json",
        "image_root": "../coco/val2017",
    }

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for path in files:
            yield from _read(path).blocks(rows)

    def _plan(self, survey: Survey, source: str) -> Plan:
        extra = self._extra(survey, source, {"id", _NAME, "boxes"})
        boxes = BoxColumn("boxes", "xywh", _SIZES, self.boxes_on, "centre")
        return Plan(id=self.id, images=(_NAME,), boxes=boxes, extra=extra)

    def _warnings(self, files: tuple[Path, ...], plan: Plan) -> list[str]:
        return [words for path in files for words in _read(path).warnings()]


class _CocoFile(NamedTuple):
    """One file."""

    path: Path
    images: list[Any]
    boxes: Mapping[str | None, list[dict[str, Any]]]
    """Id of a picture, as a text -> its boxes."""
    crowds: int
    strangers: int
    """Annotations of pictures that are not listed."""

    def blocks(self, rows: int) -> Iterator[Block]:
        """The pictures, each with its boxes, so many at a time."""
        for start in range(0, len(self.images), rows):
            part = list(enumerate(self.images[start : start + rows], start + 1))
            yield Block(
                str(self.path),
                [{**image, "boxes": self.boxes.get(_key(image))} for _, image in part if _is_row(image)],
                [number for number, image in part if _is_row(image)],
                [
                    reject_at(str(self.path), number, "not_an_object", f"picture {number} is no object")
                    for number, image in part
                    if not _is_row(image)
                ],
            )

    def warnings(self) -> list[str]:
        """What of the file is in no record."""
        counts = {
            "boxes of crowds (`iscrowd`) are left out": self.crowds,
            "annotations are of pictures that the file does not list": self.strangers,
        }
        return [f"{self.path.name}: {count:,} {words}" for words, count in counts.items() if count]


def _is_row(image: Any) -> bool:
    return isinstance(image, dict)


def _read(path: Path) -> _CocoFile:
    """Raises UserError for what is no COCO file with boxes."""
    return _parsed(path, stamp_of(path))


@lru_cache(maxsize=1)
def _parsed(path: Path, _stamp: Stamp) -> _CocoFile:
    try:
        document = orjson.loads(decoded(read_regular(path), path))
    except OSError as error:
        raise unreadable(path, error) from None
    except orjson.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise UserError(f"not JSON: {error.msg}", where=where, remedy="Mend the file there.") from None
    if fault := captions_of(document, path):
        raise fault
    names = ("images", "annotations", "categories")
    lacking = [name for name in names if not isinstance(document, dict) or name not in document]
    if lacking or not all(isinstance(document[name], list) for name in names):
        raise UserError(
            f"{path} is no COCO file with boxes: it has no list `{(lacking or names)[0]}`",
            remedy="Such a file has `images`, `annotations` with `bbox`, and `categories`.",
        )
    for name in ("images", "categories"):
        _without_twins(document[name], name, path)
    categories = {_key(entry): entry.get("name") for entry in document["categories"] if _is_row(entry)}
    listed = {_key(image) for image in document["images"] if _is_row(image)} - {None}
    _check_annotations(document["annotations"], categories, listed, path)
    boxes, crowds, strangers = defaultdict(list), 0, 0
    for entry in document["annotations"]:
        if (image := _key(entry, "image_id")) not in listed:
            strangers += 1
        elif _is_crowd(entry):
            crowds += 1
        else:
            boxes[image].append({**_placed(entry), "label": categories[_key(entry, "category_id")]})
    _not_in_shares(boxes, path)
    return _CocoFile(path, document["images"], boxes, crowds, strangers)


def _key(entry: Mapping[str, Any], name: str = "id") -> str | None:
    """An id as a text, so that 7, 7.0 and "7" are one; None for none."""
    value = entry.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value is None else str(value)


def _is_crowd(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("iscrowd") or 0).strip().lower() not in ("0", "0.0", "false", "")


def _placed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Where a box stands, and how it is turned: about its centre in what CVAT writes (`attributes`)."""
    names = ("bbox", "attributes", "rotation", "angle")
    return {name: entry[name] for name in names if name in entry}


def _not_in_shares(boxes: Mapping[str | None, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Raises UserError for a file whose boxes are all in shares of the sides: as pixels each would be one."""
    sides = [side for entries in boxes.values() for entry in entries for side in _sides(entry)]
    if sides and all(0 <= side <= 1 for side in sides) and any(0 < side < 1 for side in sides):
        raise UserError(
            f"{path}: the numbers of all boxes are 0 to 1, so they are shares of the sides",
            remedy="COCO has pixels: multiply them by `width` and `height`.",
        )


def _sides(entry: Mapping[str, Any]) -> list[float]:
    sides = entry["bbox"]
    return [side for side in sides if is_number(side)] if isinstance(sides, list) else []


def _without_twins(entries: list[Any], name: str, path: Path) -> None:
    """Raises UserError where an id stands twice: boxes would go to another picture, or have another label."""
    counts = Counter(_key(entry) for entry in entries if _is_row(entry))
    twins = [id_ for id_, count in counts.items() if count > 1]
    if twins:
        more = f", as {len(twins) - 1:,} more do" if len(twins) > 1 else ""
        raise UserError(
            f"{path}: id {twins[0]} stands {counts[twins[0]]} times in `{name}`{more}",
            remedy="Joined files need new ids: read each in a step of its own, or number them anew.",
        )


def _check_annotations(
    entries: Sequence[Any], categories: Mapping[Any, Any], listed: Collection[str | None], path: Path
) -> None:
    """Raises UserError for annotations without a box, and for those of categories that are not listed."""
    bare, unknown = list[str](), dict[str | None, list[str]]()
    for number, entry in enumerate(entries, 1):
        name = _named(entry, number)
        if not _is_row(entry) or "bbox" not in entry:
            bare.append(name)
        elif (
            _key(entry, "image_id") in listed
            and not _is_crowd(entry)
            and (category := _key(entry, "category_id")) not in categories
        ):
            unknown.setdefault(category, []).append(name)
    if bare:
        lack = "has" if len(bare) == 1 else "have"
        raise UserError(
            f"{path}: {_few(bare)} {lack} no `bbox`",
            remedy="Of key points and masks take the file with boxes.",
        )
    if unknown:
        told = "; ".join(
            f"{_few(names)} {'is' if len(names) == 1 else 'are'} of category {category}"
            for category, names in islice(unknown.items(), _SHOWN)
        )
        more = f"; {len(unknown) - _SHOWN:,} more categories" if len(unknown) > _SHOWN else ""
        raise UserError(
            f"{path}: {told}{more}, which `categories` does not list",
            remedy="Add it there, or take the annotations out.",
        )


def _named(entry: Any, number: int) -> str:
    """An annotation by its id; by its place, from 1, where it has none."""
    id_ = _key(entry) if _is_row(entry) else None
    return f"at place {number}" if id_ is None else id_


def _few(names: Sequence[str]) -> str:
    """Annotations in words, all of them counted and the first few named."""
    if len(names) == 1:
        return f"annotation {names[0]}"
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{counted(len(names), 'annotation')} ({', '.join(names[:_SHOWN])}{more})"
