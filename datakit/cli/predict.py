"""`datakit predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.numbers import FiniteNumber
from datakit.core.counted import counted
from datakit.core.shown_path import show_path

if TYPE_CHECKING:
    from datakit.serving.answer_table import Columns
    from datakit.serving.items import Item

EPILOG = """\b
Examples:
  datakit predict build/ecom_v3 --split val
  datakit predict build/ecom_v3 --split new_screens/ --base-url http://127.0.0.1:8001/v1
  datakit predict build/ecom_v3 --split test.jsonl --closed --out runs/test/predictions.jsonl
  datakit predict build/ecom_v3 --split test/ --format csv --columns id=image_id,label=predicted

\b
Fields of --columns: id, label (the truth), predicted, confidence, reason, answer, problem, model, what the
build's answers state, further columns of a .jsonl file, and of folders and files image (the first picture's
name) and image_id (the same without its suffix). Texts that a spreadsheet would compute are guarded by '.
"""


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath(outlives=True))
@click.option(
    "--split",
    default="val",
    show_default=True,
    metavar="WHAT",
    help="train, val, a folder of pictures, or a .jsonl file with id, image and maybe label.",
)
@click.option(
    "--base-url", default="http://127.0.0.1:8000/v1", show_default=True, help="Address of the server."
)
@click.option("--model", metavar="NAME", help="Served name; the server's only one if not given.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the answers. If not given, <build>-runs/RUN/predictions_WHAT_RUN.jsonl, where RUN is the"
    " training whose model is served.",
)
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option("--form", metavar="NAME", help="Answer form of new pictures, where a build has several.")
@click.option("--closed", is_flag=True, help="Let the server decode nothing but labels of the set.")
@click.option(
    "--max-answer-tokens",
    type=click.IntRange(min=1),
    metavar="N",
    help="Room for each turn of an answer; twice its longest trained one if not given.",
)
@click.option("--concurrency", type=click.IntRange(1, 1024), default=32, show_default=True, help="In flight.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N records.")
@click.option(
    "--timeout-s",
    type=FiniteNumber(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="Longest wait for an answer.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="csv: besides, a table of the answers with the same name, as a competition wants it.",
)
@click.option(
    "--columns",
    metavar="COLUMN=FIELD,…",
    help="Of the table, in order; id,label=predicted if not given.",
)
@click.option("--missing", metavar="VALUE", help="What stands in the table where there is no answer.")
@click.option(
    "--answers",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --format csv: make the table of these predictions, and ask nobody.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(
    build: Path,
    split: str,
    base_url: str,
    model: str | None,
    out: Path | None,
    task: str | None,
    form: str | None,
    closed: bool,
    max_answer_tokens: int | None,
    concurrency: int,
    limit: int | None,
    timeout_s: float,
    kind: str,
    columns: str | None,
    missing: str | None,
    answers: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Ask the served model about every record of a split of BUILD, of a folder, or of a file.

    Records of a split are asked with the very prompts of the build; others go through the recipe's OCR,
    description and templates first. Ctrl-C is safe: the same command goes on. Exit code 3: some records had
    no answer, run it again; 5: the server is gone, start it and run it again.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.run_ids import run_id
    from datakit.artifacts.tasks import of_task
    from datakit.core.answer_forms import contract_of
    from datakit.core.errors import UserError
    from datakit.run.progress import Progress
    from datakit.serving.answer_table import Columns
    from datakit.serving.asker import counts_as_trained
    from datakit.serving.classifier import Classifier
    from datakit.serving.endpoint import Endpoint
    from datakit.serving.predict import predict
    from datakit.serving.prompting import BuildPrompts
    from datakit.serving.records import SPLITS, items_of
    from datakit.serving.source_names import source_name

    folder = of_task(BuildFolder(build), task)
    if kind != "csv" and (columns is not None or missing is not None or answers is not None):
        raise click.UsageError("--columns, --missing and --answers belong to --format csv")
    if form is not None and split in SPLITS:
        raise UserError(
            f"the prompts of `{split}` are asked as the build holds them, each in its own form",
            remedy="Leave --form out, or give a folder or file of pictures.",
        )
    items = items_of(folder, split)[:limit]
    wanted = Columns.parse(columns, items, contract_of(folder.answer_format)) if kind == "csv" else None
    if answers is not None and wanted is not None:
        return _table(answers, (out or answers).with_suffix(".csv"), items, wanted, missing, as_json=as_json)
    if wanted is not None and out is not None and out.suffix == ".csv":
        out = out.with_suffix(".jsonl")  # the table has the name that was given
    prompts = BuildPrompts.load(folder, rendered=split in SPLITS, form=form)
    endpoint = Endpoint(base_url, timeout_s=timeout_s)
    options = _options(closed, form, max_answer_tokens)
    with Classifier(
        prompts,
        endpoint,
        model=model,
        closed=closed,
        max_answer_tokens=max_answer_tokens,
        concurrency=concurrency,
    ) as classifier:
        if folder.training_file is not None and counts_as_trained(folder.training):
            classifier.tell_other = lambda text: click.echo(f"Warning: {text}", err=True)
        served, root = classifier.identity
        run = run_id(folder.runs, served, root, base_url)
        name = "" if out else source_name(folder.runs / run, split)
        account = predict(
            classifier,
            items,
            out or folder.predictions_file(name, run),
            options=options,
            progress=Progress(quiet=quiet or as_json),
            earlier=None if out else folder.predictions_file(name),
        )
    if as_json:
        from datakit.cli.tables import print_json

        print_json(
            {
                "records": account.records,
                "answered": account.answered,
                "problems": dict(account.problems),
                "cut": {str(turn): count for turn, count in sorted(account.cut.items())},
                "retry": account.retry,
                "resumed": account.resumed,
                "weights_known": account.weights_known,
                "correct": account.correct,
                "known": account.known,
                "out": str(account.out),
                "run": run,
                "kept": account.kept and str(account.kept),
            }
        )
    else:
        click.echo(f"{account.text}\nWritten: {account.out}")
        if account.kept is not None:
            click.echo(f"Kept: predictions with other answers, which stood there: {account.kept}")
        if account.doubt and not account.retry:
            click.echo("Run the same command again to ask for all of them anew.")
        if account.retry:
            click.echo("Run the same command again for those that had no answer.")
    if wanted is not None:
        _table(account.out, account.out.with_suffix(".csv"), items, wanted, missing, as_json=as_json)
    return int(account.exit_code)


def _table(
    answers: Path, path: Path, items: Sequence[Item], columns: Columns, missing: str | None, *, as_json: bool
) -> int:
    """Writes the table of the answers in a file, and says so; on stderr where stdout is JSON."""
    from datakit.serving.answer_table import write_table

    written = write_table(path, items, answers, columns, missing)
    click.echo(f"Table: {show_path(written.path)} ({counted(len(items), 'row')})", err=as_json)
    if written.filled:
        click.echo(f"{len(written.filled):,} of them have {missing!r} where there is no answer.", err=as_json)
    if written.kept is not None:
        click.echo(f"Kept: another table, which stood there: {written.kept}", err=as_json)
    return 0


def _options(closed: bool, form: str | None, max_answer_tokens: int | None) -> str:
    """What of the options changes an answer; without the later ones the mark is that of earlier versions."""
    later = {"form": form, "max_answer_tokens": max_answer_tokens}
    return f"closed={closed}" + "".join(f" {name}={value}" for name, value in later.items() if value)
