"""Predictions over many records: resumable, joined by id, every record accounted for."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from datakit.artifacts import predictions as files
from datakit.artifacts.predictions import NOT_ANSWERED, Prediction
from datakit.core.errors import DatakitError, Exit
from datakit.core.json_bytes import json_bytes
from datakit.run.progress import Progress
from datakit.serving.asker import Asker
from datakit.serving.items import Item, Picture

_APPENDED_AT_ONCE = 32
_LOOK_S = 0.5
"""A signal that another thread has had is seen between two waits."""


class NotConserved(DatakitError):
    """Records were lost or invented: a fault of datakit, never of the data."""


@dataclass
class Account:
    """What became of the records."""

    records: int
    answered: int = 0
    """With a label of the set."""
    problems: Counter[str] = field(default_factory=Counter)
    """Answers and records without a label, by reason; they count as wrong when scored."""
    retry: int = 0
    """Not answered this time: the next run asks again."""
    resumed: int = 0
    """Among them, those that an earlier run had asked."""
    correct: int = 0
    known: int = 0
    """Records whose truth is known."""
    out: Path = Path()
    label_task: bool = True
    """Whether answers are labels; of others only evaluation says what is right."""
    cut: Counter[int] = field(default_factory=Counter)
    """Turn, from 1 -> records whose answer in it was cut off, because its room ended."""
    rooms: dict[int, int] = field(default_factory=dict)
    """Turn -> the largest room that was too small."""
    kept: Path | None = None
    """Where earlier predictions lie that stood at `out` and had other answers."""
    more_room: str = "--max-answer-tokens; serve.max_answer_tokens for the context of the server"
    """What gives answers that were cut off more room, in the words of the command that asks."""
    weights_known: bool = True
    """Whether answers of an earlier run are of the same weights for certain."""
    unfinished: int = 0
    """Files of answers of other runs that did not end, and were not gone on from."""

    @property
    def exit_code(self) -> Exit:
        return Exit.PARTIAL if self.retry else Exit.FINE

    def add(self, prediction: Prediction) -> None:
        if prediction.problem == NOT_ANSWERED:
            self.retry += 1
            return
        if prediction.problem:
            self.problems[prediction.problem] += 1
        else:
            self.answered += 1
        for turn in prediction.cut:
            self.cut[turn] += 1
            self.rooms[turn] = max(self.rooms.get(turn, 0), prediction.turns[turn - 1].room)
        if self.label_task and prediction.label is not None:
            self.known += 1
            self.correct += prediction.predicted == prediction.label

    @property
    def text(self) -> str:
        """The account in one line."""
        counts = [f"{self.answered:,} answered"]
        counts += [f"{count:,} {reason}" for reason, count in sorted(self.problems.items())]
        if self.retry:
            counts.append(f"{self.retry:,} to retry")
        line = f"{self.records:,} records = {' + '.join(counts)}"
        if self.resumed:
            line += f" ({self.resumed:,} from an earlier run)"
        if self.known:
            line += f"; {self.correct:,} of {self.known:,} right ({self.correct / self.known:.1%})"
        elif not self.label_task:
            line += "; the answers are no labels: datakit evaluate scores them"
        return "\n".join(filter(None, [line, *self._cut_lines, self.doubt, self._unfinished_line]))

    @property
    def doubt(self) -> str:
        """That answers of an earlier run may be of other weights, in a sentence; "" where they are not."""
        if not self.resumed or self.weights_known:
            return ""
        return (
            f"{self.resumed:,} answers are from an earlier run, and whether the server had the same weights "
            "then cannot be known: it says nothing by which others would show."
        )

    @property
    def _unfinished_line(self) -> str:
        if not self.unfinished:
            return ""
        place = self.out.parent / _kept_pattern(self.out)
        return f"Not gone on from: unfinished answers of another server, model, prompt or option ({place})."

    @property
    def _cut_lines(self) -> list[str]:
        """A line for each turn of which answers were cut off."""
        return [
            f"Cut off: turn {turn} of {count:,} records, at {self.rooms[turn]:,} tokens. "
            f"More room: {self.more_room}."
            for turn, count in sorted(self.cut.items())
        ]


def predict(
    asker: Asker,
    items: Sequence[Item],
    out: Path,
    *,
    options: str = "",
    progress: Progress | None = None,
    earlier: Path | None = None,
    weights_known: bool = False,
) -> Account:
    """Writes predictions.jsonl with one prediction a record, in the records' order.

    Answers are kept in a file beside it the moment they come, under a mark of the prompts, the model and
    where its weights lie: a run that was ended goes on there. The file is gone when every record is answered,
    so that a model trained anew is asked anew. Earlier predictions at `out` with other answers are set aside.
    Where an unfinished run of an earlier version wrote to `earlier`, its answers are gone on from. The mark
    holds what the server says of its model, but for `weights_known`: then `options` tell the weights.

    Raises UserError, before anything is asked, where `out` is a file of another kind.
    """
    progress = progress or Progress(quiet=True)
    out = Path(os.path.realpath(out))
    files.check_place(out)
    server = "" if weights_known else asker.served.mark
    answers_file = _kept_file(asker, items, out, [options, server] if server else [options])
    if earlier is not None:
        _take_up(earlier.with_name(answers_file.name.replace(out.name, earlier.name, 1)), answers_file)
    by_id = _kept_answers(answers_file, items)
    account = Account(len(items), resumed=len(by_id), out=out, label_task=asker.answers_labels)
    account.weights_known = weights_known or asker.served.is_dated
    account.unfinished = len({*out.parent.glob(_kept_pattern(out))} - {answers_file})
    missing = [item for item in items if item.id not in by_id]
    unanswered: dict[str, Prediction] = {}
    draft: list[Prediction] = []
    with progress:
        progress.start("predict", len(items))
        progress.advance(len(by_id))
        try:
            for prediction in _as_made(asker, missing):
                progress.advance(1)
                if prediction.problem == NOT_ANSWERED:
                    unanswered[prediction.id] = prediction
                    continue
                by_id[prediction.id] = prediction
                draft.append(prediction)
                if len(draft) >= _APPENDED_AT_ONCE:
                    files.append(answers_file, draft)
                    draft = []
        finally:
            if draft:
                files.append(answers_file, draft)
    ordered = [by_id.get(item.id or "") or unanswered[item.id or ""] for item in items]
    for prediction in ordered:
        account.add(prediction)
    total = account.answered + sum(account.problems.values()) + account.retry
    if total != account.records or len({prediction.id for prediction in ordered}) != len(items):
        raise NotConserved(f"{account.records} records became {total} predictions; please report it.")
    account.kept = files.replace(out, ordered)
    if not account.retry:
        answers_file.unlink(missing_ok=True)
    return account


def _take_up(earlier: Path, answers_file: Path) -> None:
    """Moves the answers of an unfinished run to where this one keeps them, if it has none yet."""
    if earlier.is_file() and not answers_file.exists():
        answers_file.parent.mkdir(parents=True, exist_ok=True)
        os.rename(earlier, answers_file)


def _kept_answers(file: Path, items: Sequence[Item]) -> dict[str, Prediction]:
    """Answers of an earlier run by id, but for records with a picture that was changed since."""
    if not file.exists():
        return {}
    kept_at = file.stat().st_mtime_ns  # before it is mended
    files.mend(file)
    stale = {item.id for item in items if any(_changed_at(image) > kept_at for image in item.images)}
    return {prediction.id: prediction for prediction in files.read(file) if prediction.id not in stale}


def _changed_at(image: Picture) -> int:
    """When a picture's file was last written or put in its place, in ns; 0 for bytes, addresses and none."""
    try:
        status = os.stat(image) if isinstance(image, str | Path) else None
    except (OSError, ValueError):
        return 0
    return max(status.st_mtime_ns, status.st_ctime_ns) if status else 0


def _as_made(asker: Asker, items: Sequence[Item]) -> Iterator[Prediction]:
    """Predictions as they are made, with at most `concurrency` records at work."""
    waiting = iter(items)
    working: set[Future[Prediction]] = set()
    try:
        while True:
            while len(working) < asker.concurrency and (item := next(waiting, None)) is not None:
                working.add(asker.submit(item))
            if not working:
                return
            done, working = wait(working, _LOOK_S, FIRST_COMPLETED)
            for future in sorted(done, key=lambda future: future.exception() is not None):
                yield future.result()  # answers first: the error of one must not lose those of others
    finally:
        for future in working:
            future.cancel()


def _kept_pattern(out: Path) -> str:
    return f".{glob.escape(out.name)}.*.part.jsonl"


def _kept_file(asker: Asker, items: Sequence[Item], out: Path, options: Sequence[str]) -> Path:
    """The file of unfinished answers; its name changes with everything that changes an answer."""
    state = hashlib.blake2b(json_bytes([asker.identity, *options]), digest_size=6)
    if not all(item.messages for item in items):  # their prompts are made by the build's steps
        state.update(asker.prompt_state())
    for item in items:
        fields = [item.id, list(map(str, item.images)), item.label, item.messages, dict(item.columns)]
        state.update(json_bytes(fields, default=str))
    return out.with_name(f".{out.name}.{state.hexdigest()}.part.jsonl")
