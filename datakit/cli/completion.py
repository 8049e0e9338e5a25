"""`datakit completion`."""

from __future__ import annotations

import click

EPILOG = """\b
Examples:
  eval "$(datakit completion bash)"            # for this shell; or in ~/.bashrc
  eval "$(datakit completion zsh)"             # or in ~/.zshrc, after compinit
  datakit completion fish > ~/.config/fish/completions/datakit.fish
"""
_ADDED = "COMPREPLY+=($value)"
_GOES_ON = "[[ $value == *[=\\>] ]] && compopt -o nospace"
"""In bash a key waits for its value: no blank comes behind its sign."""
_VARIABLE = "_DATAKIT_COMPLETE"
"""By which the script asks; click makes it of the command's name."""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the script that completes commands, builds, recipes, ids, steps and --set keys in SHELL."""
    from click.shell_completion import get_completion_class

    from datakit.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None  # click has these three
    script = kind(cli, {}, "datakit", _VARIABLE)
    text = script.source_template % script.source_vars()
    click.echo(text.replace(_ADDED, f"{_ADDED}\n            {_GOES_ON}") if shell == "bash" else text)
    return 0
