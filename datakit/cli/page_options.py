"""Options of commands that show records to people: where the page is served, and who takes it instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def page_options(*, into: str, export: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command --serve, --port, --into and --export, in this order; what the last two are for."""
    options = (
        click.option(
            "--serve", is_flag=True, help="Open it from a server on 127.0.0.1, which writes the file."
        ),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            help="Port of --serve; one that the build keeps if not given.",
        ),
        click.option("--into", type=click.Path(path_type=Path), metavar="FILE", help=into),
        click.option(
            "--export",
            "exported",
            type=(click.Choice(["label-studio", "argilla"]), click.Path(path_type=Path)),
            metavar="TOOL FOLDER",
            help=export,
        ),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add
