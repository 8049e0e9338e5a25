"""`datakit signoff`."""

from __future__ import annotations

from pathlib import Path

import click

from datakit.cli.build_path import BuildPath
from datakit.core.shown_path import show_path

EPILOG = """\b
Examples:
  datakit signoff build/ecom_v3 --name "Wang Fang"
  datakit signoff build/ecom_v3

\b
With `run: {require_signoff: true}` in the recipe, train, handoff, bundle and serve refuse a build that nobody
has signed. Other data is another build: it is to be signed again."""


@click.command(epilog=EPILOG)
@click.argument("build", type=BuildPath())
@click.option("--name", help="Who signs; without it the signatures are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def command(build: Path, name: str | None, as_json: bool) -> int:
    """Sign BUILD off for training, or show who has: name, date and the data's content hash.

    The signatures stand in data_cards/NAME.signoff.jsonl. Exit code 1: nobody has signed this very data.
    """
    from datakit.artifacts.build_folder import BuildFolder
    from datakit.artifacts.changed_files import changed_files, shown_changes
    from datakit.artifacts.signoff import read_signoffs, sign, signature_of
    from datakit.cards.current import is_current, pages_in, places, write_current_card
    from datakit.cli.tables import print_json
    from datakit.core.counted import counted
    from datakit.core.errors import UserError
    from datakit.core.scripts import shell_words

    folder = BuildFolder.open(build)
    if folder.whole is not None:
        raise UserError(
            f"{build} is one task of a build, which is trained on and signed as a whole",
            remedy=f"Sign that: {shell_words(['datakit', 'signoff', str(folder.whole.path)])} --name NAME",
        )
    cards: list[Path] = []
    if name is not None:
        cards = [place for place in places(folder) if is_current(folder, place)]
        before = signature_of(folder, name)
        sign(folder, name)
        if before is not None:
            words = f"has signed this data already, on {before.date}; nothing was added"
            click.echo(f"Note: {before.name} {words}", err=True)
        for place in cards:
            write_current_card(build, place)
    found, content = read_signoffs(folder), folder.manifest.content
    changed = changed_files(folder)
    valid = [] if changed else found.of(content)
    if as_json:
        print_json(
            {
                "build": str(build),
                "content": content,
                "file": str(found.path),
                "signed": [one.model_dump(exclude={"check"}) for one in valid],
                "changed": list(changed),
                "earlier": len(found.signed) - len(valid),
                "faults": found.faults,
            }
        )
        return 0 if valid else 1
    for fault in found.faults:
        click.echo(f"Note: {show_path(found.path)}: {fault}; it counts for nothing", err=True)
    for one in valid:
        click.echo(f"Signed by {one.name} on {one.date}: {folder.report.name}, content {content[:12]}")
    for place in cards:
        click.echo(f"The card says so: {show_path(pages_in(place, folder.report.name)[0])}")
    if not valid:
        others = len(found.signed)
        are = "is" if others == 1 else "are"
        earlier = f"; {counted(others, 'signature')} {are} under other data" if others else ""
        if changed:
            click.echo(f"Nobody has signed this data: since the build {shown_changes(changed)}.")
            click.echo("Put the files back, or build again (datakit build RECIPE --force), review and sign.")
        else:
            click.echo(f"Nobody has signed this data{earlier}. Sign it: datakit signoff {build} --name NAME")
    return 0 if valid else 1
