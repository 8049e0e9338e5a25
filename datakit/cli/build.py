"""`datakit build`."""

from __future__ import annotations

from pathlib import Path

import click

from datakit.cli.recipe_path import LIMIT_HELP, OUT_HELP, RecipePath, set_option

EPILOG = """\b
Examples:
  datakit build recipes/ecom_v3.yaml
  datakit build                        # in a project with one recipe
  datakit build recipes/ecom_v3.yaml --limit 20
  datakit build recipes/ecom_v3.yaml --set run.concurrency=8 --set annotate.ocr.engine=paddleocr
"""


@click.command(epilog=EPILOG)
@click.argument("recipe", type=RecipePath(), required=False)
@click.option("--out", type=click.Path(path_type=Path), help=OUT_HELP)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=LIMIT_HELP)
@set_option
@click.option("--force", is_flag=True, help="Build even if nothing has changed (stored results are used).")
@click.option("--allow-partial", is_flag=True, help="Build without the records that are left to retry.")
@click.option("--no-card", is_flag=True, help="Make no data card. One of an earlier build is marked as such.")
@click.option("--no-check", is_flag=True, help="Build although the trainer would stop or drop records.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, no table.")
def command(
    recipe: Path | None,
    out: Path | None,
    limit: int | None,
    overrides: tuple[str, ...],
    force: bool,
    allow_partial: bool,
    no_card: bool,
    no_check: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Make the data set of RECIPE: LLaMA-Factory files, training configuration, data card.

    Without RECIPE: the only one of the project here. A folder lists the recipes in it.

    What OCR or a model answered before is taken from the result store; only what is new is worked on.
    Ctrl-C is safe: run the same command to go on.
    """
    from datakit.cli.recipe_path import only_recipe
    from datakit.cli.tables import print_build
    from datakit.library import build
    from datakit.run.build import FailedOn, Options
    from datakit.run.progress import Progress

    options = Options(out=out, limit=limit, force=force, allow_partial=allow_partial)
    progress = Progress(quiet=quiet or as_json)
    try:
        result = build(
            recipe or only_recipe("build"),
            overrides=overrides,
            options=options,
            progress=progress,
            card=not no_card,
            check=not no_check,
        )
    except FailedOn as error:
        if as_json:
            print_build(error.result, as_json=True, quiet=quiet)
        raise
    print_build(result, as_json=as_json, quiet=quiet)
    return int(result.exit_code)
