"""Options of commands that train, serve and ask several builds: with what they do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datakit.kfold.running import Machine

_OPTIONS = (
    click.option(
        "--cpu", is_flag=True, help="Train and serve on the processor: for trials with tiny models."
    ),
    click.option("--gpus", type=click.IntRange(min=1), help="GPUs; those of the recipe if not given."),
    click.option(
        "--port", type=click.IntRange(1, 65535), help="Port of the server; serve.port if not given."
    ),
    click.option("--python", metavar="PATH", help="Python of the trainer's environment."),
    click.option("--vllm", "program", metavar="COMMAND", help="The vLLM command; DATAKIT_VLLM else vllm."),
    click.option(
        "--ignore-memory", is_flag=True, help="Train even where memory does not suffice by the plan."
    ),
    click.option("--train-flags", default="", metavar="WORDS", help="As for `datakit handoff`."),
    click.option("--serve-flags", default="", metavar="WORDS", help="As for `datakit handoff`."),
    click.option("--predict-flags", default="", metavar="WORDS", help="As for `datakit handoff`."),
)

_OF_RUN = {
    "cpu": "cpu",
    "gpus": "gpus",
    "port": "port",
    "python": "python",
    "program": "vllm",
    "ignore_memory": "ignore-memory",
    "train_flags": "train-flags",
    "serve_flags": "serve-flags",
    "predict_flags": "predict-flags",
}
"""Name of what --run alone uses -> its option."""


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with these options, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_machine_options(given: dict[str, Any]) -> None:
    """Raises UsageError where one of them is given, for a call without --run."""
    name = next((name for name in _OF_RUN if given[name]), None)
    if name is not None:
        raise click.UsageError(f"--{_OF_RUN[name]} belongs to --run")


def machine_of(given: dict[str, Any]) -> Machine:
    """With what builds are trained, served and asked, by these options."""
    from datakit.cli.handoff import place_of, serve_changes_of, wishes_of
    from datakit.kfold.running import Machine

    unused = {"node_rank": None, "master": None, "split": None, "closed": False, "model": None}
    words = {**unused, **given}
    return Machine(place_of(words), serve_changes_of(words), wishes_of(words))


def command_again(context: click.Context) -> str:
    """This command as a person types it again."""
    from click.core import ParameterSource

    from datakit.core.scripts import shell_words

    words = ["datakit", context.info_name or ""]
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params[name]
        typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not typed or name in ("again", "as_json", "quiet"):
            continue
        if isinstance(parameter, click.Argument):
            words.append(str(value))
            continue
        for entry in value if isinstance(value, tuple) else (value,):
            words += [parameter.opts[0]] if entry is True else [parameter.opts[0], str(entry)]
    return shell_words(words)
