"""read.label_studio: pictures with the boxes that people drew in Label Studio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from datakit.core.boxes import BoxFault
from datakit.core.errors import UserError
from datakit.read._boxes import BoxColumn, BoxesOn
from datakit.read._column_names import PICTURE_SUFFIXES
from datakit.read._json_array import json_array
from datakit.read._row_reader import TableReader
from datakit.read._rows import Block, Plan, reject_at
from datakit.read._survey import Survey

_IMAGE, _SIZES = "image", ("drawn_width", "drawn_height")
_KINDS = ("rectangle", "rectanglelabels", "labels", "textarea", "choices")
_LISTS = ("rectanglelabels", "labels")
_PLACE = {"x", "y", "width", "height"}
_CHOSEN, _TYPED = ("choice", "choices"), "transcription"
"""What Label Studio's templates call a choice for the picture, and what was typed for a rectangle."""
_SPLIT = "make a task of each picture"


class LabelStudio(TableReader):
    """One record per task of a Label Studio export (JSON, or JSON-MIN), with the column `boxes`.

    Rectangles become boxes: percent of the sides become pixels of the upright picture, a turned rectangle the
    upright one around it. `label` is what the rectangle was labelled, `text` what was typed for it (the OCR
    template). A choice for the whole picture is the record's label. Of several annotations of a task the
    first that was not cancelled is read; tasks without any have no boxes. Other shapes (polygons, brushes,
    key points) are left out and counted. Of a task with several pictures the record has the one that the
    boxes are on; boxes on several reject it. JSON-MIN does not say what a typed text belongs to: such texts
    are counted.

    A picture is looked for below `image_root` by the path that the task names: that after `?d=` of local
    files, the name alone of uploads. The id is the task's.

    Reasons of rejection: box_empty, box_outside, box_other_size, box_picture, boxes_unreadable,
    image_not_a_path, image_outside, duplicate_id, not_an_object, and those of the picture itself.
    `source_line` is the task's place in the file, from 1.
    """

    boxes_on: BoxesOn | None = None
    """The pixels of pictures that EXIF turns or mirrors, where the size that Label Studio noted does not say
    it (a half turn, a mirror, a square): `upright`, as browsers show them since 2020, or `stored`, as the
    file has them. When not given: `upright`, and told (`boxes_unclear`)."""

    example: ClassVar[dict[str, Any] | None] = {
        "path": "../labels/project-1.json",
        "image_root": "../labels/images",
    }

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for path in files:
            for block in json_array(path, rows):
                yield _rows_of(block)

    def _plan(self, survey: Survey, source: str) -> Plan:
        if survey.rows and not survey.filled.get(_IMAGE):
            raise UserError(
                f"{source}: no task names a picture",
                remedy="Export as JSON or JSON-MIN; a picture stands in `data`, such as `image`.",
            )
        boxes = BoxColumn("boxes", "percent", _SIZES, self.boxes_on)
        label = "label" if "label" in survey.kinds else None
        return Plan(id=self.id, images=(_IMAGE,), label=label, boxes=boxes, extra={})

    def _warnings(self, files: tuple[Path, ...], plan: Plan) -> list[str]:
        counts: Counter[str] = Counter()
        for path in files:
            for block in self._blocks((path,), 1024):
                for row in block.rows:
                    counts.update(row["left_out"])
        return [f"{count:,} {what} left out" for what, count in counts.items()]


def _rows_of(block: Block) -> Block:
    """A block of tasks as one of rows; tasks whose boxes are on several pictures join its rejects."""
    rows, lines, rejects = list[Any](), list[Any](), list(block.rejects)
    for task, line in zip(block.rows, block.lines, strict=True):
        try:
            rows.append(_row(task))
            lines.append(line)
        except BoxFault as fault:
            rejects.append(reject_at(block.file, line, fault.reason, f"task {task.get('id')}: {fault}"))
    return Block(block.file, rows, lines, rejects)


def _row(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task as a row: picture, boxes, and what of it is left out."""
    data = task.get("data") if isinstance(task.get("data"), Mapping) else task
    assert isinstance(data, Mapping)  # a task of JSON-MIN is its own data
    left_out: Counter[str] = Counter()
    is_short = "annotations" not in task
    regions = _short(task, left_out) if is_short else _results(task, left_out)
    _check_upright(regions)
    width, height = _drawn_size(regions)
    label, boxes = _chosen(regions, left_out), dict[str, dict[str, Any]]()
    for number, region in enumerate(regions):
        value, kind = region.get("value") or {}, region.get("type")
        if kind not in _KINDS:
            left_out[f"shapes of the type {kind}"] += 1
        elif kind != "choices" or "x" in value:
            box = boxes.setdefault(str(region.get("id") or number), {})
            names = [name for key in _LISTS for name in value.get(key) or ()]
            box |= {key: value[key] for key in ("x", "y", "width", "height", "rotation") if key in value}
            box |= {"label": names} if names else {}
            box |= {"text": value["text"]} if value.get("text") else {}
    if lost := sum("x" not in box for box in boxes.values()):
        left_out["labels and texts that belong to no rectangle"] += lost
    return {
        "id": task.get("id"),
        _IMAGE: _picture(data, regions, left_out),
        "label": label,
        "boxes": [box for box in boxes.values() if "x" in box],
        _SIZES[0]: width,
        _SIZES[1]: height,
        "left_out": dict(left_out),
    }


def _results(task: Mapping[str, Any], left_out: Counter[str]) -> list[Mapping[str, Any]]:
    """The regions of the annotation that counts."""
    annotations = [
        entry
        for entry in task["annotations"] or ()
        if isinstance(entry, Mapping) and not entry.get("was_cancelled")
    ]
    if len(annotations) > 1:
        left_out["further annotations of a task"] += len(annotations) - 1
    results = [
        [region for region in entry.get("result") or () if isinstance(region, Mapping)]
        for entry in annotations
    ]
    if others := sum(_choices(other) != _choices(results[0]) for other in results[1:]):
        left_out["annotations of a task that disagree with its first about the choice"] += others
    return results[0] if results else []


def _choices(regions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What an annotation chose for the whole picture."""
    values = [region.get("value") or {} for region in regions if region.get("type") == "choices"]
    return [choice for value in values if "x" not in value for choice in value.get("choices") or ()]


def _chosen(regions: Sequence[Mapping[str, Any]], left_out: Counter[str]) -> str | None:
    """The choice that becomes the label: a record has one, the first of the first tag that has any."""
    label = tag = None
    for region in regions:
        choices, name = _choices([region]), region.get("from_name")
        if label is None and choices:
            (label, *choices), tag = choices, name
        if choices:
            what = "further choices" if name == tag else f"choices of the tag `{name}`"
            left_out[f"{what} of a picture, which has one label,"] += len(choices)
    return label


def _check_upright(regions: Sequence[Mapping[str, Any]]) -> None:
    """Raises BoxFault for boxes that were drawn while the picture was turned in the editor."""
    for region in regions:
        value = region.get("value") or {}
        turn = region.get("image_rotation") or value.get("image_rotation")
        if turn and "x" in value:
            words = (
                f"its boxes were drawn on a picture turned by {turn} degrees in the editor (image_rotation)"
            )
            raise BoxFault("boxes_unreadable", f"{words}: turn the picture itself, and draw them again")


def _drawn_size(regions: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """The size that the regions were drawn at; twice None where none says it. Raises BoxFault for several."""
    sizes = dict.fromkeys((region.get("original_width"), region.get("original_height")) for region in regions)
    known = [size for size in sizes if size != (None, None)]
    if len(known) > 1:
        shown = ", ".join(f"{width} x {height}" for width, height in known)
        raise BoxFault("box_other_size", f"its regions were drawn on pictures of several sizes: {shown}")
    return known[0] if known else (None, None)


def _short(task: Mapping[str, Any], left_out: Counter[str]) -> list[Mapping[str, Any]]:
    """The regions of a task of JSON-MIN, where values stand bare under the names of their tags.

    Equal places are one region: a rectangle, and what it was labelled. Typed texts are left out: they do not
    say to which rectangle they belong.
    """
    regions = _short_choices(task)
    for name, values in task.items():
        for value in values if isinstance(values, list) else ():
            if not isinstance(value, Mapping) or ("original_width" not in value and "x" not in value):
                continue
            if not value.keys() >= _PLACE:
                kind = next((key for key in value if key.endswith("labels")), name)
                left_out[f"shapes of the type {kind}"] += 1
                continue
            place = str([value[key] for key in (*sorted(_PLACE), "rotation") if key in value])
            sizes = {key: value.get(key) for key in ("original_width", "original_height")}
            on = {"to_name": value.get("to_name"), "item_index": value.get("item_index")}
            regions.append({"id": place, "type": "rectanglelabels", "value": value, **sizes, **on})
    typed = task.get(_TYPED)
    if typed and any("x" in region["value"] for region in regions):
        left_out[f"texts of `{_TYPED}`, which JSON-MIN gives to no rectangle (export as JSON),"] += (
            len(typed) if isinstance(typed, list) else 1
        )
    return regions


def _short_choices(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What was chosen for the whole picture in a task of JSON-MIN.

    Several choices of a tag say that they are; a single one is a bare text, told from data by a usual name.
    """
    regions = list[Mapping[str, Any]]()
    for name in dict.fromkeys((*_CHOSEN, *task)):
        chosen = task.get(name)
        if isinstance(chosen, Mapping):
            chosen = chosen.get("choices")
        elif name not in _CHOSEN:
            continue
        names = [text for text in (chosen if isinstance(chosen, list) else [chosen]) if text]
        if names and all(isinstance(text, str) for text in names):
            regions.append({"type": "choices", "from_name": name, "value": {"choices": names}})
    return regions


def _picture(
    data: Mapping[str, Any], regions: Sequence[Mapping[str, Any]], left_out: Counter[str]
) -> str | None:
    """The path of a task's picture: the one that its boxes are on. Raises BoxFault for boxes on several."""
    paths: dict[Any, str] = {
        (name, at): path
        for name, value in data.items()
        for at, entry in enumerate(value if isinstance(value, list) else [value])
        if (path := _path(entry)) is not None
    }
    boxed = [region for region in regions if "x" in (region.get("value") or {})]
    places = {(region.get("to_name"), region.get("item_index") or 0) for region in boxed}
    if len(places) > 1:
        raise BoxFault("box_picture", f"its boxes are on {len(places)} pictures, a record has one: {_SPLIT}")
    place = next(iter(places), (None, 0))
    if boxed and len(paths) > 1 and place not in paths:
        raise BoxFault(
            "box_picture", f"it has {len(paths)} pictures, and `{place[0]}` names none of them: {_SPLIT}"
        )
    if len(paths) > 1:
        left_out["further pictures of a task"] += len(paths) - 1
    return paths.get(place) or next(iter(paths.values()), None)


def _path(value: Any) -> str | None:
    """A picture's path as it is below the folder of the pictures; None for what names no picture."""
    if not isinstance(value, str):
        return None
    parts = urlsplit(value)
    path = unquote(parse_qs(parts.query).get("d", [parts.path])[0])
    if not path.lower().endswith(PICTURE_SUFFIXES):
        return None
    if parts.scheme in ("http", "https") and "/data/" not in parts.path:
        return value  # told that pictures are to be downloaded
    return path.rsplit("/", 1)[-1] if "/data/upload/" in parts.path else path.lstrip("/")
