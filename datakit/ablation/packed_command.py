"""The command of an ablation's archive: `./run.sh`, `./run.sh doctor`, `./run.sh --status`.

What is imported at the top is the standard library and modules that need no more, so that the doctor works
with any Python of 3.10 or later.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from datakit.artifacts import names
from datakit.core.errors import Exit, UserError
from datakit.handoff import bundle_command, doctor
from datakit.handoff.bundle_command import DOCTOR
from datakit.handoff.bundle_settings import OPTIONS, BundleSettings
from datakit.handoff.finding import FAULT, FINE, Finding

if TYPE_CHECKING:
    from datakit.ablation.comparing import Comparison
    from datakit.artifacts.ablation_record import Job
    from datakit.artifacts.packed_ablation import PackedAblation

_OF_ONE = ("nodes", "node-rank", "master", "master-port", "split", "base-url")
"""Options of a bundle that a row of trainings cannot have."""
KEPT = {name: own for name, own in OPTIONS.items() if name not in _OF_ONE}
_DESCRIPTION = """\
Trains every change of this ablation, asks each model about the same held-out records, and compares them.

  ./run.sh doctor             what is missing on this machine: every fault at once; nothing is changed
  ./run.sh                    everything; what is done is passed over, what was interrupted goes on
  ./run.sh --status           how each training stands, from any terminal

The same command on a second machine (or GPU) that shares this folder takes the trainings that nobody works
on, and takes over what another one leaves when it dies. Machines with a copy of the folder take --part 1/2
and 2/2. START_HERE.md says what the machine needs and what comes back. Each option has an environment
variable of the same meaning (in capitals below).
"""
_EPILOG = """\
exit codes: 0 fine, 1 something failed, 2 a wrong call or setting, 3 some records have no answer yet (the same
command goes on), 129, 130 and 143 stopped (the same command goes on)
"""


def main(folder: Path, words: Sequence[str]) -> NoReturn:
    """Does what the words say, for the unpacked archive, and ends the process with its exit code."""
    bundle_command.end_with(lambda: run(folder, words))


def run(folder: Path, words: Sequence[str]) -> int:
    """What the words say; the exit code. An error is told on stderr, never as a traceback."""
    return bundle_command.told(folder, lambda: _do(folder, _parser().parse_args(list(words))))


def _do(folder: Path, call: argparse.Namespace) -> int:
    _refuse_variables()
    jobs = trainings(folder)
    settings = {name: _settings(folder / name, call) for name in jobs}
    if call.what == DOCTOR:
        return _examine(folder, settings)
    if bundle_command.lacks_packages(settings[jobs[0]], only_looks=call.status):
        return int(Exit.FAILED)
    from datakit.artifacts.packed_ablation import PackedAblation

    about = PackedAblation.load(folder / names.ABLATION)
    return _status(folder, about, call) if call.status else _go(folder, about, settings, call)


def trainings(folder: Path) -> list[str]:
    """Names of all trainings in order, by the standard library alone. Raises UserError for no archive."""
    try:
        document = json.loads((folder / names.ABLATION).read_bytes())
        changes = ["base", *(change["name"] for change in document["changes"])]
        found = [f"{name}-s{seed + 1}" for seed in range(document["seeds"]) for name in changes]
        if all((folder / name).is_dir() for name in found):
            return found
        why = "the folder of a training is missing"
    except (OSError, ValueError, LookupError, TypeError) as error:
        why = str(error)
    raise UserError(f"{folder / names.ABLATION}: {why}", remedy="Unpack the archive again.")


def _refuse_variables() -> None:
    named = [OPTIONS[name][0] for name in _OF_ONE if os.environ.get(OPTIONS[name][0])]
    if named:
        raise UserError(
            f"{', '.join(named)}: an ablation trains one model after the other on this machine, and asks "
            "each about val",
            remedy=f"Take it back: unset {' '.join(named)}",
        )


def _settings(folder: Path, call: argparse.Namespace) -> BundleSettings:
    return BundleSettings.of(folder, bundle_command.given_options(call, KEPT), os.environ)


def _examine(folder: Path, settings: dict[str, BundleSettings]) -> int:
    """The whole doctor for the base; of the others their files; and the disk for all of them together."""
    first, *others = settings.values()
    print(f"Looking at this machine for {len(settings)} trainings; the programs may take a minute to answer.")
    faults = 0
    for finding in doctor.examine(first):
        print(finding.text, flush=True)
        faults += finding.state == FAULT
    for one in others:
        for finding in doctor.examine_files(one):
            if finding.state != FINE:
                print(finding.text, flush=True)
                faults += finding.state == FAULT
    room = _room(folder, settings)
    print(room.text)
    faults += room.state == FAULT
    if faults:
        print(f"{faults} fault{'s' if faults > 1 else ''}: mend {'them' if faults > 1 else 'it'} first.")
        return int(Exit.FAILED)
    print("Nothing is missing. Start: ./run.sh")
    return int(Exit.FINE)


def _room(folder: Path, settings: dict[str, BundleSettings]) -> Finding:
    """Whether the disk holds the runs of all trainings that were not begun."""
    left = [one for one in settings.values() if not one.run.exists()]
    size, free = sum(one.needs.run_bytes for one in left), shutil.disk_usage(folder).free
    text = f"{size / 1e9:.1f} GB for {len(left)} trainings that were not begun, {free / 1e9:.1f} GB are free"
    if size <= free:
        return Finding("disk", FINE, text)
    remedy = "Take a larger disk, or share the trainings out to several machines: --part 1/2."
    return Finding("disk", FAULT, text, remedy)


def _go(
    folder: Path, about: PackedAblation, settings: dict[str, BundleSettings], call: argparse.Namespace
) -> int:
    from datakit.ablation.sharing import exit_of, part_of, share_out
    from datakit.ablation.telling import power_of
    from datakit.core.errors import DatakitError
    from datakit.handoff.bundle_stages import taken

    def say(text: str) -> None:
        print(text, file=sys.stderr if call.json else sys.stdout, flush=True)

    jobs = part_of(list(about.jobs(folder)), call.part)
    words = [str(folder / "run.sh"), *(["--part", call.part] if call.part else [])]
    line = bundle_command.shell_line([*words, *bundle_command.option_words(call, KEPT)], os.environ)
    say(power_of(about.held_out, len(about.changes), None).words())

    def work(job: Job) -> int:
        what = f"{job.change.words or 'the base'} ({job.path.name})"
        say(f"\nTraining {jobs.index(job) + 1} of {len(jobs)}: {what}")
        try:
            account, _, why_not = taken(settings[job.path.name], line, say)
        except (DatakitError, OSError) as error:
            print(f"error: {job.path.name}: {error}", file=sys.stderr, flush=True)
            return int(error.exit_code) if isinstance(error, DatakitError) else int(Exit.USAGE)
        for failure in filter(None, (account.failure, why_not)):
            print(f"error: {failure}", file=sys.stderr, flush=True)
        _bring(folder, about)
        return account.exit or int(Exit.FAILED if why_not else Exit.FINE)

    codes = share_out(jobs, work, say)
    result = _bring(folder, about)
    _tell(folder, about, result, codes, as_json=call.json)
    return exit_of(codes)


def _bring(folder: Path, about: PackedAblation) -> Comparison | None:
    """The comparison of what there is, once results.tar is written; told where it cannot be."""
    from datakit.ablation.packed_results import bring
    from datakit.core.disk_faults import disk_fault

    try:
        return bring(folder, about)
    except OSError as error:
        why = "\n  ".join(disk_fault(error, folder))
    except UserError as error:
        why = str(error)
    print(
        f"error: the results are not written: {why}\n  Then run the same command: it packs anew.",
        file=sys.stderr,
    )
    return None


def _tell(
    folder: Path, about: PackedAblation, result: Comparison | None, codes: dict[str, int], *, as_json: bool
) -> None:
    from datakit.ablation import telling
    from datakit.ablation.packed_results import costs
    from datakit.ablation.report import lines
    from datakit.artifacts.results import RESULTS
    from datakit.handoff.bundle_stages import home_lines

    failed = {name: code for name, code in codes.items() if code not in (Exit.FINE, Exit.PARTIAL)}
    if as_json:
        document = {
            "recipe": about.recipe,
            "exits": codes,
            "records": result.records if result else None,
            "changes": telling.document(result) if result and result.effects else [],
            "unanswered": result.unanswered if result else None,
            "notes": result.notes if result else [],
            "results": str(folder / RESULTS) if result else None,
        }
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return
    if result is None:
        return
    print()
    if result.effects:
        head, rows = telling.table(result)
        widths = [max(map(len, column)) for column in zip(head, *rows)]  # noqa: B905
        for row in (head, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())  # noqa: B905
    for line in lines(result, costs(list(about.jobs(folder)))):
        print(line)
    for name, code in failed.items():
        print(f"Failed: {name} (exit code {code}); the same command goes on")
    print(f"Page: {folder / names.ABLATION_PAGE}")
    print(home_lines(folder / RESULTS, about.command))


def _status(folder: Path, about: PackedAblation, call: argparse.Namespace) -> int:
    from datakit.ablation.packed_results import answers_of
    from datakit.handoff.status import read_status, status_document, status_lines

    found = {}
    for job in about.jobs(folder):
        runs = sorted(job.path.glob("*-runs/*"), key=lambda run: run.stat().st_mtime_ns)
        status = read_status(runs[-1]) if runs else None
        state = "answered" if answers_of(job) else "not begun" if status is None else "not finished"
        found[job.path.name] = {"state": state, **(status_document(runs[-1]) if runs else {})}
        if not call.json:
            print(f"{job.path.name} ({job.change.words or 'the base'}): {state}")
            for line in status_lines(runs[-1]) if runs and state != "answered" else ():
                print(f"  {line}")
    if call.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    return int(Exit.FINE)


def _parser() -> argparse.ArgumentParser:
    parser = bundle_command.parser_of(_DESCRIPTION, _EPILOG)
    parser.add_argument("what", nargs="?", choices=[DOCTOR], help="only look at the machine")
    parser.add_argument("--part", default="", metavar="I/N", help="the share of one of N machines")
    parser.add_argument("--status", action="store_true", help="how each training stands; nothing is started")
    bundle_command.add_settings(parser, KEPT)
    return parser
