"""`datakit scores`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datakit.artifacts.ledger import Score
    from datakit.evaluation.explaining import Explanation
    from datakit.evaluation.ledger import Entry

EPILOG = """\b
Examples:
  datakit scores
  datakit scores ecom
  datakit scores recipes/ecom_v3.yaml
  datakit scores ecom --explain
  datakit scores 'ecom_*' --json | jq '.scores[] | {name: .score.name, changes}'

\b
The ledger is data_cards/scores.jsonl in the project; `datakit evaluate` and `datakit ablate` write it."""


@click.command(epilog=EPILOG)
@click.argument("recipe_or_name", required=False, default="")
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project; that of the recipe or of the working folder when not given.",
)
@click.option("--explain", is_flag=True, help="Say what each recipe line that differs did to the accuracy.")
@click.option("--json", "as_json", is_flag=True, help="Print the history as JSON on stdout.")
def command(recipe_or_name: str, project: Path | None, explain: bool, as_json: bool) -> int:
    """Show every score in the ledger, and what changed since the one before it.

    RECIPE_OR_NAME chooses a recipe, a family (`ecom` is ecom_v1, ecom_v2 …) or a pattern; all when not given.
    A difference is told from chance by a paired bootstrap, where both runs still have their outcomes.

    With --explain: all versions of the family are compared at once, ablations too, on the records that they
    share, and what they differ by is shared out to the lines of the recipe that differ, with intervals. Lines
    that always came together stay together.
    """
    from datakit.artifacts.ledger import ledger_of, read_scores
    from datakit.artifacts.names import LEDGER
    from datakit.cli.tables import print_json
    from datakit.core.errors import UserError, did_you_mean
    from datakit.evaluation.ledger import family, history

    home, name = _resolve(recipe_or_name, project)
    ledger = ledger_of([home])
    if ledger is None:
        raise UserError(
            f"no scores yet: there is no {home / LEDGER}", remedy="Make one: datakit evaluate BUILD"
        )
    scores = read_scores(ledger)
    entries = history(scores, home, name=name)
    ablated = _ablations(scores, name)
    if not entries and not ablated and name:
        names = sorted({score.name for score in scores} | {family(score.name) for score in scores})
        hint = did_you_mean(name, names) or f"Recipes there: {', '.join(names) or 'none'}."
        raise UserError(f"the ledger has no score of `{name}`", remedy=hint)
    if explain:
        return _explain(scores, home, [entry.score for entry in entries] + ablated, as_json=as_json)
    if as_json:
        document = {"ledger": str(ledger), "scores": [_plain(entry) for entry in entries]}
        lines = [score.model_dump(exclude={"task"}) for score in ablated]
        print_json({**document, **({"ablations": lines} if lines else {})})
    else:
        _print(entries)
        _print_ablations(ablated, after=bool(entries))
    return 0


def _ablations(scores: Sequence[Score], name: str) -> list[Score]:
    """The lines of the last ablation of each recipe that `name` chooses, the base first."""
    from fnmatch import fnmatchcase

    from datakit.cards.ablation import last_ablation
    from datakit.evaluation.ledger import family

    recipes = dict.fromkeys(score.name for score in scores if score.ablation is not None)
    chosen = [own for own in recipes if not name or name in (own, family(own)) or fnmatchcase(own, name)]
    return [line for own in chosen for line in last_ablation(list(scores), own)]


def _print_ablations(lines: Sequence[Score], *, after: bool) -> None:
    from datakit.cli.tables import print_table

    rows = []
    for line in lines:
        own = line.ablation
        assert own is not None  # `_ablations` gives no others
        effect = own.effect.get("accuracy")
        figures = ("·", "·")
        if effect is not None:
            ends = f"{100 * effect.low:+.1f} to {100 * effect.high:+.1f}"
            figures = (f"{100 * effect.value:+.1f}", ends)
        accuracy = f"{line.metrics['accuracy'].value:.1%}"
        rest = (f"{line.records:,}", accuracy, *figures, own.verdict or "·")
        rows.append((line.date[:10], line.name, own.change or "base", *rest))
    if rows:
        if after:
            click.echo()
        head = ("ablation", "recipe", "change", "records", "accuracy", "points", "95% interval", "verdict")
        print_table(head, rows, right=(3, 4, 5, 6))


def _explain(scores: Sequence[Score], home: Path, shown: Sequence[Score], *, as_json: bool) -> int:
    from datakit.cli.tables import print_json
    from datakit.evaluation.explaining import explain
    from datakit.evaluation.ledger import family

    families = dict.fromkeys(family(score.name) for score in shown if score.task == "label")
    found = [one for name in families for one in explain(scores, home, name)]
    if as_json:
        print_json({"explanations": [_plain_explanation(one) for one in found]})
        return 0
    for at, one in enumerate(found):
        if at:
            click.echo()
        _print_explanation(one)
    if not found:
        click.echo("No scores of one label: only their versions are explained.")
    return 0


def _plain_explanation(one: Explanation) -> dict[str, Any]:
    return {
        "family": one.family,
        "split": one.split,
        "against": {"name": one.first.name, "date": one.first.date, "state": one.first.inputs.version},
        "evaluations": one.versions,
        "records": one.records,
        "training_noise": one.noise,
        "left_out": list(one.left_out),
        "lines": [
            {
                "lines": list(line.texts),
                "effect": {"value": line.effect.value, "low": line.effect.low, "high": line.effect.high},
                "p": line.p,
                "p_holm": line.p_holm,
                "verdict": line.verdict,
                "evaluations": line.versions,
                "separable": line.separable,
            }
            for line in one.lines
        ],
    }


def _print_explanation(one: Explanation) -> None:
    from datakit.cli.tables import print_table

    what = f"{one.family}, {one.split}"
    if one.lines:
        first = f"{one.first.name} of {one.first.date[:16].replace('T', ' ')}"
        click.echo(f"{what}: {one.versions} evaluations against {first}, on {one.records:,} common records")
        rows = [
            (
                " + ".join(line.texts),
                f"{100 * line.effect.value:+.1f}",
                f"{100 * line.effect.low:+.1f} to {100 * line.effect.high:+.1f}",
                f"{line.p_holm:.3g}",
                line.verdict if line.separable else f"{line.verdict}, not told apart",
            )
            for line in one.lines
        ]
        print_table(("line", "points", "95% interval", "p", "verdict"), rows, right=(1, 2, 3))
        click.echo(f"p is corrected for {len(one.lines)} lines (Holm); effects are taken to add up")
        if any(not line.separable for line in one.lines):
            click.echo("Not told apart: no two versions differ by it alone; `datakit ablate` makes such")
        if one.noise is None:
            click.echo("Nothing was trained twice, so the luck of a training counts as an effect: --seeds")
        else:
            click.echo(f"From training to training the accuracy varies by {100 * one.noise:.1f} points (sd)")
    else:
        click.echo(
            f"{what}: nothing to explain: {one.versions} evaluations that can be compared differ in nothing"
        )
    for words in one.left_out:
        click.echo(f"Left out: {words}")


def _resolve(text: str, project: Path | None) -> tuple[Path, str]:
    """The project, and the name to look for."""
    from datakit.recipe.recipe import project_of

    if Path(text).suffix not in (".yaml", ".yml"):
        return project or project_of(Path.cwd()), text
    from datakit.library import load

    recipe = load(text)
    return project or recipe.project, recipe.name


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "score": entry.score.model_dump(exclude={"task"} if entry.score.task == "label" else None),
        "run": entry.score.run_id,
        "version": entry.number,
        "state": entry.score.inputs.version,
        "before": None
        if entry.before is None
        else {"name": entry.before.name, "date": entry.before.date, "state": entry.before.inputs.version},
        "changes": list(entry.changes),
        "difference": entry.difference,
        "compared": entry.compared,
    }


def _print(entries: list[Entry]) -> None:
    from datakit.artifacts.metric_names import main_metrics, metric
    from datakit.cli.tables import print_table

    tasks = list(dict.fromkeys(entry.score.task for entry in entries))
    for at, task in enumerate(tasks):
        if at:
            click.echo()
        first, *others = main_metrics(task) or ("",)
        rows = [_row(entry, first, others) for entry in entries if entry.score.task == task]
        head = ("date", "recipe", "version", "model", "run", "split", "records")
        titles = [metric(name).title for name in others]
        columns = (*head, metric(first).title, "95% interval", *titles, f"{metric(first).title} since")
        print_table(columns, rows, right=(2, *range(6, len(columns))))
    for entry in entries:
        _print_changes(entry)


def _row(entry: Entry, first: str, others: Sequence[str]) -> tuple[str, ...]:
    from datakit.artifacts.metric_names import shown, shown_ends

    score = entry.score
    figure = score.metrics.get(first)
    other_figures = [score.metrics.get(name) for name in others]
    return (
        score.date[:10],
        score.name,
        str(entry.number),
        score.model or "·",
        score.run_id or score.run,
        score.split,
        f"{score.records:,}",
        shown(first, figure.value) if figure else "·",
        shown_ends(first, figure.low, figure.high) if figure else "·",
        *(
            shown(name, other_figure.value) if other_figure else "·"
            for name, other_figure in zip(others, other_figures, strict=True)
        ),
        _moved(entry, first),
    )


def _moved(entry: Entry, name: str) -> str:
    from datakit.artifacts.metric_names import shown_change

    before = entry.before.metrics.get(name) if entry.before else None
    after = entry.score.metrics.get(name)
    return shown_change(name, after.value - before.value) if before and after else "·"


def _print_changes(entry: Entry) -> None:
    if entry.before is None:
        return
    before = entry.before
    click.echo(
        f"\n{entry.score.name} of {entry.score.date[:16].replace('T', ' ')} "
        f"since {before.name} of {before.date[:16].replace('T', ' ')}:"
    )
    for change in entry.changes or ("nothing changed in recipe, templates, labels or data",):
        click.echo(f"  {change}")
    if entry.difference is None:
        click.echo("  The outcomes of the two share no record, or are not kept: chance is not ruled out.")
        return
    from datakit.artifacts.metric_names import main_metrics, metric, shown_change

    name = main_metrics(entry.score.task)[0]
    interval = entry.difference.interval
    verdict = "told from chance" if entry.difference.significant else "may be chance"
    if interval.low == interval.high == 0:
        verdict = "the same records are right"
    title, unit = metric(name).title, " points" if metric(name).is_share else ""
    ends = f"{shown_change(name, interval.low)} to {shown_change(name, interval.high)}"
    click.echo(
        f"  {title[0].upper()}{title[1:]} {shown_change(name, interval.value)}{unit} ({ends}, "
        f"p {entry.difference.p:.3g}) on the {entry.compared:,} records that both have: {verdict}."
    )
