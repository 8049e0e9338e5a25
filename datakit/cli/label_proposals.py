"""`datakit labels propose`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datakit.cli.build_path import BuildPath

if TYPE_CHECKING:
    from datakit.evaluation.label_proposals.proposing import LabelProposal
    from datakit.label_proposals import Edited, Proposals

EPILOG = """\b
Examples:
  datakit labels propose build/ecom_v3
  datakit labels propose build/ecom_v3 --predictions runs/a/predictions.jsonl
  datakit labels propose build/ecom_tasks --task screens
  datakit labels propose build/ecom_v3 --write
  datakit labels propose build/ecom_v3 --accept b9cf82 --accept f46e6a
"""


@click.command("propose", epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="Answers whose mistakes count; without it, those of the newest evaluation.",
)
@click.option("--split", default="val", show_default=True, help="The part of the build that was answered.")
@click.option("--write", "ask", is_flag=True, help="Ask about each proposal, and write those you take.")
@click.option(
    "--accept",
    "ids",
    multiple=True,
    metavar="ID",
    help="Write this proposal into the label file; `all` takes each that fits.",
)
@click.option("--task", metavar="NAME", help="The task that is meant, of a build of several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def propose(
    build: Path,
    predictions: Path | None,
    split: str,
    ask: bool,
    ids: tuple[str, ...],
    task: str | None,
    as_json: bool,
) -> int:
    """Propose sentences that tell labels apart, and write them.

    A sentence names words that stand on many training pictures of the label and on few of the other one's,
    and that are the screen's own: no names, dates, prices, places or products. Each has a count to judge it
    by. Prompts are written with all of them, to say whether they still fit. Nothing is written unless you
    take proposals, with --write or --accept: the diff comes first, and comments, quotes and order of the file
    stay. An edited label file or recipe is refused: build again first.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.tasks import of_task
    from datakit.cli.tables import print_json
    from datakit.core.errors import UserError
    from datakit.core.shown_path import show_path
    from datakit.label_proposals import Proposals

    if ask and (ids or as_json):
        raise UserError(
            "--write asks about each proposal", remedy="Leave out --accept and --json, or --write."
        )
    found = Proposals.of(of_task(BuildFolder.open(build), task), predictions, split)
    if not as_json:
        _print(found, said(build, task))
    accepted = _asked(found) if ask else found.chosen(ids)
    edited = found.edit(accepted) if accepted else None
    if edited is not None:
        if not as_json:
            click.echo(f"\n{edited.diff}", nl=False)
        edited.write()
    if as_json:
        print_json(_document(found, accepted, edited))
    elif edited is not None:
        written = f"{show_path(edited.path)}, {_count(accepted)}"
        click.echo(f"\nWritten: {written}. Build again: datakit build {_recipe(found)}")
    return 0


def said(build: Path, task: str | None) -> str:
    """The build as the arguments of a command name it."""
    from datakit.core.scripts import shell_words

    return shell_words([str(build), *(["--task", task] if task is not None else [])])


def _print(found: Proposals, build: str) -> None:
    from datakit.cli.tables import print_table
    from datakit.evaluation.proposals import DESCRIPTION_MAX_CHARS

    if found.edit_of_build:
        click.echo(f"Note: {found.edit_of_build}")
    if found.mistakes is None:
        click.echo(f"Mistakes: none counted, since nothing was scored yet (datakit evaluate {build})")
    else:
        earlier = "" if found.mistakes.is_of_build else ", of an earlier build"
        click.echo(f"Mistakes: {found.mistakes.source}{earlier}")
        for line in found.mistakes.odd:
            click.echo(f"Note: {line}")
    proposals = [*found.fitting, *found.too_long]
    click.echo(f"\nProposals: {len(proposals) or 'none'}")
    if proposals:
        head = ("id", "label", "told from", "mistakes", "alike", "words, on how many")
        print_table(head, [_row(own) for own in proposals], right=(3, 4))
        click.echo()
    for own in proposals:
        click.echo(f"{own.id} {own.label}: {own.added or '(no sentence)'}")
        if own.confusable:
            click.echo(f"       confusable_with: + {', '.join(own.confusable)}")
    click.echo()
    for own in found.no_room:
        words = "、".join(word.word for word in own.words)
        click.echo(f"No room in the description of {own.label} ({DESCRIPTION_MAX_CHARS} characters): {words}")
    for line in _room_lines(found):
        click.echo(line)


def _row(own: LabelProposal) -> tuple[str, ...]:
    words = "; ".join(
        f"{word.word} {word.holds}/{word.records}, there {word.rival_holds}/{word.rival_records}"
        + (", at one height" if word.steady else "")
        for word in own.words
    )
    return own.id, own.label, "、".join(own.rivals), str(own.mistakes), str(own.alike), words


def _room_lines(found: Proposals) -> Iterator[str]:
    """Whether the prompts still fit."""
    before, after = found.before, found.after
    if before is None or after is None:
        yield "Whether prompts still fit is not known: the recipe is gone, or makes none with render.chat."
        return
    bound = f"{after.bound:,} allowed" if after.bound is not None else "no bound"
    yield (
        f"With all that fit: {after.prompts:,} prompts, the longest {after.longest:,} characters ({bound}; "
        f"{before.longest:,} before), too long {after.too_long:,} ({before.too_long:,} before)"
    )
    if after.shortened != before.shortened:
        yield f"Prompts of which a column gives way: {after.shortened:,} ({before.shortened:,} before)"
    if found.too_long:
        yield f"Do not fit, and are not written: {', '.join(own.id for own in found.too_long)}"
    if found.fitting:
        yield "Write those you take: --write asks about each, --accept ID takes one"


def _asked(found: Proposals) -> Sequence[LabelProposal]:
    """The proposals that a person takes, one by one."""
    from datakit.core.errors import UserError

    if found.fitting and not sys.stdin.isatty():
        raise UserError(
            "--write asks a person, and nobody is at the terminal",
            remedy="Name the proposals: --accept ID, or --accept all.",
        )
    taken = []
    for own in found.fitting:
        click.echo(f"\n{own.label}: {own.added or '(no sentence)'}")
        if own.confusable:
            click.echo(f"confusable_with: + {', '.join(own.confusable)}")
        answer = click.prompt("Take it?", type=click.Choice(["y", "n", "q"]), default="n")
        if answer == "q":
            break
        if answer == "y":
            taken.append(own)
    return taken


def _document(found: Proposals, accepted: Sequence[LabelProposal], edited: Edited | None) -> dict[str, Any]:
    blocked = {own.id for own in found.too_long}
    taken = {own.id for own in accepted}
    return {
        "evaluation": found.mistakes.source if found.mistakes else "",
        "edited": found.edit_of_build,
        "notes": list(found.mistakes.odd) if found.mistakes else [],
        "proposals": [
            {"id": own.id, **asdict(own), "fits": own.id not in blocked, "accepted": own.id in taken}
            for own in (*found.fitting, *found.too_long)
        ],
        "no_room": [
            {"label": own.label, "words": [word.word for word in own.words]} for own in found.no_room
        ],
        "prompts": {
            "before": asdict(found.before) if found.before else None,
            "after": asdict(found.after) if found.after else None,
        },
        "diff": edited.diff if edited else "",
        "written": str(edited.path) if edited else None,
    }


def _count(accepted: Sequence[LabelProposal]) -> str:
    return f"{len(accepted):,} proposal{'' if len(accepted) == 1 else 's'}"


def _recipe(found: Proposals) -> str:
    return found.build.report.recipe
