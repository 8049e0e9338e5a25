"""`datakit kfold`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.machine_options import command_again, machine_of, machine_options, refuse_machine_options
from datakit.cli.recipe_path import set_option
from datakit.core.shown_path import show_path

if TYPE_CHECKING:
    from datakit.kfold.builds import Made, Wanted
    from datakit.kfold.joining import Join
    from datakit.kfold.running import Machine
    from datakit.recipe.recipe import Recipe

EPILOG = """\b
Examples:
  datakit kfold recipes/ecom_v1.yaml --k 5
  datakit kfold recipes/ecom_v1.yaml --k 5 --run --vllm /envs/vllm/bin/vllm
  datakit kfold recipes/ecom_v1.yaml --k 5 --status
  datakit kfold recipes/ecom_v1.yaml --k 5 --join --json | jq .suspects

\b
build/NAME.kfold holds fold-1 … fold-k, run.sh (all of --run), kfold.jsonl (the predictions, for
`curate.suspects: {predictions: …}`) and suspects.jsonl.
Exit code: 0 when every fold has answered, 3 when some have not: run it again."""


@click.command(epilog=EPILOG)
@click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--k", type=click.IntRange(2, 100), default=5, show_default=True, help="Number of folds.")
@click.option("--run", "runs", is_flag=True, help="Train, serve and ask each fold, then join.")
@click.option("--join", "joins", is_flag=True, help="Join the answers that the folds have; run nothing.")
@click.option("--status", "only_status", is_flag=True, help="Say how the folds stand, start nothing.")
@set_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N records of each source.")
@click.option("--again", is_flag=True, help="Set other folds that stand there aside; nothing is deleted.")
@machine_options
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress of the builds.")
@click.pass_context
def command(
    context: click.Context,
    /,
    recipe: Path,
    k: int,
    runs: bool,
    joins: bool,
    only_status: bool,
    as_json: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Predict every record of RECIPE by a model that was not shown it, and rank the labels that it doubts.

    The records are dealt into k folds: whole groups (by the recipe's curate.split), every class in each. For
    each fold a build trains on the others; all of them share the result store, so that nothing is paid for k
    times. Ctrl-C is safe: the same command goes on.
    """
    from datakit.kfold.builds import Wanted

    if sum((runs, joins, only_status)) > 1:
        raise click.UsageError("--run, --join and --status are three ways: give one of them")
    if not runs:
        refuse_machine_options(given)
    wanted = Wanted(recipe, k, given["overrides"], given["limit"], given["again"])
    if only_status:
        return _status(wanted)
    machine = machine_of(given) if runs else None

    def say(text: str) -> None:
        click.echo(text, err=as_json)

    made = _made(wanted, say, quiet=quiet or as_json, keep=joins)
    codes = [0]
    if machine is not None:
        codes.append(_run(made, wanted, machine, command_again(context), say))
    join = _joined(made, wanted.k) if joins or (machine is not None and max(codes) in (0, 3)) else None
    if join is not None:
        codes.append(0 if join.is_whole else 3)
    _tell(made, wanted, join, as_json=as_json)
    return next((code for code in codes if code not in (0, 3)), max(codes))


def _load(wanted: Wanted, overrides: Sequence[str]) -> Recipe:
    from datakit.library import load

    return load(wanted.recipe, overrides)


def _made(wanted: Wanted, say: Any, *, quiet: bool, keep: bool) -> Made:
    """The folds' builds, made where they are not current; with `keep` as they stand, to join answers."""
    from datakit.kfold.builds import as_they_stand, make
    from datakit.library import build
    from datakit.run.progress import Progress

    if not keep:
        return make(
            wanted,
            lambda overrides: _load(wanted, overrides),
            lambda recipe, options: build(
                recipe, options=options, progress=Progress(quiet=quiet), card=False
            ),
            say,
        )
    return as_they_stand(wanted, lambda overrides: _load(wanted, overrides))


def _run(made: Made, wanted: Wanted, machine: Machine, line: str, say: Any) -> int:
    """Exit code of the handoffs: that of a failure, 3 where records had no answer."""
    from datakit.kfold.running import check_trains, run_folds

    check_trains(made.folder.build(1))
    accounts = run_folds(made.folder, wanted.k, machine, line, say)
    for account in accounts:
        if account.failure:
            click.echo(f"Error:\n{account.failure}", err=True)
    return max(accounts, key=lambda account: (account.exit not in (0, 3), account.exit)).exit


def _joined(made: Made, k: int) -> Join:
    from datakit.kfold import suspects
    from datakit.kfold.joining import join

    result = join(made.folder, k)
    suspects.write(made.folder, suspects.suspects_of(result.guesses, made.language)[0])
    return result


def _tell(made: Made, wanted: Wanted, join: Join | None, *, as_json: bool) -> None:
    from datakit.cli.tables import print_json
    from datakit.kfold import suspects
    from datakit.kfold.records import before_split, own_validation

    judged = join.guesses if join is not None else []
    doubted, found = suspects.suspects_of(judged, made.language if as_json else "en")
    outside = before_split(made.folder)
    if as_json:
        print_json(_document(made, wanted, join, doubted, found, outside))
        return
    lines = [f"Folds: {show_path(made.folder.path)}"]
    if not made.as_they_stand:
        lines.append(
            f"Results: {made.new:,} made, {made.cached:,} taken from the store, {made.cost_usd:.4f} USD"
        )
    if own := own_validation(made.folder):
        lines.append(
            f"Of the source's own validation part: {own:,}, dealt like any other; folds judge labels, and "
            "the recipe's own build trains on none of them"
        )
    lines += [f"In no fold: {count:,} ({reason.replace('_', ' ')})" for reason, count in outside.items()]
    lines += [f"Warning: {words}" for words in _warnings(made)]
    if join is None:
        lines.append(f"Next: {made.folder.script}, or {wanted.command} --run")
    else:
        assert join.joined is not None  # `join` fills it
        lines.append(f"Predicted out of fold: {join.joined.predicted:,} of {join.joined.records:,} records")
        lines += join.notes()
        lines += suspects.lines_of(doubted, found, len(judged))
        lines += [f"Written: {made.folder.predictions_file}", f"Written: {made.folder.suspects_file}"]
        if join.missing_folds:
            lines.append(f"Next: {wanted.command} --run, for fold {', '.join(map(str, join.missing_folds))}")
        elif not join.is_whole:
            lines.append(f"Next: {wanted.command} --run, for the records without an answer")
    click.echo("\n".join(lines))


def _warnings(made: Made) -> list[str]:
    """What the split says of the folds, the same in each of them, and which were edited since."""
    notes = next((step.notes for step in made.reports[0].steps if step.name == "curate.split"), {})
    warnings = [str(words) for words in notes.get("warnings", ())]
    if pseudo := int(notes.get("pseudo", 0)):
        warnings.append(
            f"{pseudo:,} records come with a predicted label and are trained on in every fold: where who "
            "predicted them was shown the others' labels, the predictions are not out of fold"
        )
    if made.stale:
        which = ", ".join(map(str, made.stale))
        warnings.append(
            f"stale: recipe or data were edited since fold {which} was built; without --join it is built anew"
        )
    return warnings


def _document(
    made: Made, wanted: Wanted, join: Join | None, doubted: Any, found: Any, outside: dict[str, int]
) -> dict[str, Any]:
    from datakit.kfold.records import own_validation

    document: dict[str, Any] = {
        "folder": str(made.folder.path),
        "k": wanted.k,
        "built": [] if made.as_they_stand else made.fresh,
        "results_made": 0 if made.as_they_stand else made.new,
        "results_stored": made.cached,
        "cost_usd": 0.0 if made.as_they_stand else made.cost_usd,
        "in_no_fold": outside,
        "own_validation": own_validation(made.folder),
        "warnings": _warnings(made),
        "kept": made.kept and str(made.kept),
        "stale": made.stale,
    }
    if join is None:
        return document
    joined = join.joined
    assert joined is not None  # `join` fills it
    return {
        **document,
        "records": joined.records,
        "predicted": joined.predicted,
        "unpredicted": joined.unpredicted,
        "without_label": dict(join.other_problems),
        "missing_folds": join.missing_folds,
        "unknown": join.unknown,
        "misplaced": join.misplaced,
        "relabelled": join.relabelled,
        "doubled": join.checked.doubled,
        "unsound": join.checked.unsound,
        "contrary": join.checked.contrary,
        "unseen": joined.unseen,
        "judged": len(join.guesses),
        "suspects": [suspect.model_dump() for suspect in doubted],
        "clusters": [{"name": one.name, "records": one.records, "of": one.of} for one in found],
    }


def _status(wanted: Wanted) -> int:
    from datakit.kfold.builds import check_choice, folder_of, no_folds
    from datakit.kfold.running import status_of

    recipe = _load(wanted, wanted.overrides)
    folder = folder_of(recipe)
    record = folder.record()
    if record is None:
        if folder.numbers:
            raise no_folds(folder, wanted.command)
        click.echo(f"There are no folds in {show_path(folder.path)}\nNext: {wanted.command}")
        return 0
    check_choice(wanted, recipe, folder)
    lines = status_of(
        folder,
        record,
        lambda number: _load(wanted, wanted.of_fold(number, recipe)),
        f"{wanted.command} --run",
    )
    for line in lines:
        click.echo(line)
    return 0
