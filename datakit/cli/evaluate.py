"""`datakit evaluate`."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.numbers import FiniteNumber
from datakit.core.counted import counted

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.evaluation.confusion import Pair
    from datakit.evaluation.evaluation import Evaluated, Evaluation
    from datakit.evaluation.taking_over import TakenOver
    from datakit.referee import Referee

EPILOG = """\b
Examples:
  datakit evaluate build/ecom_v3
  datakit evaluate build/ecom_v3 --predictions runs/a/predictions.jsonl --model qwen-ecom
  datakit evaluate build/ecom_v3 --predictions runs/a/predictions.jsonl --predictions runs/b/predictions.jsonl
  datakit evaluate build/captions --referee referee/judge_text.j2 --plan
  datakit evaluate results.tar
  datakit evaluate build/ecom_v3 --json | jq '.evaluations[0].metrics.macro_f1'

\b
Reads predictions.jsonl of `datakit predict`, and LLaMA-Factory's generated_predictions.jsonl.
Exit code 3: records of the split have no answer, or different ones (they count as wrong; --answered-only
leaves those without one out).
Exit code 4: the budget is spent before the referee has judged every answer."""
MOST_ROWS = 12
MOST_CHARS = 30


class BuildOrResults(BuildPath):
    """The folder of a build, or the results of a run that came from another machine."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(value)
        is_archive = path.suffix == ".tar" or (path.is_file() and path.suffix not in (".yaml", ".yml"))
        return path if is_archive and not path.is_dir() else super().convert(value, param, ctx)


@click.command(epilog=EPILOG)
@click.argument("build", metavar="BUILD|RESULTS", type=BuildOrResults())
@click.argument("of", metavar="[BUILD]", type=BuildPath(), required=False)
@click.option(
    "--predictions",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="The answers. Twice or more: the later ones are compared with the first. "
    "Without it, the only file of answers beside the build.",
)
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option("--split", default="val", show_default=True, help="The part of the build that was answered.")
@click.option(
    "--answered-only", is_flag=True, help="Leave out records without an answer, instead of failing them."
)
@click.option("--model", default="", help="Name of the model, where the file does not say.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the page; that of the answers if not given."
)
@click.option(
    "--tolerance",
    type=FiniteNumber(min=0),
    default=0.0,
    help="Of numbers: the largest error that counts as near enough; 0 if not given.",
)
@click.option(
    "--referee",
    metavar="TEMPLATE",
    help="Have free text judged from 0 to 1 by the model of the recipe's `llm:`, which sees the picture, such"
    " as referee/judge_text.j2. Verdicts are stored: none is paid twice. run.budget_usd holds.",
)
@click.option("--plan", is_flag=True, help="With --referee: say what it would cost, and stop.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --referee: replace a value of the recipe's llm: or run:, such as llm.model.",
)
@click.option(
    "--no-ledger", is_flag=True, help="Keep the scores out of data_cards/scores.jsonl and the card."
)
@click.option("--json", "as_json", is_flag=True, help="Print the evaluation as JSON on stdout.")
def command(
    build: Path,
    of: Path | None,
    files: tuple[Path, ...],
    task: str | None,
    split: str,
    answered_only: bool,
    model: str,
    out: Path | None,
    tolerance: float,
    referee: str | None,
    plan: bool,
    overrides: tuple[str, ...],
    no_ledger: bool,
    as_json: bool,
) -> int:
    """Score answers to the records of BUILD, joined by id.

    Prints accuracy, weighted and macro F1 with 95% intervals, the weakest classes and the pairs that are
    mixed up most; writes evaluation.json, a page (Markdown and HTML) and each record's outcome beside the
    answers. Several labels, numbers and free text have figures of their own; the build says what it is.

    RESULTS is the results.tar that a bundle's run.sh writes on another machine. Its answers and logs are
    taken over into <build>-runs/RUN/ and scored as if they had been asked here. Its build is found in the
    project by its content, unless a BUILD follows.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.tasks import of_task
    from datakit.cli.tables import print_json, print_kept
    from datakit.core.errors import Exit
    from datakit.evaluation.evaluation import Options
    from datakit.evaluation.for_machines import beside_document
    from datakit.evaluation.from_build import evaluate
    from datakit.evaluation.page import write_evaluation
    from datakit.evaluation.runs import find_predictions, page_names

    taken, warnings = None, list[str]()
    if not build.is_dir():
        build, taken, warnings = _take_over(build, of, quiet=as_json)
    elif of is not None:
        raise click.UsageError(f"{build} is a build, so a second one ({of}) has no meaning")
    build_folder = of_task(BuildFolder.open(build), task)
    if taken is not None:
        paths = [*files, taken.answers_to(split)]
    else:
        paths = list(files) or [find_predictions(build_folder, split)]
    options = Options(split=split, answered_only=answered_only, model=model, tolerance=tolerance)
    judge = None
    if referee is not None:
        judge = _referee(build_folder, referee, overrides, plan=plan, quiet=as_json)
        options = replace(options, judge=judge)
    elif plan or overrides:
        raise click.UsageError("--plan and --set belong to --referee")
    results = evaluate(build_folder, paths, options)
    if plan:
        return int(Exit.FINE)
    names = page_names(paths, out)
    written = [
        write_evaluation(result, build_folder, folder, name, print_kept if not as_json else None)
        for result, (folder, name) in zip(results, names, strict=True)
    ]
    if not as_json:
        for result, files_ in zip(results, written, strict=True):
            show(result, files_, build_folder)
    beside = [beside_document(result, build_folder) for result in results] if as_json else []
    ledger = None if no_ledger else _enter(results, written, build_folder, quiet=as_json)
    if as_json:
        documents = (result.evaluation.document() for result in results)
        evaluations = [{**document, **own} for document, own in zip(documents, beside, strict=True)]
        own: dict[str, Any] = {}
        if taken is not None:
            own = {"run": taken.run, "folder": str(taken.folder), "warnings": warnings}
        print_json({"evaluations": evaluations, "ledger": None if ledger is None else str(ledger), **own})
    if judge is not None and judge.stopped is not None:
        click.echo(str(judge.stopped), err=True)
        return int(judge.stopped.exit_code)
    partial = any(result.evaluation.is_partial for result in results)
    return int(Exit.PARTIAL if partial else Exit.FINE)


def _take_over(archive: Path, of: Path | None, *, quiet: bool) -> tuple[Path, TakenOver, list[str]]:
    """The build that results are of, where they lie now, and what speaks against their scores."""
    from datakit.artifacts.ablation_results import is_ablation_results
    from datakit.artifacts.build_folder import BuildFolder, builds_in
    from datakit.core.errors import UserError
    from datakit.core.scripts import shell_words
    from datakit.core.shown_path import show_path
    from datakit.evaluation.taking_over import build_of, take_over
    from datakit.handoff.other_base import other_base
    from datakit.recipe.recipe import project_of

    if archive.is_file() and is_ablation_results(archive):
        raise UserError(
            f"{archive} holds the results of an ablation, of several builds",
            remedy=f"Compare them: {shell_words(['datakit', 'ablate', 'RECIPE', '--results', str(archive)])}",
        )
    if of is not None:
        build = BuildFolder.open(of)
    else:
        projects = dict.fromkeys([project_of(Path.cwd()), project_of(archive.absolute().parent)])
        build = build_of(archive, (found for project in projects for found in builds_in(project / "build")))
    taken = take_over(archive, build)
    warnings = list(filter(None, [other_base(build, taken)]))
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not quiet:
        click.echo(f"Taken over from {archive}: run {taken.run}, into {show_path(taken.folder)}")
        if taken.run != taken.results.run:
            click.echo(f"It is called so because another run here is {taken.results.run} already.")
        for path in taken.answers:
            click.echo(f"  {path.name}")
        for path, now in taken.kept.items():
            click.echo(f"Kept: other answers, which stood at {show_path(path)}: {show_path(now)}")
        click.echo()
    return build.path, taken, warnings


def _referee(
    build: BuildFolder, template: str, overrides: tuple[str, ...], *, plan: bool, quiet: bool
) -> Referee:
    from datakit.referee import Referee
    from datakit.run.progress import Progress

    say = partial(click.echo, err=quiet)
    return Referee(build, template, overrides, say, Progress(quiet=quiet), plan_only=plan)


def _enter(
    results: list[Evaluated], written: list[list[Path]], build: BuildFolder, *, quiet: bool
) -> Path | None:
    """Enters the scores into the project's ledger and its data card; the ledger, None without a project."""
    from datakit.cli.tables import print_kept
    from datakit.core.shown_path import show_path
    from datakit.evaluation.entering import enter_scores

    ledger, added = enter_scores(results, written, build, print_kept if not quiet else None)
    if ledger is None:
        if not quiet:
            click.echo("The build lies in no project (a folder with recipes/), so no ledger was written.")
        return None
    if not quiet:
        state = f"{added} added" if added else "these answers are in it already"
        click.echo(f"Ledger: {show_path(ledger)} ({state}; see datakit scores)")
    return ledger


def show(result: Evaluated, written: list[Path], build: BuildFolder) -> None:
    """Prints the scores of a file of answers."""
    from datakit.artifacts.metric_names import metric, shown
    from datakit.cli.tables import print_table
    from datakit.core.shown_path import show_path
    from datakit.evaluation.beside import chance, last_score, shown_beside
    from datakit.evaluation.page import lead, notices
    from datakit.evaluation.page_parts import percent

    evaluation = result.evaluation
    click.echo(lead(evaluation))
    for notice in notices(evaluation):
        click.echo(f"Note: {notice}")
    click.echo()
    rows: list[tuple[str, ...]] = []
    by_chance, before = chance(result.outcomes), last_score(evaluation, build)
    for name, figure in evaluation.metrics.items():
        value, low, high = (shown(name, end) for end in (figure.value, figure.low, figure.high))
        beside = shown_beside(name, by_chance, before)[: 1 if before is None else 2]
        rows.append((metric(name).title, value, f"{low} to {high}", *beside))
    head = ("score", "", "95% interval", "by chance", *([] if before is None else [f"{before.name} before"]))
    print_table(head, rows, right=range(1, len(head)))
    _print_comparisons(evaluation)
    if evaluation.classes:
        _print_classes(evaluation)
    _print_mistakes(evaluation)
    _print_worst(evaluation)
    if evaluation.calibration is not None:
        click.echo(
            f"\nConfidence: {percent(evaluation.calibration.mean_confidence)} on average, "
            f"{percent(evaluation.calibration.accuracy)} right, "
            f"calibration error {percent(evaluation.calibration.ece)}"
        )
    page = next(path for path in written if path.suffix == ".html")
    click.echo(f"\nPage, which ends with what to do next: {show_path(page)}")


def _print_comparisons(evaluation: Evaluation) -> None:
    from datakit.artifacts.metric_names import metric, shown_change
    from datakit.cli.tables import print_table
    from datakit.evaluation.tasks import Task

    for comparison in evaluation.compared_with:
        test = (
            "" if comparison.mcnemar_p is None else f" (McNemar's exact test: p {comparison.mcnemar_p:.3g})"
        )
        click.echo(
            f"\nAgainst {comparison.run}, {counted(comparison.records, 'record')}: "
            f"{comparison.only_second:,} right here alone, {comparison.only_first:,} there alone{test}"
        )
        rows = [
            (
                metric(name).title,
                shown_change(name, value.interval.value),
                f"{shown_change(name, value.interval.low)} to {shown_change(name, value.interval.high)}",
                f"{value.p:.3g}",
                "yes" if value.significant else "no",
            )
            for name, value in comparison.differences.items()
        ]
        unit = "" if evaluation.task is Task.NUMBER else "points"
        print_table(("difference", unit, "95% interval", "p", "told from chance"), rows, right=(1, 2, 3))


def _print_classes(evaluation: Evaluation) -> None:
    from datakit.cli.tables import print_table
    from datakit.evaluation.page_parts import percent

    order = sorted(evaluation.classes, key=lambda figures: (figures.f1, -figures.support))
    rows = [
        (
            figures.label,
            str(figures.support),
            percent(figures.precision),
            percent(figures.recall),
            percent(figures.f1),
        )
        for figures in order[:MOST_ROWS]
    ]
    click.echo()
    print_table(("class, weakest first", "records", "precision", "recall", "F1"), rows, right=(1, 2, 3, 4))
    if len(order) > MOST_ROWS:
        click.echo(f"and {len(order) - MOST_ROWS} more, see the page")


def _print_mistakes(evaluation: Evaluation) -> None:
    from datakit.cli.tables import print_table
    from datakit.evaluation.page_parts import PROBLEMS, WITHOUT, percent

    if evaluation.pairs:
        click.echo()
        rows = [
            (
                pair.truth,
                pair.answered,
                str(pair.count),
                percent(pair.share),
                pair.examples[0].id,
                _beside(pair),
            )
            for pair in evaluation.pairs[:MOST_ROWS]
        ]
        head = ("truth", "answered", "records", "of the class", "such as", "beside right ones of each")
        print_table(head, rows, right=(2, 3))
    for kind, count in evaluation.problems.items():
        what = WITHOUT[evaluation.task]
        click.echo(f"{count:,} without a {what}: {kind} ({PROBLEMS.get(kind, 'see the file')})")


def _beside(pair: Pair) -> str:
    """An id of either label that shows what it looks like."""
    first = (examples[0].id for examples in pair.beside.values() if examples)
    return ", ".join(first)


def _print_worst(evaluation: Evaluation) -> None:
    from datakit.artifacts.metric_names import shown
    from datakit.cli.tables import print_table

    if not evaluation.worst:
        return
    name = next(iter(evaluation.worst[0].scores))
    rows = [
        (
            worst.id,
            _short(" / ".join(worst.truth)),
            _short(worst.answered or f"({worst.problem})"),
            "·" if (value := worst.scores[name]) is None else shown(name, value),
        )
        for worst in evaluation.worst[:MOST_ROWS]
    ]
    click.echo()
    print_table(("worst answers", "truth", "answered", "score"), rows, right=(3,))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:MOST_CHARS]}…" if len(line) > MOST_CHARS else line
