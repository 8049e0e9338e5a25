"""The command `datakit`. Each command is loaded when it is called, so that `datakit --help` is quick."""

from __future__ import annotations

import datakit.cli.at_start

# isort: split
import gc
import importlib
import io
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

import datakit
from datakit.core import interrupts
from datakit.core.credentials import masked
from datakit.core.errors import DatakitError, Exit
from datakit.core.visible import visible_output

COMMANDS = {
    "init": "Make a project of your own data, or of the shipped example.",
    "build": "Make the data set of a recipe.",
    "plan": "Say what a build would do: cached, to do, why, calls, cost; with --train, what fits.",
    "check": "Say what the trainer would do with a data set, before it starts.",
    "verdict": "Say what is worse about a build than it looks, with the records.",
    "review": "Write a page on which people accept, relabel and drop records.",
    "next": "Propose the records without a label that are worth a person's time.",
    "signoff": "Sign a build off for training, or show who has.",
    "why": "Tell the whole story of one record of a build.",
    "diff": "Say what differs between two builds.",
    "handoff": "Take a build to its scores: check, train, export, serve, predict, evaluate.",
    "kfold": "Predict every record by a model that was not shown it, and rank doubted labels.",
    "ablate": "Train a recipe with one thing changed at a time, and say what each change does.",
    "train": "Train the model of a build, resumable.",
    "export": "Make the served model of a trained build.",
    "bundle": "Pack a build for a machine without datakit.",
    "serve": "Serve the trained model with vLLM, as the training saw the data.",
    "predict": "Ask the served model about a split, a folder or a file.",
    "evaluate": "Score a model's answers: F1, intervals, mistakes, proposals for the labels.",
    "labels": "Say where a label file and its pictures do not agree, and propose sentences.",
    "scores": "Show the scores of every recipe version, and what changed between them.",
    "transforms": "List the transforms, or explain one.",
    "schema": "Print the JSON schema of recipes, for editors.",
    "cache": "Show or shrink the result store.",
    "completion": "Print the script that completes commands in bash, zsh or fish.",
    "doctor": "Check the installation and say what is missing.",
}


_POLARS = ("polars", "pyo3_runtime")
"""Packages of its errors; the second one of its panics."""


class LazyCommands(click.Group):
    """A group whose commands live in modules of their own: datakit/cli/<name>.py, function `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"datakit.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from datakit.core.errors import did_you_mean

            hint = did_you_mean(args[0], COMMANDS) or f"Commands: {', '.join(COMMANDS)}."
            ctx.fail(f"there is no command `{args[0]}`. {hint}")
        return super().resolve_command(ctx, args)


EPILOG = """\b
Examples:
  datakit init ~/photos
  datakit plan recipes/ecom_v3.yaml
  datakit build recipes/ecom_v3.yaml --limit 50
  datakit why build/ecom_v3 screen-0001

\b
Exit codes: 0 fine, 1 a guard or check failed, 2 the recipe or the call is wrong,
3 records are left to retry or batch files to be run, 4 stopped at the budget,
5 provider or credentials, 130 interrupted (run again to go on; 129 by SIGHUP,
143 by SIGTERM)."""


@click.group(cls=LazyCommands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(datakit.__version__, package_name="datakit")
def cli() -> None:
    """Data sets for fine-tuning vision-language models: from labelled images to a LLaMA-Factory data set."""


def main(args: list[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process with its exit code."""
    try:
        interrupts.begin()
        # Rows of text hold no cycles; looking for some among each 700 new ones takes 6% of a build
        # (2026-11-24).
        gc.set_threshold(50_000, 20, 100)
        interrupts.end(run(args))
    except BaseException:
        if not interrupts.received():
            raise
        interrupts.end(128 + interrupts.received())  # the signal came while the end was told


def run(args: list[str] | None = None) -> int:
    """The exit code of a command line. Errors of the user become words on stderr, never a traceback.

    Whatever is printed, by whom ever, shows control characters instead of having the terminal obey them.
    """
    with visible_output():
        return _run(args)


def _run(args: list[str] | None) -> int:
    try:
        result = cli.main(args=args, prog_name="datakit", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else int(Exit.FINE)
    except BaseException as error:
        if interrupts.received() or isinstance(error, KeyboardInterrupt | click.Abort):
            return _interrupted(error)  # after a signal every error is its consequence
        return _failed(error, sys.argv[1:] if args is None else args)


def _failed(error: BaseException, words: Sequence[str]) -> int:
    """Tells an error of the user; raises any other."""
    if isinstance(error, DatakitError):
        text = masked(str(error))
        click.echo(f"Error: {text}" if "\n" not in text else f"Error:\n{text}", err=True)
        return int(error.exit_code)
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        click.echo(masked(shown.getvalue()), err=True, nl=False)
        return int(Exit.USAGE)
    if isinstance(error, BrokenPipeError):
        return int(Exit.FINE)
    if isinstance(error, OSError):
        # A full disk, a folder that was taken away: wherever it happens, the user mends it.
        from datakit.core.disk_faults import disk_fault

        given = (Path(word.partition("=")[2] or word) for word in words)
        what, remedy = disk_fault(error, Path(), *(path for path in given if path.parent.is_dir()))
        click.echo(masked(f"Error: {what}\n  {remedy}"), err=True)
        return int(Exit.USAGE)
    if type(error).__module__.partition(".")[0] in _POLARS:
        from datakit.cli.damaged_build import damage

        if (told := damage(error, words)) is not None:
            return _failed(told, words)
    raise error


def _interrupted(error: BaseException) -> int:
    """Says how to go on; click's Abort comes from the interrupt, which may have words of its own."""
    interrupt = error if isinstance(error, KeyboardInterrupt) else error.__cause__ or error.__context__
    words = str(interrupt) if isinstance(interrupt, KeyboardInterrupt) else ""
    with suppress(OSError):  # SIGHUP: the terminal is gone
        click.echo(f"\n{words or interrupts.WORDS}", err=True)
    return 128 + interrupts.received() if interrupts.received() else int(Exit.INTERRUPTED)
