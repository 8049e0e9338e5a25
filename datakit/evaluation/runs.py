"""Where answers and their evaluations lie: in the folder of a run, beside the build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.names import PREDICTIONS
from datakit.core.errors import UserError
from datakit.evaluation import generated

PAGE = "evaluation"


def find_predictions(build: BuildFolder, split: str) -> Path:
    """The one file of answers to a split in the build's folder or in its runs (`<build>-runs/`).

    It is called predictions.jsonl or predictions_<split>.jsonl, or as LLaMA-Factory calls its own.

    Raises UserError when there is none or more than one: which one is meant is not guessed.
    """
    folders = [build.path, build.runs]
    called = (PREDICTIONS, build.predictions_file(split).name, generated.FILE)
    files = sorted(path for folder in folders for name in called for path in folder.rglob(name))
    if len(files) == 1:
        return files[0]
    if not files:
        raise UserError(
            f"no answers for {build.path}: there is no {PREDICTIONS} and no {called[1]} in it or in "
            f"{build.runs.name}/",
            remedy="Make them with `datakit predict`, or name a file with --predictions.",
        )
    raise UserError(
        f"there are {len(files)} files of answers for {build.path}",
        remedy="Name one with --predictions: " + ", ".join(str(path) for path in files),
    )


def page_names(paths: Sequence[Path], out: Path | None) -> list[tuple[Path, str]]:
    """Folder and name of each file's evaluation: `evaluation`, with the file's name where that is its own."""
    twice = next((path for path, count in Counter(paths).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{twice} is given twice", remedy="Give each file of answers once.")
    folders = [out or path.absolute().parent for path in paths]
    many = Counter(folders)
    own = (PREDICTIONS, generated.FILE)
    names: list[tuple[Path, str]] = []
    for path, folder in zip(paths, folders, strict=True):
        name = PAGE if many[folder] == 1 and path.name in own else f"{PAGE}-{_short(path)}"
        if (folder, name) in names:
            name = f"{PAGE}-{path.absolute().parent.name}-{path.stem}"
        if (folder, name) in names:
            raise UserError(
                f"two evaluations would be written to {folder / name}.json",
                remedy="Leave out --out: each is then written beside its answers.",
            )
        names.append((folder, name))
    return names


def _short(path: Path) -> str:
    """`predictions_val` is `val`."""
    return path.stem.removeprefix("predictions_")
