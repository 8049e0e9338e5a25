"""What the result store holds, and what of it no recipe and no build of the project uses any more."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import DatakitError
from datakit.core.files import FileDigests
from datakit.llm.prices import TABLE, family_of
from datakit.recipe.recipe import Recipe
from datakit.run.columns import check_columns
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine, NothingLeft
from datakit.run.result_store import ResultStore
from datakit.run.store_entry import Entry

DAY_S = 86_400
FREE_STEPS = frozenset({"annotate.image_facts", "annotate.image_quality", "annotate.ocr", "guard.image"})
"""Steps of datakit's own that work on this machine. Of all others nobody knows that they cost nothing."""
FREE_WRITERS = frozenset({"offline-writer"})
"""Writers that are no model."""


class StepUsage(BaseModel):
    """What the store holds for one step."""

    step: str
    results: int = 0
    rejected: int = 0
    bytes: int = 0
    cost_usd: float = 0.0
    """What the results cost when they were made, as far as that is known."""
    unpriced: int = 0
    """Results that somebody may have paid for, at a price that is not known."""
    created: int = 0
    """When the first was made, in seconds since 1970."""
    used: int = 0
    """Day of the last use, in seconds since 1970."""
    unused: int = 0
    """Results that no recipe and no build of the project asks for."""


class Sweep(BaseModel):
    """What a collection removes."""

    steps: list[StepUsage]
    """Per step, of what goes."""
    results: int
    bytes: int
    cost_usd: float
    unpriced: int
    """Of the results, those whose price is not known."""
    kept_paid: int
    """Results that would go, but cost money, or an unknown price, and are kept unless asked for."""
    kept_paid_usd: float
    """What they had cost, as far as that is known."""
    kept_unpriced: int
    """Of those that are kept, the ones whose price is not known."""
    removed: bool
    """False for a dry run."""


class CannotTell(DatakitError):
    """Whether a result is used cannot be told, so nothing is removed."""


def usage(store: ResultStore, used_keys: set[bytes] | None = None) -> list[StepUsage]:
    """Per step what the store holds; with `used_keys` also how much of it nothing asks for."""
    entries = list(store.entries())
    return _by_step(entries, prices_of(entries), used_keys)


def used_keys(store: ResultStore, recipes: Sequence[Recipe], builds: Iterable[BuildFolder]) -> set[bytes]:
    """The keys that the recipes ask for at the present state of their data, and those of the builds.

    Raises CannotTell, naming the recipe, when one cannot be gone through.
    """
    keys: set[bytes] = set()
    for recipe in recipes:
        try:
            keys |= _asked(recipe, store)
        except NothingLeft:
            continue  # what the steps before asked for is in the store's own account of rejects
        except DatakitError as error:
            raise CannotTell(
                f"cannot tell which results {recipe.path.name} uses:\n{error}\n"
                "  Mend or remove the recipe, or choose what goes by --unused-days or --max-mb."
            ) from None
    for build in builds:
        keys |= build.stored_keys()
    return keys


def _asked(recipe: Recipe, store: ResultStore) -> set[bytes]:
    paid = [at for at, step in enumerate(recipe.steps) if step.transform.is_paid]
    keys: set[bytes] = set()
    if not paid:
        return keys
    work = Path(tempfile.mkdtemp(prefix="datakit-cache-"))
    context = replace(recipe.context(), files=FileDigests(store))
    try:
        check_columns(recipe, context)
        Engine(context, store, work, policy=DryRun(referenced=keys)).run(recipe.steps[: paid[-1] + 1])
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return keys


def choose(
    store: ResultStore,
    *,
    used: set[bytes] | None = None,
    unused_days: int | None = None,
    max_bytes: int | None = None,
) -> list[Entry]:
    """The results that go: those outside `used`, those unread for so many days, the oldest above a size."""
    entries = list(store.entries())
    chosen: dict[bytes, Entry] = {}
    if used is not None:
        chosen |= {entry.key: entry for entry in entries if entry.key not in used}
    if unused_days is not None:
        limit = time.time() - unused_days * DAY_S
        chosen |= {entry.key: entry for entry in entries if entry.used < limit}
    if max_bytes is not None:
        size = 0
        for entry in sorted(entries, key=lambda entry: (-entry.used, -entry.created, entry.key)):
            size += entry.bytes
            if size > max_bytes:
                chosen[entry.key] = entry
    return list(chosen.values())


def sweep(store: ResultStore, chosen: Iterable[Entry], *, paid: bool, remove: bool) -> Sweep:
    """Removes the chosen results, or says what that would do.

    Those that cost money stay unless `paid`, and so do those whose price is not known.
    """
    prices = prices_of(store.entries())
    going, kept = list[Entry](), list[Entry]()
    for entry in chosen:
        (going if paid or prices[entry.key] == 0 else kept).append(entry)
    if remove and going:
        store.remove(entry.key for entry in going)
    return Sweep(
        steps=_by_step(going, prices, None),
        results=len(going),
        bytes=sum(entry.bytes for entry in going),
        cost_usd=sum(prices[entry.key] or 0 for entry in going),
        unpriced=sum(prices[entry.key] is None for entry in going),
        kept_paid=len(kept),
        kept_paid_usd=sum(prices[entry.key] or 0 for entry in kept),
        kept_unpriced=sum(prices[entry.key] is None for entry in kept),
        removed=remove,
    )


def prices_of(entries: Iterable[Entry]) -> dict[bytes, float | None]:
    """What it would cost to make each result again; None where that is not known, which counts as paid."""
    every = list(entries)
    stored = {entry.key for entry in every}
    return {entry.key: _price(entry, stored) for entry in every}


def _price(entry: Entry, stored: set[bytes]) -> float | None:
    if entry.parts and entry.key not in entry.parts and stored.issuperset(entry.parts):
        return 0.0  # it is put together again from parts that are stored, and those have their own price
    if entry.cost_usd:
        return entry.cost_usd
    if entry.model is None:
        return 0.0 if entry.step in FREE_STEPS else entry.cost_usd
    # A cost of nothing is believed where tokens were counted: their price was given as 0. Not of a model that
    # is sold: half a price was given then, and the other half taken for nothing (before datakit 0.3).
    counted = entry.cost_usd is not None and entry.tokens > 0 and not _is_sold(entry.model)
    return 0.0 if counted or entry.model in FREE_WRITERS else None


def _is_sold(model: str) -> bool:
    """Whether a model, under its own name or a gateway's, stands in the price table."""
    return family_of(model.rpartition("/")[2]) in TABLE


def _by_step(
    entries: Iterable[Entry], prices: Mapping[bytes, float | None], used: set[bytes] | None
) -> list[StepUsage]:
    steps: dict[str, StepUsage] = {}
    for entry in entries:
        step = steps.setdefault(entry.step, StepUsage(step=entry.step, created=entry.created))
        price = prices[entry.key]
        step.results += 1
        step.rejected += entry.rejected
        step.bytes += entry.bytes
        step.cost_usd += price or 0.0
        step.unpriced += price is None
        step.created, step.used = min(step.created, entry.created), max(step.used, entry.used)
        step.unused += used is not None and entry.key not in used
    return [steps[name] for name in sorted(steps)]
