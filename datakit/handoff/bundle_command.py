"""The command of a bundle: `./run.sh`, `./run.sh doctor`, `./run.sh --status`.

What is imported at the top is the standard library and modules that need no more, so that the doctor works
with any Python of 3.10 or later.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from datakit.core import interrupts
from datakit.core.disk_faults import disk_fault
from datakit.core.errors import DatakitError, Exit, UserError, did_you_mean
from datakit.core.scripts import assignment, flag_words, shell_words
from datakit.handoff import doctor
from datakit.handoff.bundle_settings import OPTIONS, BundleSettings
from datakit.handoff.finding import FAULT

DOCTOR = "doctor"
_FIRST = "*"
"""Value of `--again` without a stage: the first one that is wanted."""
STAGES = ("check", "train", "export", "serve", "predict", "evaluate")
"""Those of datakit.handoff.stages, which needs more than the standard library; a test holds them equal."""
_DESCRIPTION = """\
Trains, exports, serves, asks and scores this bundle: check, train, export, serve, predict, evaluate.

  ./run.sh doctor             what is missing on this machine: every fault at once; nothing is changed
  ./run.sh                    every stage; one that is done is passed over, an interrupted one goes on
  ./run.sh train export       some stages alone
  ./run.sh --again predict    a stage anew, and those that follow from it
  ./run.sh --status           how far it is, from any terminal

START_HERE.md says what the machine needs and what comes back. Each option has an environment variable of the
same meaning (in capitals below). VLLM_API_KEY is the key of a server that wants one; it is written nowhere.
"""
_EPILOG = """\
exit codes: 0 fine, 1 something failed, 2 a wrong call or setting, 3 some records have no answer yet (the same
command goes on), 5 the server is gone, 129, 130 and 143 stopped (the same command goes on)
"""


def main(folder: Path, words: Sequence[str]) -> NoReturn:
    """Does what the words say, for the bundle in `folder`, and ends the process with its exit code."""
    end_with(lambda: run(folder, words))


def end_with(work: Callable[[], int]) -> NoReturn:
    """Does the work, and ends the process with its exit code."""
    try:
        interrupts.begin()
        interrupts.end(work())
    except KeyboardInterrupt:
        interrupts.end(128 + interrupts.received())


def run(folder: Path, words: Sequence[str]) -> int:
    """What the words say; the exit code. An error is told on stderr, never as a traceback."""
    return told(folder, lambda: _do(folder, parsed(words)))


def told(folder: Path, work: Callable[[], int]) -> int:
    """The exit code of the work. An error is told on stderr, never as a traceback."""
    try:
        return work()
    except KeyboardInterrupt:
        print(f"\n{interrupts.WORDS}", file=sys.stderr)
        return 128 + interrupts.received() if interrupts.received() else int(Exit.INTERRUPTED)
    except DatakitError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    except OSError as error:
        what, remedy = disk_fault(error, folder)
        print(f"error: {what}\n  {remedy}", file=sys.stderr)
        return int(Exit.USAGE)


def _do(folder: Path, call: argparse.Namespace) -> int:
    if call.base_url is not None and not call.base_url.strip():
        raise UserError(
            "--base-url is empty (is a variable not set?)",
            remedy="Give an address such as http://gpu-1:8000/v1, or leave it out to train and serve here.",
        )
    settings = BundleSettings.of(folder, given_options(call, OPTIONS), os.environ)
    for word in (*call.stages, *call.only, call.again or "", call.start_from):
        if word and word not in (*STAGES, DOCTOR):
            hint = did_you_mean(word, (*STAGES, DOCTOR)) or f"Stages: {', '.join(STAGES)}; and {DOCTOR}."
            raise UserError(f"there is no stage `{word}`", remedy=hint)
    if DOCTOR in call.stages:
        if len(call.stages) > 1:
            raise UserError("the doctor comes alone", remedy="./run.sh doctor, then ./run.sh")
        return examine(settings)
    if lacks_packages(settings, only_looks=call.status):
        return int(Exit.FAILED)
    from datakit.handoff.bundle_stages import go, status

    line = _line(folder, call, os.environ)
    return status(settings, as_json=call.json) if call.status else go(settings, call, line)


def given_options(call: argparse.Namespace, options: Iterable[str]) -> dict[str, str]:
    """Option -> value, of those that the call names."""
    given = {name: value for name in options if (value := getattr(call, name.replace("-", "_")))}
    return {**given, "cpu": "1"} if call.cpu else given


def lacks_packages(settings: BundleSettings, *, only_looks: bool) -> bool:
    """Whether this Python lacks packages; then what else is missing is told too.

    Raises UserError where the call only looks at what there is.
    """
    faults = "; ".join(doctor.package_faults().values())
    if faults and only_looks:
        raise UserError(
            f"{sys.executable}: {faults}",
            remedy="Name a Python that has them, such as that of vLLM: PYTHON=/environment/bin/python",
        )
    if faults:
        print(f"error: {sys.executable}: {faults}. What is missing here:", file=sys.stderr)
        examine(settings)
    return bool(faults)


def _refuse_empty(call: argparse.Namespace) -> None:
    """Raises UserError for an empty name of a stage, which would mean every stage or none."""
    words = {
        "--again": [call.again],
        "--from": [call.start_from],
        "--only": call.only,
        "A stage": call.stages,
    }
    empty = [option for option, values in words.items() for value in values if value == ""]
    if empty:
        raise UserError(
            f"{empty[0]} is empty (is a variable not set?)",
            remedy=f"Name a stage ({', '.join(STAGES)}), or leave it out.",
        )


def examine(settings: BundleSettings) -> int:
    """Tells every finding; 1 where there is a fault."""
    print("Looking at this machine; trainer and server tell their versions, which may take a minute.")
    faults = 0
    for finding in doctor.examine(settings):
        print(finding.text, flush=True)
        faults += finding.state == FAULT
    if faults:
        print(f"{faults} fault{'s' if faults > 1 else ''}: mend {'them' if faults > 1 else 'it'} first.")
        return int(Exit.FAILED)
    print("Nothing is missing. Start: ./run.sh")
    return int(Exit.FINE)


def _line(folder: Path, call: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """The line that goes on: this one without `--again`, which would begin anew."""
    words = [str(folder / "run.sh"), *call.stages]
    words += [word for stage in call.only for word in ("--only", stage)]
    words += ["--from", call.start_from] if call.start_from else []
    return shell_line([*words, *option_words(call, OPTIONS)], environment)


def shell_line(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The words as a shell takes them, behind the variables that are set here."""
    variables = [variable for variable, _ in OPTIONS.values()] + ["CPU", "PYTHON"]
    set_here = [
        assignment(name, _from_anywhere(environment[name])).strip()
        for name in variables
        if environment.get(name)
    ]
    return " ".join([*set_here, shell_words(words)])


def option_words(call: argparse.Namespace, options: Iterable[str]) -> list[str]:
    """What a call said of these options, right in any folder."""
    words = ["--cpu"] if call.cpu else []
    for option in options:
        if value := getattr(call, option.replace("-", "_")):
            words += flag_words(f"--{option}", _from_anywhere(value))
    return words


def _from_anywhere(value: str) -> str:
    """A path as it is right in any folder; anything else as it is."""
    return os.path.abspath(value) if os.sep in value and os.path.exists(value) else value


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The words of a call. Ends the process with 2 for wrong ones, and with 0 for `--help`.

    Raises UserError for an empty name of a stage.
    """
    call = _parser().parse_intermixed_args(list(words))
    _refuse_empty(call)
    call.again = "" if call.again == _FIRST else call.again
    call.start_from = call.start_from or ""
    return call


def parser_of(description: str, epilog: str) -> argparse.ArgumentParser:
    """The parser of an archive's run.sh, without a word yet."""
    return argparse.ArgumentParser(
        prog="./run.sh",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_settings(parser: argparse.ArgumentParser, options: Mapping[str, tuple[str, str]]) -> None:
    """The words that every run.sh takes, and these settings of the machine."""
    parser.add_argument("--json", action="store_true", help="print the status or the account as JSON")
    parser.add_argument("--cpu", action="store_true", help="without a GPU, to try tiny models (CPU=1)")
    for option, (variable, meaning) in options.items():
        parser.add_argument(f"--{option}", metavar=variable, help=meaning)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(_DESCRIPTION, _EPILOG)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"{DOCTOR}, or of {', '.join(STAGES)}")
    parser.add_argument(
        "--again", nargs="?", const=_FIRST, metavar="STAGE", help="redo a stage and what follows from it"
    )
    parser.add_argument("--only", action="append", default=[], metavar="STAGE", help="this stage; repeatable")
    parser.add_argument("--from", dest="start_from", metavar="STAGE", help="this one and those after it")
    parser.add_argument("--status", action="store_true", help="how far it is; nothing is started")
    add_settings(parser, OPTIONS)
    return parser
