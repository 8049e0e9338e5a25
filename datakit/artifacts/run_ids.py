"""Which run answers came from: an id that names its folder and stands in the names of its files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from datakit.artifacts import names
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular

RUNS = "-runs"
"""`<build>-runs` lies beside the build and holds a folder for each run."""
_UNSAFE = re.compile(r"[^\w.+-]+")
_MOST_BYTES = 80
"""Of one part of a file's name; file systems take 255 for the whole."""


def run_id(runs: Path, name: str, root: str, address: str) -> str:
    """The id of the run whose weights a server serves, as far as it can be told.

    `runs` is the build's folder of runs. Weights that lie in a run there have its folder's name, such as
    `lora-1a2b3c`. Others have the served name and a short digest of where they come from (`root`), or of the
    server's address where it does not say.
    """
    if os.path.isabs(root) and "\0" not in root:
        place, home = Path(os.path.realpath(root)), Path(os.path.realpath(runs))
        if place.is_relative_to(home) and place != home:
            return place.relative_to(home).parts[0]
    source = root if root and root != name else address.rstrip("/")
    return f"{safe(name.rpartition('/')[2], _MOST_BYTES - 7)}-{_mark(source)}"


def safe(text: str, most_bytes: int = _MOST_BYTES) -> str:
    """A text as a part of a file's name: no separators, not too long, never empty or hidden."""
    part = _UNSAFE.sub("-", text).strip("-.") or "answers"
    if len(part.encode()) <= most_bytes:
        return part
    return f"{part.encode()[: most_bytes - 7].decode('utf-8', 'ignore')}-{_mark(text)}"


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]


def predictions_name(source: str, run: str) -> str:
    """`predictions_<source>_<run>.jsonl`: `source` is a split, or the name of a folder or file."""
    stem, _, suffix = names.PREDICTIONS.rpartition(".")
    return f"{stem}_{safe(source)}_{run}.{suffix}"


def predictions_file(runs: Path, source: str, run: str) -> Path:
    """Where the answers of a run to a source are written when no other place is named."""
    return runs / run / predictions_name(source, run)


def answer_files(folders: Iterable[Path], source: str) -> list[Path]:
    """The files of answers to a source in folders: those that name their run, and those of earlier names.

    Earlier versions wrote `predictions_<source>.jsonl`, and into the folder of a run `predictions.jsonl`. Of
    files that hold the same bytes the one that names its run is listed. Raises UserError for a folder that
    has such a name.
    """
    stem, _, suffix = names.PREDICTIONS.rpartition(".")
    earlier = {names.PREDICTIONS, f"{stem}_{source}.{suffix}"}
    files = [
        path
        for path in sorted(path for folder in folders for path in folder.rglob(f"{stem}*.{suffix}"))
        if path.name in earlier or path.name == predictions_name(source, path.parent.name)
    ]
    for path in files:
        if path.is_dir():
            raise UserError(
                f"{path} is a folder, where a file of answers is expected",
                remedy="Move it away. Answers are made by: datakit predict BUILD",
            )
    files = [path for path in files if path.is_file()]
    named = {_digest(path) for path in files if path.name not in earlier}
    return [path for path in files if path.name not in earlier or _digest(path) not in named]


def _digest(path: Path) -> bytes:
    return hashlib.sha256(read_regular(path)).digest()


def run_of(path: str) -> str:
    """The run of a file of answers by its place (`<build>-runs/<run>/…`); "" where it lies in none."""
    folder = Path(path).parent
    return folder.name if folder.parent.name.endswith(RUNS) and folder.parent.name != RUNS else ""
