"""The card of a build in its place: written, and told from that of another build.

A card is of a build when its pages have the bytes that were written for that build, whatever their times.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.ledger import ledger_of
from datakit.artifacts.written_card import WrittenCard
from datakit.core.files import FileDigests
from datakit.pages.writing import Kept, write_pages

_TRIES = 3
_LOOK = "card"
"""Folder in a build that is no recipe's build in its project: made with --limit or --out."""


def write_current_card(build: Path, folder: Path, kept: Kept | None = None) -> list[Path]:
    """The files of the card in its place, as `write_card` gives them; the build notes down that they are its.

    Where another build takes the place of this one meanwhile, the card is that one's.
    """
    from datakit.cards.write import make_card  # all sections: 45 ms that only cards take

    for _ in range(_TRIES):
        opened = BuildFolder.open(build, folder)
        about, scores = _sha256(opened.fingerprint()), _scores(opened)
        paths = write_pages(make_card(opened), folder, kept)
        pages = {path.relative_to(folder).as_posix(): FileDigests().sha256(path) for path in paths}
        BuildDraft(build).write_card(WrittenCard(build=about, scores=scores, pages=pages))
        if _sha256(opened.fingerprint()) == about:
            break
    return paths


def is_current(build: BuildFolder, folder: Path) -> bool:
    """Whether the whole card of a build lies in `folder`."""
    written = build.written_card()
    if written is None or not written.pages:
        return False
    if (written.build, written.scores) != (_sha256(build.fingerprint()), _scores(build)):
        return False
    files = FileDigests()
    return all(files.sha256(folder / name) == sha256 for name, sha256 in written.pages.items())


def outdated_pages(build: BuildFolder, folder: Path) -> list[Path]:
    """The pages in `folder` that bear the name of the build and are not its card."""
    pages = [path for path in pages_in(folder, build.report.name) if path.exists()]
    return pages if pages and not is_current(build, folder) else []


def pages_in(folder: Path, name: str) -> list[Path]:
    """The pages of a card in `folder`, there or not."""
    return [folder / f"{name}.md", folder / f"{name}.html"]


def places(build: BuildFolder) -> list[Path]:
    """The folders in which the card of a build may lie: its own, and the project's where it is the project's
    build of that name."""
    project = build.path.parent.parent
    own = [build.path / _LOOK]
    return [*own, project / "data_cards"] if build.path == project / "build" / build.report.name else own


def place_of(build: Path, project: Path, *, is_look: bool) -> Path:
    """The folder of the card of a build that is made now."""
    return build / _LOOK if is_look else project / "data_cards"


def _scores(build: BuildFolder) -> str:
    """Digest of the recipe's lines in the ledger, as they stand."""
    ledger = ledger_of(build.projects)
    if ledger is None:
        return ""
    name = b'"name":' + orjson.dumps(build.report.name)
    lines = [line for line in ledger.read_bytes().splitlines() if name in line]
    return _sha256(b"\n".join(lines)) if lines else ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
