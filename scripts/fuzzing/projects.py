"""An input's tree as files in an empty folder."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from PIL import Image

from fuzzing.dice import Tree

_TURN = 0x0112


def write_project(tree: Tree, folder: Path) -> Path:
    """The recipe's path, in a project with all that the tree names."""
    for name in ("recipes", "templates"):
        (folder / name).mkdir(exist_ok=True)
    if tree.get("labels") is not None:
        (folder / "labels.yaml").write_bytes(label_bytes(tree["labels"]))
    for name, text in tree.get("templates", {}).items():
        (folder / "templates" / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    write_files(tree, folder)
    path = folder / "recipes" / "drawn.yaml"
    path.write_bytes(yaml_bytes(tree["recipe"]))
    return path


def write_files(tree: Tree, folder: Path) -> None:
    """Pictures and source files."""
    for picture in tree.get("pictures", ()):
        _write_picture(folder / picture["name"], picture)
    for source in tree.get("sources", ()):
        if source["format"] == "folder":
            for picture in source["pictures"]:
                _write_picture(folder / source["name"] / picture["name"], picture)
        else:
            (folder / source["name"]).write_bytes(_damaged(_table_bytes(source), source.get("damage")))


def yaml_bytes(document: Any, flow: bool | None = False) -> bytes:
    """The document as YAML that PyYAML writes."""
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, default_flow_style=flow)
    return text.encode("utf-8", "surrogatepass")


def label_bytes(labels: Tree) -> bytes:
    """A label file."""
    if "text" in labels:
        return bytes(labels["text"].encode("utf-8", "surrogatepass"))
    if labels["style"] == "json":
        data = json.dumps(labels["document"], ensure_ascii=False).encode("utf-8", "surrogatepass")
    else:
        data = yaml_bytes(labels["document"], labels["style"] == "flow")
    data = data.replace(b"\n", b"\r\n") if labels["crlf"] else data
    return b"\xef\xbb\xbf" + data if labels["bom"] else data


def _write_picture(path: Path, picture: Tree) -> None:
    wide, high = picture["size"]
    image = Image.new("RGB", (wide, high), (40 * picture["colour"], 90, 200 - 30 * picture["colour"]))
    for at in range(min(wide, high)):
        image.putpixel((at, (at * (picture["colour"] + 2)) % high), (255, at % 256, 0))
    form = {"jpg": "JPEG"}.get(path.suffix[1:], path.suffix[1:].upper())
    stream = io.BytesIO()
    exif = Image.Exif()
    if picture["turn"]:
        exif[_TURN] = picture["turn"]
    image.convert(picture["mode"]).save(stream, form, **({"exif": exif} if picture["turn"] else {}))
    data = stream.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data[: int(len(data) * picture["keep"])])


def _table_bytes(source: Tree) -> bytes:
    rows, kind = source["rows"], source["format"]
    if kind == "parquet":
        return _parquet(rows)
    if kind in ("csv", "tsv"):
        text = _separated(rows, "\t" if kind == "tsv" else ",")
    elif kind == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        text = json.dumps(rows, ensure_ascii=False, indent=source.get("indent"))
    encoding = source.get("encoding", "utf-8")
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def _parquet(rows: list[Tree]) -> bytes:
    rows = json.loads(json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace"))  # it holds UTF-8 alone
    rows = [row if isinstance(row, dict) else {"value": row} for row in rows]
    stream = io.BytesIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["label"]
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pl.Series(name, values, strict=True)
            if columns[name].dtype == pl.Object:
                raise TypeError
        except Exception:  # a column of several types, which no Parquet file holds: as texts
            columns[name] = pl.Series(name, [None if value is None else _cell(value) for value in values])
    pl.DataFrame(columns).write_parquet(stream)
    return stream.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _separated(rows: list[Tree], sign: str) -> str:
    rows = [row if isinstance(row, dict) else {"value": row} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    names = names if len(names) > 1 else [*names, "filler"]
    lines = [names, *([row.get(name, "-") for name in names] for row in rows)]
    return "".join(sign.join(_quoted(value) for value in line) + "\n" for line in lines)


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else _cell(value)
    if isinstance(value, float) and not math.isfinite(value):
        text = str(value)
    return '"' + text.replace('"', '""') + '"' if text else text


def _damaged(data: bytes, damage: str | None) -> bytes:
    if damage == "cut":
        return data[: len(data) * 2 // 3]
    if damage == "junk":
        middle = len(data) // 2
        return data[:middle] + b"\xff\x00{[" + data[middle:]
    if damage == "blank":
        return b"\n\n" + data.replace(b"\n", b"\n\n", 3)
    return data.replace(b"\n", b"\r\n") if damage == "crlf" else data
