"""Whose a run is: a build that was renamed takes its runs along, and a copy of a build has none yet."""

from __future__ import annotations

import os
from pathlib import Path

from datakit.artifacts import names
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.run_ids import RUNS
from datakit.artifacts.run_owner import RunOwner, is_same
from datakit.core.errors import UserError
from datakit.core.scripts import shell_words
from datakit.training.logged_call import Say
from datakit.training.run_folder import RunFolder


def refuse_copy(run: RunFolder) -> Path | None:
    """Where the build lay when it made its runs, if it was renamed since; None where it lies there still.

    Raises UserError for a copy of a build, whose configuration names the runs of the original.
    """
    build, folder = run.build, run.folder
    owner = RunOwner.read(folder)
    place = owner.place(folder)
    if place is None:
        return None
    manifest = build.find_manifest()
    is_noted = owner.is_folder(build.path, manifest.content if manifest else None)
    if is_same(place, build.path):
        renamed = None if is_noted else _renamed(owner, place)
        if renamed is not None:
            raise _copy(run, renamed)
        return None
    if not is_noted and _works_in(place, folder):
        raise _copy(run, place)
    return place


def claim(run: RunFolder, say: Say) -> None:
    """Notes that the build works in its run, and tells where it was renamed. Raises UserError for a copy."""
    former = refuse_copy(run)
    manifest = run.build.find_manifest()
    if former is not None:
        say(f"This build was {former} when its runs began; they are its own under its new name: {run.folder}")
    RunOwner.of(run.build.path, manifest.content if manifest else "", run.folder).note(run.folder)


def _works_in(place: Path, folder: Path) -> bool:
    """Whether the build that lies at a place has this run for its own."""
    other = BuildFolder(place)
    try:
        return other.training_file is not None and RunFolder.of(place).folder == folder
    except (UserError, LookupError):
        return False  # no build, or another one of the same name


def _renamed(owner: RunOwner, place: Path) -> Path | None:
    """The folder that the owner was renamed to, where another stands in its place; None without one."""
    for path in sorted(place.parent.iterdir()) if owner.inode else ():
        try:
            is_other = path.is_dir() and not path.is_symlink() and os.stat(path).st_ino == owner.inode
        except OSError:
            continue
        manifest = BuildFolder(path).find_manifest() if is_other else None
        if manifest is not None and owner.is_folder(path, manifest.content) and not is_same(path, place):
            return path
    return None


def _copy(run: RunFolder, original: Path) -> UserError:
    build, runs = run.build.path, run.folder.parent
    own = build.with_name(f"{build.name}{RUNS}")
    number = 2
    while own.exists() or own == runs:
        own, number = build.with_name(f"{build.name}-{number}{RUNS}"), number + 1
    files = [str(build / name) for name in (names.TRAINING, names.EXPORT)]
    line = shell_words(["sed", "-i.bak", f"s#{runs.name}/#{own.name}/#", *files])
    return UserError(
        f"{build} is a copy of {original}, and its {names.TRAINING} names the runs of that: {run.folder}",
        remedy=f"Work with {original}, or give the copy runs of its own:\n  {line}",
    )
