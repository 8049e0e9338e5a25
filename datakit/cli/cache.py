"""`datakit cache ls`, `gc`, `forget` and `copy`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli import completing
from datakit.core.counted import counted_with

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.recipe.recipe import Recipe
    from datakit.run.cache import StepUsage, Sweep
    from datakit.run.forget import Forgotten
    from datakit.run.result_store import ResultStore

EPILOG = """\b
Examples:
  datakit cache ls
  datakit cache gc                          what would go; nothing is removed
  datakit cache gc --yes                    remove it, but keep what cost money or may have
  datakit cache gc --unused-days 90 --paid --yes
  datakit cache forget --step annotate.describe --reason refused --dry-run
  datakit cache copy .datakit postgresql://me@db.example/team
"""
_project = click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    help="Folder of the project; the working folder when not given.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.group(epilog=EPILOG)
def command() -> None:
    """Show, shrink or copy the result store, or have answers asked for again.

    OCR results and paid answers stand in it."""


@command.command("ls")
@_project
@click.option("--unused", is_flag=True, help="Count what no recipe and no build uses (reads all sources).")
@_json
def ls(project: Path, unused: bool, as_json: bool) -> int:
    """List per step: results, size, what they cost, last use."""
    from datakit.cli.tables import print_json
    from datakit.run.cache import usage, used_keys

    store, recipes, root = _open(project, by_use=unused)
    try:
        used = used_keys(store, recipes, _builds(root)) if unused else None
        steps, on_disk = usage(store, used), store.bytes_on_disk()
    finally:
        store.close()
    if as_json:
        print_json({"store": store.place, "steps": [step.model_dump() for step in steps]})
        return 0
    if steps:
        _table(steps, unused)
    click.echo(f"Store: {store.place} ({_size(on_disk)} on disk)")
    return 0


@command.command("gc", epilog=EPILOG)
@_project
@click.option("--unused-days", type=click.IntRange(min=1), metavar="N", help="What was not read for N days.")
@click.option("--max-mb", type=click.IntRange(min=0), metavar="N", help="The least recently used above N MB.")
@click.option("--paid", is_flag=True, help="Also results that cost money or an unknown price.")
@click.option("--yes", is_flag=True, help="Remove. Without it, only what would go is printed.")
@_json
def gc(
    project: Path, unused_days: int | None, max_mb: int | None, paid: bool, yes: bool, as_json: bool
) -> int:
    """Remove results that no recipe and no build of the project uses.

    A recipe uses what its build would look up today, so bring models and keys into the environment as for a
    build. With --unused-days or --max-mb, age or size decides instead. Results that cost money stay unless
    --paid is given, and so do those whose price nobody knows. In a database that several projects share, only
    age or size decides.
    """
    from datakit.cli.tables import print_json
    from datakit.core.errors import UserError
    from datakit.run.cache import choose, sweep, used_keys
    from datakit.run.store import Store

    by_use = unused_days is None and max_mb is None
    store, recipes, root = _open(project, by_use=by_use)
    try:
        if by_use and not isinstance(store, Store):
            raise UserError(
                f"cannot tell which results of {store.place} are used: other projects share it",
                remedy="Choose what goes by --unused-days or --max-mb.",
            )
        used = used_keys(store, recipes, _builds(root)) if by_use else None
        size = None if max_mb is None else max_mb * 1_000_000
        chosen = choose(store, used=used, unused_days=unused_days, max_bytes=size)
        swept = sweep(store, chosen, paid=paid, remove=yes)
    finally:
        store.close()
    if as_json:
        print_json(swept.model_dump())
    else:
        _print(swept)
    return 0


@command.command("forget")
@_project
@click.option(
    "--step",
    required=True,
    metavar="NAME",
    shell_complete=completing.steps,
    help="The step, such as annotate.describe.",
)
@click.option("--reason", metavar="WORD", help="Only what rejects its record for this reason.")
@click.option(
    "--ids",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Only these records: an id a line, or lines of JSON with an id, such as rejects.jsonl.",
)
@click.option(
    "--recipe",
    "recipe_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The recipe whose records are meant; else those in recipes/ and those that builds were made of.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go and what asking again may cost.")
@click.option("--yes", is_flag=True, help="Also forget what was paid for, without asking.")
@_json
def forget(
    project: Path,
    step: str,
    reason: str | None,
    ids: Path | None,
    recipe_file: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Forget results of a step, so that the next build asks for them again.

    Answers that were paid for are paid for again: they go only with --yes, or when you say so.
    """
    from datakit.cli.tables import print_json
    from datakit.run.forget import forget as take_out

    wanted = None if ids is None else _ids(ids)
    store, recipes, _ = _open(project, by_use=ids is not None, recipe_file=recipe_file)
    try:
        seen = take_out(store, step, recipes, reason=reason, ids=wanted, remove=False)
        goes = seen.results > 0 and not dry_run and (yes or not seen.paid or _agreed(seen, as_json))
        if goes:
            seen = take_out(store, step, recipes, reason=reason, ids=wanted, remove=True)
    finally:
        store.close()
    if as_json:
        print_json(seen.model_dump())
    else:
        _print_forgotten(seen, dry_run)
    return 0


@command.command("copy")
@click.argument("source", metavar="A")
@click.argument("target", metavar="B")
@_json
def copy(source: str, target: str, as_json: bool) -> int:
    """Copy all results of the store A into the store B, each checked by its checksum.

    A and B are folders of stores (such as .datakit) or databases, postgresql://user@host/database; a password
    comes from PGPASSWORD or PGPASSFILE. Nothing is taken out of A. Run again after an end in the middle: what
    B has is left alone. Damaged results stay in A, and the command ends with 1.
    """
    from contextlib import closing

    from datakit.cli.tables import print_json
    from datakit.core.errors import Exit
    from datakit.run.progress import Progress
    from datakit.run.store_copy import copy as copy_all
    from datakit.run.store_copy import store_at

    with closing(store_at(source, must_be=True)) as old, closing(store_at(target, must_be=False)) as new:
        copied = copy_all(old, new, Progress())
    if as_json:
        print_json(copied.model_dump())
    else:
        click.echo(f"Copied {copied.copied:,} of {copied.results:,} results ({_size(copied.bytes)}) into")
        click.echo(f"{copied.target}; {copied.there:,} were there already.")
    if copied.damaged:
        words = f"{copied.damaged:,} results in {copied.source} are damaged and were left there."
        click.echo(words, err=True)
    return Exit.FAILED if copied.damaged else Exit.FINE


def _ids(path: Path) -> set[str]:
    """The ids of a file."""
    import orjson

    from datakit.core.errors import UserError
    from datakit.core.text_encoding import decoded

    with click.open_file(str(path), "rb") as file:
        text = decoded(file.read(), path, "the file of ids")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    try:
        ids = {str(orjson.loads(line)["id"]) if line.startswith("{") else line for line in lines}
    except (orjson.JSONDecodeError, KeyError) as error:
        raise UserError(
            f"{path} holds a line of JSON without an id: {error}", remedy="Give an id a line."
        ) from None
    if not ids:
        raise UserError(f"{path} names no id", remedy="Give an id a line.")
    return ids


def _agreed(seen: Forgotten, as_json: bool) -> bool:
    """Whether somebody at the terminal wants paid answers forgotten. Raises UserError where nobody is."""
    import sys

    from datakit.core.errors import UserError

    cost = f"{seen.paid:,} of {seen.results:,} results had cost {_cost(seen.cost_usd, seen.unpriced)}"
    if as_json or not sys.stdin.isatty():
        raise UserError(
            f"{cost}; the next build would pay for them again", remedy="Say so: --yes. Or look: --dry-run."
        )
    return click.confirm(f"{cost}; the next build pays for them again. Forget them?", err=True)


def _print_forgotten(seen: Forgotten, dry_run: bool) -> None:
    done = "Forgot" if seen.removed else "Would forget" if dry_run else "Forgot nothing of"
    rejected = f", {seen.rejected:,} of them rejects" if seen.rejected else ""
    if seen.results:
        click.echo(f"{done} {seen.results:,} results of {seen.step}{rejected}.")
    else:
        click.echo(f"The store holds no such result of {seen.step}: nothing to forget.")
    if seen.paid:
        click.echo(f"Asking again may cost what it had cost: {_cost(seen.cost_usd, seen.unpriced)}.")
    if seen.unknown_ids:
        some = ", ".join(seen.unknown_ids[:5])
        looked = ", ".join(seen.recipes) or "no recipe"
        ids = counted_with(len(seen.unknown_ids), "id", "does", "do")
        click.echo(f"{ids} not reach the step (looked at: {looked}): {some}")
        click.echo("Name another recipe with --recipe.")


def _open(
    project: Path, *, by_use: bool, recipe_file: Path | None = None
) -> tuple[ResultStore, list[Recipe], Path]:
    """The store, the project's recipes and its folder. Raises UserError when there is no store.

    With `recipe_file` the store and the folder are that recipe's, and it stands for all. A recipe that cannot
    be read is an error only where `by_use` decides what goes.
    """
    from datakit.core.errors import DatakitError, UserError
    from datakit.core.settings import RunSettings
    from datakit.library import load
    from datakit.recipe.recipe import project_of
    from datakit.run.store_place import StorePlace

    recipes: list[Recipe] = [] if recipe_file is None else [load(recipe_file)]
    root = project_of(project) if recipe_file is None else recipes[0].project
    for path in _recipe_files(root) if recipe_file is None else ():
        try:
            recipes.append(load(path))
        except DatakitError:
            if by_use:
                raise
    settings = {recipe.run.store for recipe in recipes}
    setting = settings.pop() if len(settings) == 1 else None
    place = StorePlace.of(RunSettings(store=setting), root)
    if not place.is_made:
        raise UserError(
            f"there is no result store in {place.folder}",
            remedy="Go to the project's folder or name it with --project; a first build makes the store.",
        )
    return place.open(), [recipe for recipe in recipes if recipe.run.store == setting], root


def _recipe_files(root: Path) -> list[Path]:
    """The recipes in recipes/ and below, and those elsewhere in the project that its builds were made of."""
    from contextlib import suppress

    from datakit.core.errors import UserError

    files = set((root / "recipes").rglob("*.y*ml"))
    for build in _builds(root):
        with suppress(UserError):  # of a newer datakit, or without its report: nothing says what made it
            files.add(root / build.report.recipe)
    return sorted(path for path in files if path.is_file())


def _builds(root: Path) -> list[BuildFolder]:
    """The project's builds, those of folds and ablations too: what they alone use is in use."""
    from datakit.artifacts.build_folder import builds_in

    build = root / "build"
    folders = (build, *sorted(build.glob("*.ablate")), *sorted(build.glob("*.kfold")))
    return [own for folder in folders for own in builds_in(folder)]


def _table(steps: list[StepUsage], unused: bool) -> None:
    from datakit.cli.tables import print_table

    head = (
        "step",
        "results",
        "rejected",
        "size",
        "cost",
        "first",
        "last use",
        *(("unused",) if unused else ()),
    )
    rows = [
        (
            step.step,
            f"{step.results:,}",
            f"{step.rejected:,}" if step.rejected else "·",
            _size(step.bytes),
            _cost(step.cost_usd, step.unpriced),
            _day(step.created),
            _day(step.used),
            *((f"{step.unused:,}",) if unused else ()),
        )
        for step in steps
    ]
    print_table(head, rows, right=range(1, len(head)))


def _print(swept: Sweep) -> None:
    if swept.steps:
        _table(swept.steps, unused=False)
    verb = "Removed" if swept.removed else "Would remove"
    lost = _cost(swept.cost_usd, swept.unpriced)
    cost = f", which had cost {lost}" if swept.cost_usd or swept.unpriced else ""
    click.echo(f"{verb} {swept.results:,} results, {_size(swept.bytes)}{cost}.")
    if swept.kept_paid:
        click.echo(
            f"Kept {swept.kept_paid:,} results that had cost "
            f"{_cost(swept.kept_paid_usd, swept.kept_unpriced)}; --paid removes them too."
        )
    if not swept.removed and swept.results:
        click.echo("Nothing was removed. Do it: --yes")


def _cost(usd: float, unpriced: int) -> str:
    """Money that is known, and how many results have an unknown price, which counts as paid."""
    amount = f"${usd:.4f}" if usd or not unpriced else ""
    unknown = f"an unknown price ({unpriced:,})" if unpriced else ""
    return " and ".join(filter(None, (amount, unknown))) if usd or unpriced else "·"


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def _day(seconds: int) -> str:
    import time

    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
