"""Croissant 1.0: a data set's files, columns and checksums as JSON-LD (docs.mlcommons.org/croissant)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FILE = "croissant.json"
_WORDS = (
    "citeAs column extract field fileObject fileProperty fileSet format includes isLiveDataset jsonPath key "
    "md5 parentField path recordSet references regex repeated replace separator source subField transform"
)
"""Of Croissant's own vocabulary."""
_FORM = "http://mlcommons.org/croissant/1.0"
_JSON, _PARQUET = "application/json", "application/x-parquet"


@dataclass(frozen=True)
class File:
    """One data file."""

    name: str
    """Its path beside the document, or below its folder."""
    split: str
    sha256: str
    bytes: int
    columns: Mapping[str, bool]
    """Column -> whether it holds lists."""

    @property
    def is_parquet(self) -> bool:
        return self.name.endswith(".parquet")


def croissant(
    name: str, description: str, licence: str, files: Sequence[File], facts: Mapping[str, str]
) -> str:
    """The document. `facts` are further properties of the data set, such as `version`.

    Its `identifier` is the digest of all the rest: an edit by hand shows.
    """
    document = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": _FORM,
        "name": name,
        "description": description,
        "license": licence,
        **facts,
        "distribution": [_distribution(file) for file in files],
        "recordSet": [_records(split, files) for split in dict.fromkeys(file.split for file in files)],
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


def _distribution(file: File) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.name,
        "name": file.name,
        "contentUrl": file.name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _PARQUET if file.is_parquet else _JSON,
        "sha256": file.sha256,
    }


def _records(split: str, files: Sequence[File]) -> dict[str, Any]:
    """The record set of a split, whose fields are taken from its first file; the others have the same."""
    first = next(file for file in files if file.split == split)
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"Rows of {', '.join(file.name for file in files if file.split == split)}.",
        "field": [_field(split, first, column, listed) for column, listed in first.columns.items()],
    }


def _field(split: str, file: File, column: str, listed: bool) -> dict[str, Any]:
    extract = {"column": column} if file.is_parquet else {"jsonPath": f"$[*].{column}"}
    return {
        "@type": "cr:Field",
        "@id": f"{split}/{column}",
        "name": f"{split}/{column}",
        "dataType": "sc:Text",
        "repeated": listed,
        "source": {"fileObject": {"@id": file.name}, "extract": extract},
    }
