"""`datakit doctor`."""

from __future__ import annotations

from pathlib import Path

import click

EPILOG = """\b
Examples:
  datakit doctor
  datakit doctor --project ~/screens --json
"""


@click.command(epilog=EPILOG)
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    help="Folder of the project; the working folder when not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
def command(project: Path, as_json: bool) -> int:
    """Check the installation and the project: packages, OCR, endpoint, disk, store, recipes.

    With OPENAI_BASE_URL set, its list of models is asked for (nothing is paid). Ends with 1 if a check fails.
    """
    from datakit.cli.tables import print_json, say
    from datakit.core.errors import Exit
    from datakit.doctor import examine
    from datakit.recipe.recipe import project_of

    checks = []
    for check in examine(project_of(project)):
        checks.append(check)
        if not as_json:
            head, *more = check.message.splitlines()
            say(f"{check.state:<5} {check.name}: {head}")
            for line in (*more, *check.remedy.splitlines()):
                say(f"        {line}")
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [check.model_dump() for check in checks]})
    return int(Exit.FAILED if failed else Exit.FINE)
