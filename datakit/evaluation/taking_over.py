"""Results of another machine, taken over: into the folder of their run, beside the build that they are of."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.names import PREDICTIONS
from datakit.artifacts.results import DOCUMENT, Results
from datakit.artifacts.results_reader import read_document, unpack
from datakit.artifacts.run_ids import predictions_name
from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular
from datakit.core.replacing import set_aside
from datakit.core.scripts import shell_words

BROUGHT = "brought"
"""Folder in that of a run: what came with the answers (accounts of stages, logs), apart from what a run here
writes, which goes by its own."""


@dataclass(frozen=True)
class TakenOver:
    """Where the results lie now."""

    results: Results
    folder: Path
    """Of the run."""
    answers: tuple[Path, ...]
    """The files of answers there."""
    kept: dict[Path, Path]
    """File of an earlier taking over that had other content -> where it lies now."""

    @property
    def run(self) -> str:
        return self.folder.name

    def answers_to(self, split: str) -> Path:
        """The file of answers to a split. Raises UserError where the results have none."""
        files = {path.name: path for path in self.answers}
        path = files.get(predictions_name(split, self.run)) or files.get(PREDICTIONS)
        if path is not None:
            return path
        if not self.answers:
            raise UserError(
                f"the results hold no answers: the run ended before it asked; what came of it is in "
                f"{self.folder / BROUGHT}",
                remedy="Its logs are in logs/ there. Go on where it ran, and bring its results again.",
            )
        there = ", ".join(str(path) for path in self.answers)
        raise UserError(
            f"the results hold no answers to the split `{split}`; taken over are {there}",
            remedy="Choose the split that was asked with --split. Answers to other pictures have no truth in "
            "the build.",
        )


def build_of(archive: Path, builds: Iterable[BuildFolder]) -> BuildFolder:
    """The build among `builds` whose results an archive holds. Raises UserError where none is, or several."""
    results = read_document(archive)
    same, named = [], []
    for build in {os.path.realpath(build.path): build for build in builds}.values():
        manifest = build.find_manifest()
        if manifest is not None and manifest.content == results.content:
            same.append(build)
        elif build.has_report and build.report.name == results.name:
            named.append(build)
    if len(same) == 1:
        return same[0]
    if same:
        calls = [shell_words(["datakit", "evaluate", str(archive), str(build.path)]) for build in same]
        raise UserError(
            f"{archive} holds results of the build `{results.name}`, and {len(same)} builds here have its "
            f"content ({results.content[:12]})",
            remedy="\n  ".join(["Name the one whose results these are:", *(f"  {call}" for call in calls)]),
        )
    if named:
        raise another_build(archive, results, named[0])
    raise UserError(
        f"{archive} holds results of the build `{results.name}` (content {results.content[:12]}), which is "
        "not in this project",
        remedy=f"Name it: {shell_words(['datakit', 'evaluate', str(archive)])} BUILD",
    )


def another_build(archive: Path, results: Results, build: BuildFolder) -> UserError:
    """The error for results that are of another build than the one at hand, or of another state of it."""
    content = build.manifest.content
    if build.report.name == results.name:
        what = f"another state of {results.name}: its data had the content {results.content[:12]}"
        now = f"that of {build.path} is {content[:12]} by now"
    else:
        what = f"another build: `{results.name}` (content {results.content[:12]})"
        now = f"{build.path} is `{build.report.name}` (content {content[:12]})"
    return UserError(
        f"{archive} holds results of {what}, and {now}",
        remedy="Name the build that was packed. Where it was built anew since, take recipe and data back to "
        "that state and build it to a folder of its own (--out), then name that.",
    )


def take_over(archive: Path, build: BuildFolder) -> TakenOver:
    """Puts the files of an archive into the folder of their run, `<build>-runs/<run>/`.

    Where another run has that folder, with a training or answers of its own, a digest is added to the id, so
    that nothing is mixed or written over. The same archive lands where it did; a later one of the same
    weights replaces the earlier, whose other answers are set aside.

    Raises UserError for results of another build, and for an archive that is not as it was packed.
    """
    with _unpacked(archive, build) as (results, staging):
        folder = _folder_of(results, staging, build)
        kept: dict[Path, Path] = {}
        answers = {name: folder / _renamed(name, results.run, folder.name) for name in results.answers}
        for name in (*results.files, DOCUMENT):
            target = answers.get(name, folder / BROUGHT / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in answers and os.path.lexists(target) and not _same(staging / name, target):
                kept[target] = set_aside(target)
            os.replace(staging / name, target)
        return TakenOver(results, folder, tuple(answers.values()), kept)


@contextmanager
def _unpacked(archive: Path, build: BuildFolder) -> Iterator[tuple[Results, Path]]:
    """What an archive says, and a hidden folder with its files, which is removed at the end."""
    results = read_document(archive)
    if results.content != build.manifest.content:  # before anything is written
        raise another_build(archive, results, build)
    build.runs.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".results-", dir=build.runs))
    try:
        yield unpack(archive, staging), staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _folder_of(results: Results, staging: Path, build: BuildFolder) -> Path:
    """The folder of the run, or of the run with a digest where another has that."""
    mark = results.weights or hashlib.sha256(read_regular(staging / DOCUMENT)).hexdigest()
    folders = [build.runs / results.run, build.runs / f"{results.run}-{mark[:6]}"]
    free = (folder for folder in folders if not _is_taken(folder, results))
    return next(free, folders[-1])


def _is_taken(folder: Path, results: Results) -> bool:
    """Whether a folder holds anything of another run."""
    if not folder.exists() or not os.listdir(folder):
        return False
    try:
        earlier = Results.load(folder / BROUGHT / DOCUMENT)
    except UserError:
        return True
    if earlier.content != results.content:
        return True
    if earlier.weights or results.weights:
        return earlier.weights != results.weights
    return any(results.files.get(name) != earlier.files[name] for name in earlier.answers)


def _renamed(name: str, run: str, folder: str) -> str:
    """The name of a file of answers in the folder of its run."""
    ending = f"_{run}.jsonl"
    return f"{name.removesuffix(ending)}_{folder}.jsonl" if name.endswith(ending) else name


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and read_regular(one) == read_regular(other)
