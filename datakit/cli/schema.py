"""`datakit schema`."""

from __future__ import annotations

from pathlib import Path

import click

from datakit.core.regular_files import read_regular

EPILOG = """\b
Examples:
  datakit schema -o recipe.schema.json

\b
Then let the editor know, in the recipe's first line (VS Code with the YAML extension, Neovim, Zed):
  # yaml-language-server: $schema=../recipe.schema.json
"""


@click.command(epilog=EPILOG)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write here, not to stdout."
)
def command(output: Path | None) -> int:
    """Print the JSON Schema of recipes: completion and checks in an editor, transforms of yours included."""
    import orjson

    from datakit.core.errors import UserError
    from datakit.core.replacing import check_replaceable
    from datakit.library import sections
    from datakit.recipe.schema import recipe_schema

    if output is not None:
        check_replaceable(output, "a schema of recipes", _is_schema)  # before the work
    text = orjson.dumps(recipe_schema(sections()), option=orjson.OPT_INDENT_2).decode()
    if output is None:
        click.echo(text)
        return 0
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write {output}: {error.strerror}", remedy="Choose another file with -o."
        ) from None
    click.echo(f"Written: {output}")
    return 0


def _is_schema(path: Path) -> bool:
    import orjson

    return bool(orjson.loads(read_regular(path))["title"] == "datakit recipe")
