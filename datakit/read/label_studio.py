"""read.label_studio: pictures with the boxes that people drew in Label Studio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from datakit.core.errors import UserError
from datakit.read._boxes import BoxColumn
from datakit.read._column_names import PICTURE_SUFFIXES
from datakit.read._json_array import json_array
from datakit.read._row_reader import TableReader
from datakit.read._rows import Block, Plan
from datakit.read._survey import Survey

_IMAGE, _SIZES = "image", ("drawn_width", "drawn_height")
_KINDS = ("rectangle", "rectanglelabels", "labels", "textarea", "choices")
_LISTS = ("rectanglelabels", "labels")


class LabelStudio(TableReader):
    """One record per task of a Label Studio export (JSON, or JSON-MIN), with the column `boxes`.

    Rectangles become boxes: percent of the sides become pixels of the upright picture, a turned rectangle the
    upright one around it. `label` is what the rectangle was labelled, `text` what was typed for it (the OCR
    template). A choice for the whole picture is the record's label. Of several annotations of a task the
    first that was not cancelled is read; tasks without any have no boxes. Other shapes (polygons, brushes,
    key points) are left out and counted.

    A picture is looked for below `image_root` by the path that the task names: that after `?d=` of local
    files, the name alone of uploads. The id is the task's.

    Reasons of rejection: box_empty, box_outside, box_other_size, boxes_unreadable, image_not_a_path,
    image_outside, duplicate_id, not_an_object, and those of the picture itself. `source_line` is the task's
    place in the file, from 1.
    """

    example: ClassVar[dict[str, Any] | None] = {
        "path": "../labels/project-1.json",
        "image_root": "../labels/images",
    }

    def _blocks(self, files: tuple[Path, ...], rows: int) -> Iterator[Block]:
        for path in files:
            for block in json_array(path, rows):
                yield Block(block.file, [_row(task) for task in block.rows], block.lines, block.rejects)

    def _plan(self, survey: Survey, source: str) -> Plan:
        if survey.rows and not survey.filled.get(_IMAGE):
            raise UserError(
                f"{source}: no task names a picture",
                remedy="Export as JSON or JSON-MIN; a picture stands in `data`, such as `image`.",
            )
        boxes = BoxColumn("boxes", "percent", _SIZES)
        label = "label" if "label" in survey.kinds else None
        return Plan(id=self.id, images=(_IMAGE,), label=label, boxes=boxes, extra={})

    def _warnings(self, files: tuple[Path, ...], plan: Plan) -> list[str]:
        counts: Counter[str] = Counter()
        for path in files:
            for block in self._blocks((path,), 1024):
                for row in block.rows:
                    counts.update(row["left_out"])
        return [f"{count:,} {what} left out" for what, count in counts.items()]


def _row(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task as a row: picture, boxes, and what of it is left out."""
    data = task.get("data") if isinstance(task.get("data"), Mapping) else task
    assert isinstance(data, Mapping)  # a task of JSON-MIN is its own data
    left_out: Counter[str] = Counter()
    regions = _results(task, left_out) if "annotations" in task else _short(task)
    sizes = {(region.get("original_width"), region.get("original_height")) for region in regions}
    width, height = next(iter(sizes)) if len(sizes) == 1 else (None, None)
    label, boxes = None, dict[str, dict[str, Any]]()
    for number, region in enumerate(regions):
        value, kind = region.get("value") or {}, region.get("type")
        if kind not in _KINDS:
            left_out[f"shapes of the type {kind}"] += 1
        elif kind == "choices" and "x" not in value:
            label = label or next(iter(value.get("choices") or ()), None)
        else:
            box = boxes.setdefault(str(region.get("id") or number), {})
            names = [name for key in _LISTS for name in value.get(key) or ()]
            box |= {key: value[key] for key in ("x", "y", "width", "height", "rotation") if key in value}
            box |= {"label": names} if names else {}
            box |= {"text": value["text"]} if value.get("text") else {}
    return {
        "id": task.get("id"),
        _IMAGE: _picture(data),
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
    results = annotations[0].get("result") if annotations else None
    return [region for region in results or () if isinstance(region, Mapping)]


def _short(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The regions of a task of JSON-MIN, where values stand bare under the names of their tags."""
    regions = list[Mapping[str, Any]]()
    for values in task.values():
        for value in values if isinstance(values, list) else ():
            if isinstance(value, Mapping) and "x" in value and "width" in value:
                sizes = {key: value.get(key) for key in ("original_width", "original_height")}
                regions.append({"type": "rectanglelabels", "value": value, **sizes})
    return regions


def _picture(data: Mapping[str, Any]) -> str | None:
    """The path of a task's picture, as it is below the folder of the pictures."""
    for value in data.values():
        if not isinstance(value, str):
            continue
        parts = urlsplit(value)
        path = unquote(parse_qs(parts.query).get("d", [parts.path])[0])
        if not path.lower().endswith(PICTURE_SUFFIXES):
            continue
        if parts.scheme in ("http", "https") and "/data/" not in parts.path:
            return value  # told that pictures are to be downloaded
        return path.rsplit("/", 1)[-1] if "/data/upload/" in parts.path else path.lstrip("/")
    return None
