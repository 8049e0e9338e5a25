"""results.tar of an ablation: the results of each training, and the report page. Its archive carries this."""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import datakit
from datakit.artifacts.document import Document
from datakit.artifacts.results import MOST_BYTES
from datakit.core.clock import utc_now
from datakit.core.errors import UserError
from datakit.core.json_bytes import json_bytes
from datakit.core.regular_files import read_regular, regular
from datakit.core.replacing import check_replaceable

DOCUMENT = "ablation-results.json"
"""The first file of the archive."""
_TRAINING = re.compile(r"([A-Za-z0-9_-]{1,90})\.tar")


class AblationResults(Document):
    """ablation-results.json: whose results these are."""

    FORMAT: ClassVar[int] = 1

    recipe: str
    trainings: list[str]
    """Names of the trainings whose results are here, each in `NAME.tar`."""
    date: str = ""
    datakit: str = ""


def write_ablation_results(out: Path, recipe: str, results: Mapping[str, Path], page: Path) -> None:
    """Packs the results of the trainings that have some, and the page where there is one.

    The archive appears whole or not at all. Raises UserError where something else stands at `out`.
    """
    check_replaceable(out, "an archive of an ablation's results", is_ablation_results)
    about = AblationResults(
        recipe=recipe, trainings=list(results), date=utc_now(), datakit=datakit.__version__
    )
    contents: dict[str, bytes | Path] = {DOCUMENT: json_bytes(about.model_dump()) + b"\n"}
    if page.is_file():
        contents[page.name] = page
    contents |= {f"{name}.tar": path for name, path in results.items()}
    draft = out.with_name(f".{out.name}.part")
    try:
        with tarfile.open(draft, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in contents.items():
                data = read_regular(content) if isinstance(content, Path) else content
                head = tarfile.TarInfo(name)
                head.size, head.mode = len(data), 0o600
                tar.addfile(head, io.BytesIO(data))
        os.replace(draft, out)
    finally:
        draft.unlink(missing_ok=True)


def is_ablation_results(path: Path) -> bool:
    """Whether a file begins as such an archive."""
    with open(path, "rb", opener=regular) as file:
        return file.read(len(DOCUMENT) + 1) == DOCUMENT.encode() + b"\0"


@contextmanager
def trainings_of(archive: Path) -> Iterator[dict[str, Path]]:
    """Name of each training in an archive -> its own results, while the block lasts.

    Nothing else is unpacked. Raises UserError for a file that is no such archive, or is cut off.
    """
    with TemporaryDirectory(prefix="datakit-results-") as folder:
        try:
            found = _unpacked(archive, Path(folder))
        except (OSError, tarfile.TarError, EOFError, ValueError) as error:
            raise UserError(
                f"{archive} is no whole archive of an ablation's results: {error}",
                remedy="Bring the results.tar that run.sh wrote, unchanged.",
            ) from None
        yield found


def _unpacked(archive: Path, folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    expected: list[str] | None = None
    room = MOST_BYTES
    with open(archive, "rb", opener=regular) as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            room -= member.size
            if stream is None or room < 0:
                raise tarfile.TarError(f"it holds {member.name!r}, which results do not hold")
            if expected is None:
                if member.name != DOCUMENT or member.size > 1 << 20:
                    raise tarfile.TarError(f"it does not begin with {DOCUMENT}")
                expected = AblationResults.model_validate_json(stream.read()).trainings
            elif (match := _TRAINING.fullmatch(member.name)) and match[1] in expected:
                found[match[1]] = folder / member.name
                with found[match[1]].open("wb") as target:
                    shutil.copyfileobj(stream, target)
    lost = [name for name in expected or () if name not in found]
    if lost or expected is None:
        raise tarfile.TarError(f"it lacks {', '.join(lost) or DOCUMENT}")
    return found
