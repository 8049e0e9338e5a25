"""The manifest: what a build was made of and what it holds. Written last; a build without one is no build."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from pydantic import BaseModel, Field

from datakit.artifacts.place import MANIFEST
from datakit.core.record import digest
from datakit.core.tools import Tools
from datakit.core.transform import Annotator
from datakit.recipe.recipe import Recipe
from datakit.run.keys import fingerprint

FILE = MANIFEST
INPUTS = "inputs.parquet"
"""The paths of every picture that a record of the sources names."""


class FileStamp(BaseModel):
    """What a file looked like."""

    bytes: int
    mtime_ns: int
    sha256: str = ""


class Manifest(BaseModel):
    """A build's inputs and outputs."""

    made_by: str = ""
    """The signature that lets a later build take this one's place; datakit 0.1.0 wrote none."""
    datakit: str
    name: str
    settings: str
    """Digest of everything but the data: recipe, templates, labels, versions, models."""
    steps: list[dict[str, Any]] = Field(default_factory=list)
    """Per annotator: number, name, fingerprint and the settings behind it, for `datakit plan`."""
    sources: dict[str, FileStamp] = Field(default_factory=dict)
    images: str = ""
    """Digest over path, size and time of change of every picture."""
    artifacts: dict[str, FileStamp] = Field(default_factory=dict)
    """Path in the build -> stamp; sha256 for data and configuration, pictures are named by theirs."""
    content: str = ""
    """sha256 over the data files: two builds with one content hash train the same."""
    records: dict[str, int] = Field(default_factory=dict)
    templates: dict[str, str] = Field(default_factory=dict)
    """Template -> digest over it and all that it includes."""
    labels: str = ""
    """sha256 of the label file."""

    def write(self, folder: Path) -> None:
        data = orjson.dumps(self.model_dump(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        (folder / FILE).write_bytes(data + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Manifest | None:
        """The manifest of a build folder; None when there is none or it is not readable."""
        try:
            return cls.model_validate_json((folder / FILE).read_bytes())
        except (OSError, ValueError):
            return None


def settings_digest(recipe: Recipe, tools: Tools, limit: int | None) -> str:
    """Digest of all that decides the build besides the sources' content."""
    templates = {
        name: tools.templates.digest(name) for step in recipe.steps for name in step.transform.templates()
    }
    relevant = {key: value for key, value in recipe.data.items() if key != "run"}
    return digest(
        {
            "datakit": version("datakit"),
            "recipe": relevant,
            "project": str(tools.project),
            "max_reject_rate": recipe.run.max_reject_rate,
            "templates": templates,
            "labels": recipe.labels.digest if recipe.labels else "",
            "provider": recipe.llm.resolved_provider(),
            "limit": limit,
            "steps": [
                [step.name, step.transform.version, *_annotator_print(step.transform, tools)]
                for step in (*recipe.steps, *recipe.emitters)
            ],
        }
    ).hex()


def step_settings(recipe: Recipe, tools: Tools) -> list[dict[str, Any]]:
    """Per annotator what its keys rest on."""
    return [
        {
            "number": step.number,
            "name": step.name,
            "version": step.transform.version,
            "fingerprint": fingerprint(step.transform, tools),
            "settings": step.transform.key_settings(tools),
            "templates": {name: tools.templates.digest(name) for name in step.transform.templates()},
        }
        for step in recipe.steps
        if isinstance(step.transform, Annotator)
    ]


def stamp_sources(recipe: Recipe, tools: Tools) -> dict[str, FileStamp]:
    """Stamps of the files that records come from, with content hashes, remembered where nothing changed."""
    return {
        str(path): stamp(path, hashed=True, sha256=tools.files.sha256(path) if path.is_file() else "")
        for path in source_paths(recipe, tools)
    }


def source_paths(recipe: Recipe, tools: Tools) -> list[Path]:
    """The files that records come from: those of the readers, and of steps that add general data."""
    with_sources = (getattr(step.transform, "sources", None) for step in recipe.steps)
    return [path for sources in with_sources if sources is not None for path in sources(tools)]


def stamp(path: Path, *, hashed: bool, sha256: str = "") -> FileStamp:
    """Size and time of change of a file, and its sha256 when asked: the one given, or the file's content."""
    try:
        status = path.stat()
    except OSError:
        return FileStamp(bytes=-1, mtime_ns=-1)
    if hashed and not sha256 and path.is_file():
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileStamp(bytes=status.st_size, mtime_ns=status.st_mtime_ns, sha256=sha256)


def write_inputs(folder: Path, images: Iterable[str]) -> None:
    """Writes the list of pictures, sorted."""
    pl.DataFrame({"path": sorted(images)}, schema={"path": pl.String}).write_parquet(folder / INPUTS)


def images_digest(paths: Iterable[str]) -> str:
    """Digest over path, size and time of change; a missing file counts as such."""
    state = hashlib.blake2b(digest_size=16)
    for path in paths:
        try:
            status = os.stat(path)
            state.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
        except OSError:
            state.update(f"{path}\0missing\n".encode())
    return state.hexdigest()


def is_current(manifest: Manifest, folder: Path, recipe: Recipe, tools: Tools, limit: int | None) -> bool:
    """Whether a build of this recipe would come out as the one in `folder`, which is intact."""
    if manifest.settings != settings_digest(recipe, tools, limit):
        return False
    found = {str(path) for path in source_paths(recipe, tools)}
    if found != manifest.sources.keys():
        return False
    if not all(_same(Path(path), old) for path, old in manifest.sources.items()):
        return False
    if not all(_intact(folder / path, old) for path, old in manifest.artifacts.items()):
        return False
    try:
        paths = pl.read_parquet(folder / INPUTS)["path"].to_list()
    except (OSError, pl.exceptions.PolarsError):
        return False
    return images_digest(paths) == manifest.images


def content_hash(stamps: Mapping[str, FileStamp]) -> str:
    """sha256 over the names and hashes of the data files."""
    state = hashlib.sha256()
    for path in sorted(stamps):
        state.update(path.encode() + b"\0" + bytes.fromhex(stamps[path].sha256))
    return state.hexdigest()


def _annotator_print(transform: Any, tools: Tools) -> list[Any]:
    return [fingerprint(transform, tools), transform.reading] if isinstance(transform, Annotator) else []


def _same(path: Path, old: FileStamp) -> bool:
    now = stamp(path, hashed=False)
    if now.bytes != old.bytes:
        return False
    if now.mtime_ns == old.mtime_ns:
        return True
    return bool(old.sha256) and stamp(path, hashed=True).sha256 == old.sha256


def _intact(path: Path, old: FileStamp) -> bool:
    now = stamp(path, hashed=False)
    return now.bytes == old.bytes and (now.mtime_ns == old.mtime_ns or _same(path, old))
