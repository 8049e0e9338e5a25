"""Croissant 1.0: a data set's files, columns and checksums as JSON-LD (docs.mlcommons.org/croissant)."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import polars as pl

FILE = "croissant.json"
_WORDS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes "
    "isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)
"""Of Croissant's own vocabulary."""
_FORM = "http://mlcommons.org/croissant/1.0"
_JSON, _PARQUET = "application/json", "application/x-parquet"
_PICTURE = {"bytes", "path"}
"""The fields of a picture inside a Parquet file, as `datasets` writes it."""


_WORD_OF: dict[Any, str] = {
    pl.Boolean: "sc:Boolean",
    pl.Date: "sc:Date",
    pl.Datetime: "sc:DateTime",
    pl.Time: "sc:Time",
}


@dataclass(frozen=True)
class File:
    """One data file."""

    name: str
    """Its path beside the document, or below its folder."""
    split: str
    sha256: str
    bytes: int
    columns: Mapping[str, Any]
    """Column -> its polars type."""

    @property
    def is_parquet(self) -> bool:
        return self.name.endswith(".parquet")


def croissant(
    name: str, description: str, licence: str, files: Sequence[File], facts: Mapping[str, str]
) -> str:
    """The document. `facts` are further properties of the data set, such as `version`.

    Its `identifier` is the digest of all the rest: an edit by hand shows.
    """
    by_split: dict[str, list[File]] = {}
    for file in files:
        by_split.setdefault(file.split, []).append(file)
    document = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": _FORM,
        "name": name,
        "description": description,
        "license": licence,
        **facts,
        "distribution": [item for split, some in by_split.items() for item in _distribution(split, some)],
        "recordSet": [_records(split, some) for split, some in by_split.items()],
    }
    document["identifier"] = _identifier(document)
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def is_own(text: str) -> bool:
    """Whether a document is as `croissant` made it."""
    try:
        document = json.loads(text)
        found = document.pop("identifier")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return False
    return bool(found == _identifier(document))


def _identifier(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, ensure_ascii=False, sort_keys=True)
    return f"datakit:{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _context() -> dict[str, Any]:
    return {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": "https://schema.org/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "conformsTo": "dct:conformsTo",
        **{word: f"cr:{word}" for word in _WORDS.split()},
    }


def _distribution(split: str, files: Sequence[File]) -> list[dict[str, Any]]:
    """The files of a split; of more than one also the set of them all, for a reader reads a single node."""
    form = _PARQUET if files[0].is_parquet else _JSON
    objects = [
        {
            "@type": "cr:FileObject",
            "@id": _id(file.name),
            "name": file.name,
            "contentUrl": file.name,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": form,
            "sha256": file.sha256,
        }
        for file in files
    ]
    if len(files) == 1:
        return objects
    names = [glob.escape(file.name) for file in files]
    together = {"@type": "cr:FileSet", "@id": _together(split), "name": _together(split)}
    return [*objects, together | {"encodingFormat": form, "includes": names}]


def _together(split: str) -> str:
    return f"{split}-files"


def _records(split: str, files: Sequence[File]) -> dict[str, Any]:
    """The record set of a split; all its files have the columns of the first."""
    first, one = files[0], len(files) == 1
    origin = {"fileObject": {"@id": _id(first.name)}} if one else {"fileSet": {"@id": _together(split)}}
    fields = [
        _field(f"{split}/{column}", kind, (), {**origin, "extract": _extract(first, column)})
        for column, kind in first.columns.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"Rows of {', '.join(file.name for file in files)}.",
        "field": [field for field in fields if field],
    }


def _extract(file: File, column: str) -> dict[str, str]:
    return {"column": column} if file.is_parquet else {"jsonPath": f"$[*].{_key(column)}"}


def _field(name: str, kind: Any, inside: Sequence[str], source: Mapping[str, Any]) -> dict[str, Any] | None:
    """A column, or what lies at the path `inside` of its values; None where Croissant has no words for it.

    A record of fields becomes sub-fields, each with the JSON path that leads to it: a reader that is told
    "text" would stop at the first of them. There is no path into lists of records in a list of records.
    """
    repeated = isinstance(kind, pl.List | pl.Array)
    while isinstance(kind, pl.List | pl.Array):
        kind = kind.inner
    said: dict[str, Any] = {"@type": "cr:Field", "@id": _id(name), "name": name}
    if repeated and not inside:
        said["repeated"] = True
    if isinstance(kind, pl.Struct) and {field.name for field in kind.fields} != _PICTURE:
        if repeated and inside:
            return None
        found = [
            _field(f"{name}/{part.name}", part.dtype, (*inside, part.name), source) for part in kind.fields
        ]
        parts = [part for part in found if part]
        origin = {} if inside else {"source": dict(source)}  # by this a reader of JSON finds the parts
        return said | origin | {"subField": parts} if parts else None
    if kind == pl.Duration:
        return None
    if isinstance(kind, pl.Struct):
        inside = (*inside, "bytes")
    path = {"transform": {"jsonPath": ".".join(_key(key) for key in inside)}} if inside else {}
    return said | {"dataType": _word(kind), "source": {**source, **path}}


def _word(kind: Any) -> str:
    """The word of schema.org for a type; all that is no number, date or picture reads as text."""
    if isinstance(kind, pl.Struct):
        return "sc:ImageObject"
    if kind.is_integer():
        return "sc:Integer"
    if kind.is_float() or kind.is_decimal():
        return "sc:Float"
    return _WORD_OF.get(kind.base_type(), "sc:Text")


def _key(name: str) -> str:
    """A step of a JSON path; quoted unless it is a plain word."""
    if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        return name
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _id(name: str) -> str:
    """The name as a relative IRI, in which RDF forbids spaces, quotes, brackets and a bare percent sign."""
    return quote(name, safe="/:@!$&()*+,;=~-._" + "".join(sign for sign in set(name) if ord(sign) > 159))
