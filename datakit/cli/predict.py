"""`datakit predict`."""

from __future__ import annotations

from pathlib import Path

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.numbers import FiniteNumber

EPILOG = """\b
Examples:
  datakit predict build/ecom_v3 --split val
  datakit predict build/ecom_v3 --split new_screens/ --base-url http://127.0.0.1:8001/v1
  datakit predict build/ecom_v3 --split test.jsonl --closed --out runs/test/predictions.jsonl
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
    help="predictions.jsonl; in <build>-runs/ if not given.",
)
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
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def command(
    build: Path,
    split: str,
    base_url: str,
    model: str | None,
    out: Path | None,
    form: str | None,
    closed: bool,
    max_answer_tokens: int | None,
    concurrency: int,
    limit: int | None,
    timeout_s: float,
    as_json: bool,
    quiet: bool,
) -> int:
    """Ask the served model about every record of a split of BUILD, of a folder, or of a file.

    Records of a split are asked with the very prompts of the build; others go through the recipe's OCR,
    description and templates first. Ctrl-C is safe: the same command goes on. Exit code 3: some records had
    no answer, run it again; 5: the server is gone, start it and run it again.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.core.errors import UserError
    from datakit.run.progress import Progress
    from datakit.serving.classifier import Classifier
    from datakit.serving.endpoint import Endpoint
    from datakit.serving.predict import predict
    from datakit.serving.prompting import BuildPrompts
    from datakit.serving.records import SPLITS, items_of

    folder = BuildFolder(build)
    if form is not None and split in SPLITS:
        raise UserError(
            f"the prompts of `{split}` are asked as the build holds them, each in its own form",
            remedy="Leave --form out, or give a folder or file of pictures.",
        )
    prompts = BuildPrompts.load(folder, rendered=split in SPLITS, form=form)
    items = items_of(folder, split)[:limit]
    name = split if split in SPLITS else Path(split).stem or "folder"
    target = out or folder.predictions_file(name)
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
        progress = Progress(quiet=quiet or as_json)
        account = predict(classifier, items, target, options=options, progress=progress)
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
                "correct": account.correct,
                "known": account.known,
                "out": str(account.out),
                "kept": account.kept and str(account.kept),
            }
        )
    else:
        click.echo(f"{account.text}\nWritten: {account.out}")
        if account.kept is not None:
            click.echo(f"Kept: predictions with other answers, which stood there: {account.kept}")
        if account.retry:
            click.echo("Run the same command again for those that had no answer.")
    return int(account.exit_code)


def _options(closed: bool, form: str | None, max_answer_tokens: int | None) -> str:
    """What of the options changes an answer; without the later ones the mark is that of earlier versions."""
    later = {"form": form, "max_answer_tokens": max_answer_tokens}
    return f"closed={closed}" + "".join(f" {name}={value}" for name, value in later.items() if value)
