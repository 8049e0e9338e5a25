"""Copies results from one store into another, each checked before and after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from datakit.core.errors import UserError
from datakit.core.store_address import fault_of_url, is_url
from datakit.run.checksums import StoredRow
from datakit.run.progress import Progress
from datakit.run.result_store import ResultStore, is_sound
from datakit.run.store import FILE
from datakit.run.store_repair import sound_store

_ROWS = 200


class Copied(BaseModel):
    """What a copy did."""

    source: str
    target: str
    results: int = 0
    """Results of the source."""
    copied: int = 0
    there: int = 0
    """Results that the target had already, as new or newer."""
    damaged: int = 0
    """Results of the source that are not what was stored, and were left there."""
    bytes: int = 0
    """Of what was copied, packed."""


def store_at(address: str, *, must_be: bool) -> ResultStore:
    """The store of an address: a database, a folder, or the file in it. Raises UserError.

    One that `must_be` there is not made.
    """
    if is_url(address):
        if fault := fault_of_url(address):
            raise UserError(fault.partition(". ")[0], remedy=fault.partition(". ")[2])
        from datakit.run.postgres_store import PostgresStore

        return PostgresStore(address, None)
    path = Path(address).expanduser()
    folder = path.parent if path.name == FILE else path
    if must_be and not (folder / FILE).is_file():
        own = folder / ".datakit"
        remedy = f"Did you mean {own}?" if (own / FILE).is_file() else "Name the folder that holds it."
        raise UserError(f"there is no result store in {folder}", remedy=remedy)
    return sound_store(folder)


def copy(source: ResultStore, target: ResultStore, progress: Progress) -> Copied:
    """Brings every sound result of the source, and what it answers, into the target; of one key the newer
    stays. Done again after an end in the middle, it goes through the keys and copies what is missing.

    Raises UserError when the target does not give back what was written into it.
    """
    account = Copied(source=source.place, target=target.place)
    total = sum(step["results"] for step in source.usage())
    with progress:
        progress.start("copy", total)
        for page in source.pages(rows=_ROWS):
            sound = [row for row in page if is_sound(row)]
            ages = target.ages([row.key for row in sound])
            wanted = [row for row in sound if ages.get(row.key, -1) < row.created]
            target.take(wanted)
            _check(target, wanted)
            # Of those that were there, too: an end in the middle may have come between the two.
            target.take_questions(source.questions_of([row.key for row in sound]))
            account.results += len(page)
            account.copied += len(wanted)
            account.there += len(sound) - len(wanted)
            account.damaged += len(page) - len(sound)
            account.bytes += sum(len(row.value) + len(row.meta) for row in wanted)
            progress.advance(len(page))
    known = target.forgotten()
    for step, at in source.forgotten().items():
        if at > known.get(step, 0.0):
            target.note_forgotten(step, at)
    return account


def _check(target: ResultStore, written: Sequence[StoredRow]) -> None:
    wanted = {row.key: row for row in written}
    for rows in target.rows(list(wanted)):
        for row in rows:
            # What somebody else stored meanwhile is newer, and sound.
            if is_sound(row) and (
                row.value == wanted[row.key].value or row.created > wanted[row.key].created
            ):
                del wanted[row.key]
    if wanted:
        raise UserError(
            f"{target.place} does not give back {len(wanted):,} results as they were written",
            remedy="Look at its disk; then run the same command again.",
        )
