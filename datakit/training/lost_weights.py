"""Weights that the trainer left out when it loaded a checkpoint: it warns of them in its log, and goes on.

What it trains then are the base model's weights with the optimizer's state of others; and the best model that
it takes at its end is the last one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from pathlib import Path

from datakit.core.regular_files import read_regular, regular
from datakit.training.logged_call import Say, TrainerFailed
from datakit.training.run_folder import CHECKPOINT_ENDS_WITH, RunFolder, checkpoints, has_weights

_LEFT_OUT = re.compile(rb"missing keys in the checkpoint model loaded: \[([^\]]*)")
_FROM = re.compile(rb"(?:Resuming training|Loading model) from \S*checkpoint-(\d+)")
_NAME = re.compile(rb"'([^']+)'")
_TRAINS = re.compile(rb"\*{5} Running training|'loss':")
"""What is loaded before is a checkpoint that the training goes on from; after it, the best one at its end."""
_TIED = "lm_head.weight"
"""A model whose words are read and said by one tensor is saved without the second name of it."""
_MENDED = "datakit mended what this training left"
_STARTED = re.compile(r"train-(\d{8}T\d{6})-\d+")
_SAME_MOMENT_S = 2.0


class LoadedLog:
    """A trainer's log as it grows, and what it says of weights that were left out."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.resumed: list[str] = []
        """Tensors of the model that the checkpoint did not fill when the training went on from it."""
        self.best: list[str] = []
        """Those that the best checkpoint did not fill at the training's end."""
        self.mended = False
        """What it left was mended by an earlier call."""
        self.step = 0
        """Of the checkpoint that the training went on from; 0 where the log does not say."""
        self._read, self._rest, self._trains = 0, b"", False

    def look(self) -> LoadedLog:
        """Reads what was written since the last look; a line without its end waits for the next one."""
        with contextlib.suppress(OSError), open(self.log, "rb", opener=regular) as file:
            file.seek(self._read)
            while part := file.read(1 << 20):
                self._read += len(part)
                *lines, self._rest = (self._rest + part).split(b"\n")
                for line in lines:
                    self._take(line)
        return self

    def check(self) -> None:
        """Raises TrainerFailed where the training goes on, or went on, without weights of its checkpoint."""
        if not self.look().resumed:
            return
        count = len(self.resumed)
        raise TrainerFailed(
            f"the trainer went on from a checkpoint without its weights: {count} of the model's tensors were "
            f"not in it under the names that were looked for, such as {self.resumed[0]}. They are the base "
            f"model's again, and the training of them was ended.\n  Its log: {self.log}\n"
            "  The checkpoint itself is whole. The same command sets aside what was written since and "
            "goes on from it. Where this comes again, take another transformers in the trainer's environment "
            "(LLaMA-Factory 0.9.5 allows 4.55 to 5.6), or move the run's folder away and train anew."
        )

    def _take(self, line: bytes) -> None:
        if _TRAINS.search(line):
            self._trains = True
        if line == _MENDED.encode():
            self.mended = True
        if not self._trains and (found := _FROM.search(line)):
            self.step = int(found[1])
        for left_out in _LEFT_OUT.finditer(line):
            names = [name.decode("utf-8", "replace") for name in _NAME.findall(left_out[1])]
            known = self.best if self._trains else self.resumed
            if names != [_TIED]:  # each process of a node tells the same
                known += [name for name in names if name not in known]


def set_spoilt_aside(run: RunFolder, say: Say) -> None:
    """Moves away what a training wrote that had gone on without its checkpoint's weights, by its kept log."""
    for log in sorted(run.logs.glob("train-*.log")):
        started, loaded = _STARTED.match(log.name), LoadedLog(log)
        if started is None or not loaded.look().resumed or loaded.mended:
            continue
        since = time.mktime(time.strptime(started[1], "%Y%m%dT%H%M%S"))
        until = log.stat().st_mtime + _SAME_MOMENT_S
        for path in _written(run.trained, loaded.step, since, until):
            target = run.folder / "without-weights" / f"{path.name}-{time.time_ns()}"
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
            say(f"{path.name} comes of a training that had lost its weights ({log}): set aside as {target}")
        _note_mended(log)


def _written(trained: Path, step: int, since: float, until: float) -> list[Path]:
    """The model and the checkpoints after `step` of a training that ran between two times.

    What says that it came to its end is the first.
    """

    def own(path: Path) -> bool:
        return path.is_file() and since <= path.stat().st_mtime <= until

    model = [trained / "train_results.json", *sorted(trained.glob("model*.safetensors*"))]
    later = [path for path in checkpoints(trained)[0] if int(path.name.rpartition("-")[2]) > step]
    return [*filter(own, model), *(path for path in later if own(path / CHECKPOINT_ENDS_WITH))]


def keep_best(run: RunFolder, log: Path, say: Say) -> None:
    """Puts the best checkpoint's weights in the trained model's place, where the trainer could not load them.

    Raises TrainerFailed where that checkpoint is gone.
    """
    loaded = LoadedLog(log).look()
    if not loaded.best or loaded.mended:
        return
    best = _best(run.trained)
    if best is None or not has_weights(best):
        raise TrainerFailed(
            "the trainer could not load the best checkpoint's weights at its end, and that one is gone, "
            f"so that the model is that of the last step\n  Its log: {log}\n  Train anew with "
            "`load_best_model_at_end: false`, or with DeepSpeed, which loads its own states."
        )
    for source in sorted(best.glob("model*.safetensors")):
        _place(source, run.trained / source.name)
    for source in sorted(best.glob("model*.safetensors.index.json")):
        _place(source, run.trained / source.name)
    say(
        f"The trainer could not load the best checkpoint at its end. The model has {best.name}'s weights all "
        "the same; what the trainer evaluated last was its last step."
    )
    _note_mended(log)


def _note_mended(log: Path) -> None:
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"\n{_MENDED}\n")


def _best(trained: Path) -> Path | None:
    try:
        name = json.loads(read_regular(trained / CHECKPOINT_ENDS_WITH)).get("best_model_checkpoint")
    except (OSError, ValueError, AttributeError):
        return None
    return trained / Path(str(name)).name if name else None


def _place(source: Path, target: Path) -> None:
    """A copy, put there whole. A link would let a later training write into the checkpoint."""
    draft = target.with_name(f"{target.name}.best")
    try:
        shutil.copyfile(source, draft)
        os.replace(draft, target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
