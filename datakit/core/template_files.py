"""The files that templates are made of: found by name and language, read as text, kept as first read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from jinja2 import BaseLoader, Environment, TemplateNotFound
from jinja2.loaders import split_template_path

from datakit.core.contract_words import LANGUAGES, Language
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular
from datakit.core.text_encoding import decoded
from datakit.core.visible import without_controls

MAX_BYTES = 1_000_000
"""Of a template; Jinja compiles 0.1 MB of its code a second."""
KeptFile = tuple[Path, bytes, int]
KeptFiles = dict[str, KeptFile | None]
"""Name -> the file as it was read; None for one that was not there."""


def names_in(language: Language | None, name: str) -> tuple[str, ...]:
    """The names under which a template is looked for in each folder, the first that is there is taken.

    Without a language it is the name alone, so that recipes which name none find what they always found.

    >>> names_in("en", "ecom/reason.j2"), names_in("en", "ecom/reason_zh.j2"), names_in(None, "a.j2")
    (('ecom/reason_en.j2', 'ecom/reason.j2'), ('ecom/reason_zh.j2', 'ecom/reason.j2'), ('a.j2',))
    """
    path = PurePosixPath(name)
    ending = path.stem.rpartition("_")[2] if "_" in path.stem else ""
    if ending == "zh":  # what has no language in its name is Chinese
        return name, str(path.with_stem(path.stem.removesuffix("_zh")))
    if language is None or ending in LANGUAGES or not path.name:
        return (name,)
    return str(path.with_stem(f"{path.stem}_{language}")), name


class TextLoader(BaseLoader):
    """Templates out of files, in UTF-8 or another encoding that can be told, without byte order marks."""

    def __init__(
        self, folders: Iterable[Path], language: Language | None = None, kept: KeptFiles | None = None
    ) -> None:
        """`language`: that of the files which are taken where a name has several (`reason_en.j2` for
        `reason.j2`). `kept`: files that were read before, which are not read again; each further one is
        added."""
        self.folders, self.language, self._kept = tuple(folders), language, kept

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """The text, the file, and whether it is the same still. Raises UserError for an unknown encoding."""
        file = self.file(template)
        if file is None:
            raise TemplateNotFound(template)
        path, data, changed = file
        if len(data) > MAX_BYTES:
            words = f"a template of {len(data):,} bytes; at most {MAX_BYTES:,} are read"
            raise UserError(words, remedy="Is it a file of data?", where=str(path))
        text = without_controls(decoded(data, path, "the template"))
        lines = text.replace("\r\n", "\n").replace("\r", "\n")
        return lines, os.path.normpath(path), lambda: path.is_file() and path.stat().st_mtime_ns == changed

    def file(self, template: str) -> KeptFile | None:
        """The file of a name, its bytes and time of change; None where no folder has it.

        Raises TemplateNotFound for a name that leaves the folders.
        """
        if self._kept is not None and template in self._kept:
            return self._kept[template]
        names = [split_template_path(name) for name in names_in(self.language, template)]
        places = (folder.joinpath(*parts) for folder in self.folders for parts in names)
        path = next((place for place in places if place.exists() and not place.is_dir()), None)
        file: KeptFile | None = None
        if path is not None:
            changed = path.stat().st_mtime_ns  # before the bytes: an edit in between must show
            file = path, _content(path), changed
        if self._kept is not None:
            self._kept[template] = file
        return file


def _content(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise UserError(
            f"cannot read the template {path}: {error.strerror}", remedy="Mend it, or move it away."
        ) from None


def files_below(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Every file below a folder, those of linked folders too, each folder once."""
    real = os.path.realpath(folder)
    if real in seen or not folder.is_dir():
        return
    seen.add(real)
    for path in folder.iterdir():
        if path.is_dir():
            yield from files_below(path, seen)
        elif path.is_file():
            yield path
