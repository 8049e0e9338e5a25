"""Options of commands that train, serve and ask several builds: with what they do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

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


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with these options, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
