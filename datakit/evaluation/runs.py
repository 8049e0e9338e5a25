"""Where answers and their evaluations lie: in the folder of a run, beside the build."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.names import PREDICTIONS
from datakit.artifacts.run_ids import predictions_name, run_of
from datakit.core.errors import UserError
from datakit.core.scripts import comment, shell_words
from datakit.evaluation import generated
from datakit.evaluation.evaluation import Options

PAGE = "evaluation"


def find_predictions(build: BuildFolder, split: str) -> Path:
    """The one file of answers to a split in the build's folder or in its runs (`<build>-runs/`).

    It is called predictions_<split>_<run>.jsonl, as earlier versions called it, or as LLaMA-Factory calls
    its own.

    Raises UserError when there is none or more than one: which one is meant is not guessed.
    """
    folders = [build.path, build.runs]
    generated_files = sorted(path for folder in folders for path in folder.rglob(generated.FILE))
    files = [*build.answer_files(split), *generated_files]
    if len(files) == 1:
        return files[0]
    if not files:
        raise UserError(
            f"no answers for {build.path}: there is no {predictions_name(split, '<run>')} and no "
            f"{PREDICTIONS} in it or in {build.runs.name}/",
            remedy="Make them with `datakit predict`, or name a file with --predictions.",
        )
    raise UserError(
        f"there are {len(files)} files of answers for {build.path}",
        remedy="\n  ".join(
            [
                "Score one of them, or give --predictions twice to compare the second with the first:",
                *(f"  {_command(build, split, path)}" for path in files),
            ]
        ),
    )


def _command(build: BuildFolder, split: str, path: Path) -> str:
    """The command that scores a file, and after it what file that is."""
    words = ["datakit", "evaluate", str(build.path), "--predictions", str(path)]
    words += [] if split == Options().split else ["--split", split]
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
    return f"{shell_words(words)}  {comment(f'{run_of(str(path)) or path.name}, written {written}')}"


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
    """`predictions_val_lora-1a2b3c` is `val_lora-1a2b3c`."""
    return path.stem.removeprefix("predictions_")
