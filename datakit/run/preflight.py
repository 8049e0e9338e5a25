"""What would stop a build halfway, found out before its first step works, all of it at once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datakit.core.errors import DatakitError, Exit, RecipeErrors, UserError, missing_extra
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.recipe.recipe import Recipe, Step
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.final_rows import FinalRows, most_rows
from datakit.run.manifest import declared_files
from datakit.run.result_store import ResultStore

Check = Callable[[Callable[[], FinalRows | None]], UserError | None]
"""What else would fail in the end, or None; it may ask for the rows that the build would come to."""
LOOKED_AT = 64
"""Records of each source that are looked up to find out whether anything is to be asked."""
_LEAST_BYTES = 32_000_000
_TIMES_SOURCES = 2
"""A build holds its records twice: as data files and as a table with all columns."""


def preflight(
    recipe: Recipe,
    context: StepContext,
    store: ResultStore,
    build: Path,
    *,
    limit: int | None = None,
    writes: Sequence[Path] = (),
    checks: Sequence[Check] = (),
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Raises RecipeErrors for packages, keys, folders, room and endpoints that a build would miss.

    `writes` are further folders that are written in the end, `checks` say what else would fail then. The
    endpoint is asked only when one of the first records of the sources (`limit` at most) needs an answer that
    is not stored; one that is down is waited for.
    """
    errors = [*_packages(recipe, context), *_credentials(recipe, context)]
    errors += [error for folder in (build.parent, *writes) if (error := _unwritable(folder)) is not None]
    errors += _room(recipe, context, build.parent)
    rows = partial(most_rows, recipe, context, store, limit)
    errors += [error for check in checks if (error := check(rows)) is not None]
    asked = list(_asked(recipe, context))
    if asked and (errors or _asks_now(recipe, context, store, limit)):
        errors += _endpoints(recipe, asked, patient=not errors, say=say)
    if errors:
        raise RecipeErrors(errors)


def _packages(recipe: Recipe, context: StepContext) -> Iterator[UserError]:
    for step in (*recipe.steps, *recipe.emitters):
        for module, extra in step.transform.packages(context):
            if importlib.util.find_spec(module) is None:
                yield _placed(missing_extra(module, extra, step.name), step)
                break  # one extra brings them all


def _credentials(recipe: Recipe, context: StepContext) -> Iterator[UserError]:
    for step in (*recipe.steps, *recipe.emitters):
        for name in step.transform.credentials(context):
            if not os.environ.get(name, "").strip():
                yield UserError(
                    f"step {step.number} ({step.name}) needs a key in the environment variable {name}",
                    remedy=f"export {name}=...",
                    where=step.where,
                    exit_code=Exit.PROVIDER,
                )


def _unwritable(folder: Path) -> UserError | None:
    """Why nothing can be written into a folder that may have to be made first."""
    existing = folder
    while not os.path.lexists(existing):
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return UserError(
            f"cannot write to {folder}: {error.strerror}",
            remedy="Make the folder writable, or choose another place with --out (its card with --no-card).",
        )


def _room(recipe: Recipe, context: StepContext, folder: Path) -> Iterator[UserError]:
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    sources = sum(path.stat().st_size for path in declared_files(recipe, context) if path.is_file())
    needed_bytes = _LEAST_BYTES + _TIMES_SOURCES * sources
    if free < needed_bytes:
        yield UserError(
            f"no space for the build: {free / 1e6:,.0f} MB are free on the disk of {folder}, and its records "
            f"alone take about {needed_bytes / 1e6:,.0f} MB",
            remedy="Free some, or choose another disk with --out.",
        )


@dataclass(frozen=True)
class _Endpoint:
    """What some steps ask."""

    settings: LlmSettings
    where: str
    by_batch: bool = False


def _asked(recipe: Recipe, context: StepContext) -> Iterator[_Endpoint]:
    """The endpoints that the steps ask: the recipe's, and those that steps have of their own."""
    asks = any(step.transform.asks_model for step in recipe.steps)
    if asks and recipe.run.mode != "batch_files" and recipe.llm.resolved_provider() != "offline":
        yield _Endpoint(recipe.llm, recipe.places.get("llm", ""), recipe.run.is_batch)
    for step in recipe.steps:
        own = own_endpoint(step, context)
        if own is not None:
            yield _Endpoint(own, step.where)


def own_endpoint(step: Step, context: StepContext) -> LlmSettings | None:
    """The endpoint that a step asks in place of the recipe's."""
    transform = step.transform
    return transform.endpoint(context) if isinstance(transform, Annotator) else None


def _asks_now(recipe: Recipe, context: StepContext, store: ResultStore, limit: int | None) -> bool:
    """Whether one of the first records needs an answer that is not stored, as far as that can be told."""
    is_look = limit is not None and limit <= LOOKED_AT
    asks = [step.transform.asks_model or own_endpoint(step, context) is not None for step in recipe.steps]
    last = max(at for at, step_asks in enumerate(asks) if step_asks)
    dry = DryRun()
    with tempfile.TemporaryDirectory(prefix="datakit-preflight-") as work:
        looked_at = limit if is_look else LOOKED_AT
        engine = Engine(context, store, Path(work), limit=looked_at, by_label=is_look, policy=dry)
        try:
            engine.run(recipe.steps[: last + 1])
        except DatakitError as error:
            if error.exit_code == Exit.PROVIDER:
                raise  # the store of the pictures: waited for once
            return True  # the build meets it too, and says so in its place
    numbers = {step.number for step, step_asks in zip(recipe.steps, asks, strict=True) if step_asks}
    asking = [lookup for lookup in dry.lookups if lookup.step.number in numbers]
    fresh = any(lookup.calls for lookup in dry.lookups if lookup not in asking)
    # What waits for an answer that may be put together from stored parts may be stored too.
    return any(lookup.sure or (fresh and lookup.open) for lookup in asking)


def _endpoints(
    recipe: Recipe, asked: Sequence[_Endpoint], *, patient: bool, say: Callable[[str], None]
) -> list[UserError]:
    from datakit.llm.reachability import unreachable

    asks_recipes = any(endpoint.settings is recipe.llm for endpoint in asked)
    if asks_recipes and (void := list(_void_budgets(recipe))):
        return void
    errors: list[UserError] = []
    for endpoint in asked:
        settings = endpoint.settings
        if not patient or errors:
            settings = settings.model_copy(update={"max_down_s": 0.0})
        errors += [
            UserError(error.message, remedy=error.remedy, where=endpoint.where, exit_code=error.exit_code)
            for error in unreachable(settings, say, by_batch=endpoint.by_batch)
        ]
    return errors


def _void_budgets(recipe: Recipe) -> Iterator[UserError]:
    """Half prices, and budgets of the recipe that cannot hold, as the price of a model is not known."""
    from datakit.llm.prices import check_budget
    from datakit.llm.providers import provider_of

    budgets = [(recipe.run.budget_usd, recipe.places.get("run", ""))]
    asking = [step for step in recipe.steps if step.transform.asks_model]
    budgets += [(getattr(step.transform, "budget_usd", None), step.where) for step in asking]
    for endpoint in {each.model: each for each in recipe.llm.each_endpoint()}.values():
        place = recipe.places.get("llm", "")
        try:
            price = provider_of(endpoint).price()
            for budget_usd, where in budgets:
                place = where
                check_budget(endpoint.model, price, budget_usd)
        except UserError as error:
            yield UserError(error.message, remedy=error.remedy, where=place, exit_code=error.exit_code)


def _placed(error: UserError, step: Step) -> UserError:
    message = f"step {step.number}: {error.message}"
    return UserError(message, remedy=error.remedy, where=step.where, exit_code=error.exit_code)
