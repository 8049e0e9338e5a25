"""`datakit diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli import completing
from datakit.cli.build_path import BuildPath

if TYPE_CHECKING:
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cards.diff import Diff

EPILOG = """\b
Examples:
  datakit diff build/ecom_v2 build/ecom_v3
  datakit diff /backup/build/ecom_v3 build/ecom_v3 && echo the same
  datakit diff build/ecom_v2 build/ecom_v3 --html changes.html
  datakit diff build/ecom_v2 build/ecom_v3 --fail-on 'labels>1%,removed>0'
  datakit diff build/ecom_v2 build/ecom_v3 --json | jq .labels

\b
Limits of --fail-on, NAME>NUMBER or NAME>SHARE%:
  labels         records of both with another label
  splits         records of both in another part
  added          new records, of those before
  removed        records that are gone, of those before
  changed        records of both of which anything differs
  prompts        records of both with another prompt
  answers        records of both with another answer
  balance        points by which the share of a class in training moved most
  prompt_length  mean characters of a prompt in training (with its system
                 text), up or down
  answer_length  mean characters of an answer in training, up or down
  settings       lines of the recipe, files and sources that differ
  score_drop     points that a score fell at least, by its 95% interval (of an
                 error in numbers: percent that it grew); both are evaluated

\b
Exit code 0: both hold the same records and chats; with --fail-on: no limit is
passed. 1: they differ; with --fail-on: a limit is passed."""


@click.command(epilog=EPILOG)
@click.argument("before", metavar="BUILD_A", type=BuildPath())
@click.argument("after", metavar="BUILD_B", type=BuildPath())
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Show N of each kind of difference.")
@click.option("--all", "is_all", is_flag=True, help="Show all; by default what fits the screen.")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a page of it as well, in the data's language.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="LIMITS",
    shell_complete=completing.limits,
    help="End with 1 only where more differs, such as labels>1%; several behind commas.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON on stdout.")
def command(
    before: Path,
    after: Path,
    limit: int | None,
    is_all: bool,
    html: Path | None,
    fail_on: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say what differs between BUILD_A and BUILD_B: labels, records, settings, texts, classes, scores.

    Records are joined by id. Columns are compared value by value, pictures by name, chats as they were
    emitted; places in sources are not. Of prompts and answers the most changed are told word by word:
    [-gone-] and {+new+}.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.cards.diff import MOST_TEXTS
    from datakit.cards.diff_limits import limits_of, passed
    from datakit.cli.tables import print_json
    from datakit.compared_builds import compare
    from datakit.core.errors import Exit
    from datakit.core.shown_path import show_path

    limits = limits_of(fail_on)
    texts = ALL_TEXTS if is_all else max(limit or 0, MOST_TEXTS)
    old, new = BuildFolder.open(before), BuildFolder.open(after)
    differences = compare(old, new, texts=texts)
    failures = passed(differences, limits)
    if html is not None:
        _write_page(differences, new, html)
    if as_json:
        print_json({**differences.model_dump(), **({"failed": failures} if limits else {})})
    else:
        show(differences, limit, is_all=is_all)
        if html is not None:
            click.echo(f"Page: {show_path(html)}")
        for failure in failures:
            click.echo(f"FAILED {failure}")
        if limits and not failures:
            click.echo(f"No limit is passed: {', '.join(limit.text for limit in limits)}")
    fails = bool(failures) if limits else not differences.same
    return int(Exit.FAILED if fails else Exit.FINE)


def _write_page(diff: Diff, after: BuildFolder, path: Path) -> None:
    """The page in the language of the later build; a file in its place that is not its own is set aside."""
    from datakit.cards.diff_sections import diff_page
    from datakit.cards.language import language_of_card
    from datakit.cards.samples import first_rows
    from datakit.cli.tables import print_kept
    from datakit.core.errors import UserError
    from datakit.pages.writing import write_page

    if path.is_dir():
        raise UserError(f"{path} is a folder", remedy="Name a file: --html changes.html")
    page = diff_page(diff, language_of_card(after, first_rows(after)))
    write_page(page, path, lambda old, now: print_kept(old, now, err=True))


ALL_TEXTS = 200
"""Prompts, and answers, of --all."""


def show(diff: Diff, most: int | None = None, *, is_all: bool = False) -> None:
    """Prints what differs: `most` lines of each kind, all, or as many as a screen holds."""
    from datakit.cli.diff_told import print_diff

    print_diff(diff, most, is_all=is_all)
