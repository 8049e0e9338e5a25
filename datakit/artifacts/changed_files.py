"""Which files of a build are not as they were built: data, configuration and pictures."""

from __future__ import annotations

from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.manifest import FileStamp, stamp
from datakit.core.files import FileDigests

MISSING, CHANGED = "is missing", "was changed"
_IN_NAME = 32
"""Digits of its sha256 that name a picture which lies in a build as it came."""
_SHOWN = 3


def changed_files(build: BuildFolder) -> dict[str, str]:
    """Path in the build -> what became of it since, of every file that the manifest lists.

    What looks as it did is not read again; the rest, as in a copied build, is told by its content. A picture
    that the build made itself (turned or made smaller) has no digest to compare, and is told by its size.
    """
    files = FileDigests()
    as_they_came: frozenset[str] | None = None
    wrong: dict[str, str] = {}
    # Pictures last: what tells their digests is itself a file of the build.
    for name, noted in sorted(
        build.manifest.artifacts.items(), key=lambda item: (not item[1].sha256, item[0])
    ):
        path = build.path / name
        now = stamp(path, hashed=False)
        if not path.is_file():
            wrong[name] = MISSING
        elif now.bytes != noted.bytes:
            wrong[name] = CHANGED
        elif not noted.unchanged(now):
            if not noted.sha256 and as_they_came is None:
                as_they_came = frozenset() if wrong else _as_they_came(build)
            if not _has_content(path, noted, as_they_came or frozenset(), files):
                wrong[name] = CHANGED
    return wrong


def shown_changes(wrong: dict[str, str]) -> str:
    """The first of them in words."""
    told = ", ".join(f"{name} {what}" for name, what in list(wrong.items())[:_SHOWN])
    return told + (f" and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else "")


def edit_of_build(build: BuildFolder) -> str:
    """That somebody changed a build, or the one whose task it is, in words; "" else."""
    wrong = changed_files(build.whole or build)
    return f"{build.path.name} is not as it was built: {shown_changes(wrong)}" if wrong else ""


def _has_content(path: Path, noted: FileStamp, as_they_came: frozenset[str], files: FileDigests) -> bool:
    if noted.sha256:
        return files.sha256(path) == noted.sha256
    return path.stem not in as_they_came or files.sha256(path).startswith(path.stem)


def _as_they_came(build: BuildFolder) -> frozenset[str]:
    """Names, without their ends, of pictures whose bytes are those of the source."""
    known = build.image_digests
    if known is None:
        return frozenset()
    return frozenset(sha256[:_IN_NAME] for sha256 in known.collect()["sha256"].to_list() if sha256)
