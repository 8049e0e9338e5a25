"""`datakit labels audit`, and the group that `datakit labels propose` is in too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datakit.cli.build_path import BuildPath
from datakit.cli.label_proposals import propose, said
from datakit.core.counted import counted

if TYPE_CHECKING:
    from datakit.evaluation.label_audit.findings import Claim, Fit, Keyword, LabelAudit, LabelPair

EPILOG = """\b
Examples:
  datakit labels audit build/ecom_v3
  datakit labels audit build/ecom_v3 --limit 0
  datakit labels audit build/ecom_v3 --json | jq -r '.pairs[].sentences'
  datakit labels propose build/ecom_v3
"""


@click.group(epilog=EPILOG)
def command() -> None:
    """Look at a label file: what it says, and what the pictures of its classes bear."""


command.add_command(propose)


@command.command("audit", epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option(
    "--limit", type=click.IntRange(0), default=10, show_default=True, help="Rows of a table; 0: all."
)
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def audit(build: Path, limit: int, task: str | None, as_json: bool) -> int:
    """Say where labels and the text of their pictures do not agree.

    Which descriptions fit other classes better than their own; which clauses of them no picture of the class
    bears out; which keywords never stand there, or more often elsewhere; which labels are mixed up or alike
    without a sentence that tells them apart; and what the label file lacks. The text is what annotate.ocr
    read; mistakes are those of the newest evaluation, where there is one. Nothing is changed and nothing is
    called.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.tasks import of_task
    from datakit.cli.tables import print_json
    from datakit.core.shown_path import show_path
    from datakit.evaluation.label_audit.audit import audit as look
    from datakit.evaluation.label_audit.audit import labels_path

    folder = of_task(BuildFolder.open(build), task)
    result = look(folder)
    if as_json:
        print_json(result.model_dump())
    else:
        _print(result, show_path(labels_path(folder)), said(build, task), limit)
    return 0


def _print(result: LabelAudit, labels_file: str, build: str, limit: int) -> None:
    read = "" if result.read == result.records else f", {result.read:,} of them looked at"
    click.echo(f"{labels_file}: {counted(result.records, 'record')} with a text in `{result.column}`{read}")
    if result.edited:
        click.echo(f"Note: {result.edited}")
    if result.evaluation:
        earlier = "" if result.evaluation_is_of_build else ", of an earlier build"
        click.echo(f"Mistakes: {result.evaluation}{earlier}")
    else:
        click.echo(f"Mistakes: none counted, since nothing was scored yet (datakit evaluate {build})")
    unfit = [fit for fit in result.fits if fit.fits < fit.records or fit.wrong]
    _table("Descriptions that fit their own class worst", _FIT, [_fit(fit) for fit in unfit], limit)
    _table(
        "Clauses that the text does not bear out", _CLAIM, [_claim(claim) for claim in result.claims], limit
    )
    _table("Keywords that tell little", _KEYWORD, [_keyword(word) for word in result.keywords], limit)
    _table("Pairs that need a sentence of difference", _PAIR, [_pair(pair) for pair in result.pairs], limit)
    click.echo()
    for name, labels in result.without.items():
        if labels:
            click.echo(f"Without `{name}`: {'、'.join(labels)}")
    if result.few:
        few = "、".join(f"{name} ({count})" for name, count in result.few.items())
        click.echo(f"Clauses and keywords not judged, fewer than 3 texts: {few}")
    for line in _next(result, labels_file, build):
        click.echo(line)


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], limit: int) -> None:
    from datakit.cli.tables import print_table

    click.echo(f"\n{title}: {len(rows) or 'none'}")
    if rows:
        print_table(head, rows[:limit] if limit else rows)
        if limit and len(rows) > limit:
            click.echo(f"The first {limit}; all: --limit 0")


_FIT = ("label", "fits", "nearer to", "answered wrong")
_CLAIM = ("label", "clause", "what was read")
_KEYWORD = ("label", "keyword", "own class", "more often in")
_PAIR = ("labels", "mistakes", "alike", "confusable_with")


def _fit(fit: Fit) -> tuple[str, ...]:
    nearer = f"{fit.rival} ({fit.rival_fits})" if fit.rival else f"no class ({fit.rival_fits})"
    wrong = f"{fit.wrong} of {fit.support}, {fit.answered}" if fit.wrong else ""
    return fit.label, f"{fit.fits} of {fit.records}", nearer if fit.rival_fits else "", wrong


def _claim(claim: Claim) -> tuple[str, ...]:
    if claim.kind == "denied":
        words = f"stands on {claim.records - claim.holds} of {claim.records}, though denied"
    elif claim.kind == "elsewhere":
        words = f"on none of {claim.records}, but on {claim.other_holds} of {claim.other}"
    else:
        words = f"on none of {claim.records}, nor elsewhere: about the look, or wrong"
    return claim.label, claim.clause, words


def _keyword(word: Keyword) -> tuple[str, ...]:
    other = f"{word.other} ({word.other_holds} of {word.other_records})" if word.other else ""
    return word.label, word.keyword, f"{word.holds} of {word.records}", other


def _pair(pair: LabelPair) -> tuple[str, ...]:
    names = f"{pair.first} / {pair.second}"
    return names, str(pair.mistakes), f"{pair.alike} of {pair.records}", "yes" if pair.declared else "no"


def _next(result: LabelAudit, labels_file: str, build: str) -> Iterator[str]:
    """What is to be done, with the lines that it takes."""
    from datakit.evaluation.label_audit.audit import has_findings

    if not has_findings(result):
        yield "Nothing stands out. Look at the records themselves: datakit why BUILD ID"
        return
    yield ""
    yield f"Next: mend {labels_file}, build again, and look again: datakit labels audit {build}"
    if result.pairs:
        yield f"Words that tell the labels of a pair apart, to be written in: datakit labels propose {build}"
        yield "Sentences to add to the descriptions, to be read first:"
        sentences = (entry for pair in result.pairs[:3] for entry in pair.sentences.items())
        yield from (f"  {name}: {words}" for name, words in sentences)
