"""Takes results out of the store, so that the next build asks for them again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, Field

from datakit.core.errors import DatakitError, UserError, did_you_mean
from datakit.core.files import FileDigests
from datakit.core.outcome import Rejected
from datakit.core.shown_path import show_path
from datakit.recipe.recipe import Recipe
from datakit.run.annotation import Annotation, LookedUp
from datakit.run.cache import prices_of
from datakit.run.columns import check_columns
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine, NothingLeft
from datakit.run.result_store import ResultStore
from datakit.run.store_entry import Entry, Key
from datakit.run.sub_results import PART, UNREAD


class Forgotten(BaseModel):
    """What is taken out of the store."""

    step: str
    results: int
    """Answers, parts of answers and rejects."""
    rejected: int
    paid: int
    """Of the results, those that cost money or may have: asking again is paid again."""
    cost_usd: float
    """What they had cost, as far as that is known: about what the next build pays for them."""
    unpriced: int
    """Of those that are paid, the ones whose price is not known."""
    unknown_ids: list[str] = Field(default_factory=list)
    """Ids that none of `recipes` brings to the step."""
    recipes: list[str] = Field(default_factory=list)
    """Files of the recipes that were looked at; none where the whole step is meant."""
    removed: bool = False


@dataclass(frozen=True)
class _Outcome:
    """What the store holds for one record at the step."""

    id: str
    key: Key | None
    reason: str | None
    """Why the record is rejected; None when it is not, or has no result."""


@dataclass
class _Looking(DryRun):
    """Looks everything up, and notes what is stored for the records at one step."""

    step: str = ""
    outcomes: list[_Outcome] = field(default_factory=list)

    def _refer(self, work: Annotation, found: LookedUp) -> None:
        super()._refer(work, found)
        if work.report.name != self.step:
            return
        stored = work.store.get_many(found.known)
        for row, key in zip(found.rows, found.keys, strict=True):
            outcome = stored[key].outcome if key in stored else None
            if outcome is not None and not isinstance(outcome, Rejected):
                columns = work.annotator.columns(outcome.raw, row, work.context)
                outcome = columns if isinstance(columns, Rejected) else None
            self.outcomes.append(_Outcome(row["id"], key, outcome.reason if outcome else None))


def forget(
    store: ResultStore,
    step: str,
    recipes: Sequence[Recipe],
    *,
    reason: str | None = None,
    ids: Collection[str] | None = None,
    remove: bool,
) -> Forgotten:
    """Takes out the results of a step, or says what that would take.

    With `reason` only those that reject their record for it, with `ids` only those of these records, as the
    recipes bring them to the step today. Answers that a result was put together from go with it. Builds that
    have the step are made anew the next time. Raises UserError for a step that the store does not know.
    """
    entries = {entry.key: entry for entry in store.entries()}
    own = {key: entry for key, entry in entries.items() if entry.step in _names(step)}
    if not own:
        known = {entry.step.partition("/")[0] for entry in entries.values()}
        raise UserError(
            f"the store holds nothing of a step called {step}",
            remedy=did_you_mean(step, known) or f"It holds: {', '.join(sorted(known)) or 'nothing'}.",
        )
    unknown: list[str] = []
    if reason is None and ids is None:
        keys = set(own)
    else:
        outcomes = [outcome for recipe in recipes for outcome in _outcomes(recipe, store, step)]
        met = {outcome.id for outcome in outcomes}
        unknown = sorted(set(ids or ()) - met)
        wanted = (one for one in outcomes if (ids is None or one.id in ids) and reason in (None, one.reason))
        keys = {one.key for one in wanted if one.key is not None}
        if ids is None:
            keys |= store.rejects(_names(step), str(reason))
    going = [own[key] for key in _with_parts(keys, own) if key in own]
    forgotten = _account(step, going, prices_of(entries.values()), unknown)
    if reason is not None or ids is not None:
        forgotten.recipes = [show_path(recipe.path) for recipe in recipes]
    if remove and going:
        store.remove(entry.key for entry in going)
        store.note_forgotten(step)
        forgotten.removed = True
    return forgotten


def _names(step: str) -> tuple[str, ...]:
    return (step, step + PART, step + UNREAD)


def _with_parts(keys: set[Key], own: dict[Key, Entry]) -> set[Key]:
    """The keys with the parts of their results, and results that were put together from one of them."""
    whole = keys | {key for key, entry in own.items() if not keys.isdisjoint(entry.parts)}
    return whole | {part for key in whole if key in own for part in own[key].parts}


def _outcomes(recipe: Recipe, store: ResultStore, step: str) -> list[_Outcome]:
    """What the store holds for the records that a recipe brings to the step."""
    numbers = [at for at, each in enumerate(recipe.steps) if each.name == step]
    if not numbers:
        return []
    looking = _Looking(step=step)
    work = Path(tempfile.mkdtemp(prefix="datakit-forget-"))
    context = replace(recipe.context(), files=FileDigests(store))
    try:
        check_columns(recipe, context)
        Engine(context, store, work, policy=looking).run(recipe.steps[: numbers[-1] + 1])
    except NothingLeft:
        pass  # every record was looked up before that
    except DatakitError as error:
        raise UserError(
            f"cannot tell which results {recipe.path.name} has:\n{error}",
            remedy="Mend or move the recipe, or forget the whole step: without --reason and --ids.",
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return looking.outcomes


def _account(
    step: str, going: Iterable[Entry], prices: dict[Key, float | None], unknown: list[str]
) -> Forgotten:
    found = list(going)
    priced = {entry.key: 0.0 if _is_refusal(entry) else prices[entry.key] for entry in found}
    return Forgotten(
        step=step,
        results=len(found),
        rejected=sum(entry.rejected for entry in found),
        paid=sum(price != 0 for price in priced.values()),
        cost_usd=sum(price or 0.0 for price in priced.values()),
        unpriced=sum(price is None for price in priced.values()),
        unknown_ids=unknown,
    )


def _is_refusal(entry: Entry) -> bool:
    """A server's refusal, which no token was read or written for."""
    return entry.rejected and not entry.tokens and not entry.cost_usd
