"""The file of decisions that a reviewer's server writes: what others put there stays as it is."""

from __future__ import annotations

import fcntl
import os
import shutil
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any

from datakit.artifacts.overrides import Override, OverrideLine, read_overrides
from datakit.core.errors import UserError
from datakit.core.judged import Seen
from datakit.core.regular_files import read_regular
from datakit.core.shown_path import show_path
from datakit.core.text_encoding import decoded


@dataclass(frozen=True)
class Sent:
    """A decision from the page."""

    id: str
    decision: Override | None
    """None where the reviewer takes back what was decided."""
    by: str
    """Who sits before the page: a decision that is restored is another's, and then this one's own goes."""


@dataclass
class Added:
    """What became of decisions that were to be added."""

    new: int = 0
    before: int = 0
    """Those that the file had."""
    doubled: int = 0
    """Those that were among the new ones already."""


@dataclass
class _Told:
    """What each reviewer has said about each sight, in the order of its times."""

    about: Callable[[Override], str]
    """What a decision is about."""
    said: dict[tuple[str, str, str], list[tuple[float, tuple[str, str | None, str], bool]]] = field(
        default_factory=dict
    )
    """Record, what is judged, reviewer -> time, decision, and whether the file had it."""

    def again(self, one: Override) -> bool | None:
        """Whether the file had the decision that this one says again; None where it says none again."""
        said = self.said.get((one.id, self.about(one), one.who), [])
        at = bisect_right(said, _time(one), key=itemgetter(0))
        return said[at - 1][2] if at and said[at - 1][1] == (one.action, one.new, one.why) else None

    def take(self, one: Override, *, is_old: bool) -> None:
        said = self.said.setdefault((one.id, self.about(one), one.who), [])
        entry = (_time(one), (one.action, one.new, one.why), is_old)
        said.insert(bisect_right(said, entry[0], key=itemgetter(0)), entry)


def _time(one: Override) -> float:
    return one.when.timestamp() if one.when else 0.0


@dataclass
class DecisionsFile:
    """A file of overrides, to which decisions of one review are added and replaced."""

    path: Path
    own: Mapping[str, Seen]
    """Id -> what is judged, of the records under review."""

    def about(self, one: Override) -> str:
        """What a decision is about, as one from the page would say it where it holds for what is judged."""
        seen = self.own.get(one.id)
        return seen.said if seen is not None and seen.is_of(one.judged) else one.judged

    def lines(self) -> list[OverrideLine]:
        """All decisions there. Raises UserError for a file with broken lines."""
        try:
            text = decoded(read_regular(self.path), self.path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"cannot read {show_path(self.path)}: {error.strerror}") from None
        return read_overrides(text, show_path(self.path))

    def state(self) -> list[Override]:
        """The last decision about each record as it is under review, in the order of the file."""
        last: dict[str, Override] = {}
        for line in sorted(self.lines(), key=lambda line: line.order):
            override = line.override
            seen = self.own.get(override.id)
            if seen is not None and seen.is_of(override.judged):
                last[override.id] = override
        return list(last.values())

    def put(self, decisions: Iterable[Sent]) -> int:
        """Writes decisions, each in place of its reviewer's about the same sight; of others nothing is taken
        back. The decisions in the file then. Raises UserError as `lines` does."""
        with _locked(self.path):
            kept = {number: line.override for number, line in enumerate(self.lines())}
            numbers = count(len(kept))
            places: dict[tuple[str, str, str], list[int]] = {}
            for number, one in kept.items():
                places.setdefault((one.id, self.about(one), one.who), []).append(number)
            for sent in decisions:
                judged, people = self.own[sent.id].said, {sent.by}
                if sent.decision is not None:
                    people.add(sent.decision.who)
                for who in people:
                    for number in places.pop((sent.id, judged, who), ()):
                        del kept[number]
                if sent.decision is not None:
                    number = next(numbers)
                    kept[number] = sent.decision
                    places[sent.id, judged, sent.decision.who] = [number]
            self._write(kept.values())
            return len(kept)

    def add(self, decisions: Iterable[Override]) -> Added:
        """Adds decisions that are not there yet.

        One is there where its line is, or where the same reviewer's last decision about the same sight, up to
        its time, is the same with the same reason: a file of answers that was only written anew brings none.
        """
        with _locked(self.path):
            lines = [line.override for line in self.lines()]
            there, told, fresh, added = dict.fromkeys(lines, True), _Told(self.about), [], Added()
            for one in sorted(lines, key=_time):
                told.take(one, is_old=True)
            for one in sorted(decisions, key=_time):
                is_old = there.get(one, told.again(one))
                if is_old is None:
                    fresh.append(one)
                    there[one] = False
                    told.take(one, is_old=False)
                added.new += is_old is None
                added.before += is_old is True
                added.doubled += is_old is False
            if fresh:
                self._write([*lines, *fresh])
            return added

    def _write(self, overrides: Iterable[Override]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.part")  # one is enough: writers hold the lock
        try:
            with draft.open("wb") as file:
                for override in overrides:
                    file.write(override.to_line())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileNotFoundError):
                shutil.copymode(self.path, draft)  # what its owner opened or closed stays so
            os.replace(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two servers, or a server and an import, take turns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with open(lock, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sent_decision(row: Any, own: Mapping[str, Seen]) -> Sent:
    """A decision that came over the wire: `[id, line or null, who]`. Raises ValueError for anything else."""
    id_, line, by = row
    if id_ not in own or not isinstance(by, str):
        raise ValueError("the record is not under review")
    if line is None:
        return Sent(id_, None, by.strip())
    decision = Override.model_validate(line)
    if decision.id != id_ or decision.judged != own[id_].said:
        raise ValueError("the decision is about something else")
    return Sent(id_, decision, by.strip())
