#!/usr/bin/env python
"""Draws recipes, label files, templates, sources, training files and answers, and takes each all the way.

    python scripts/fuzz.py --seconds 3600              # the long run
    python scripts/fuzz.py --only recipe --seed 5 --seconds 60
    python scripts/fuzz.py --replay fuzz-faults/3f2a91c0.json

Most inputs are valid and go from load over plan, build, check, card and verdict to diff and why. A fault is
an exception that is no error in words, an input of more than 10 s or 1.5 GB, a row that is nowhere, a row
that the trainer refuses although the build was green, another content hash for the same input, and a failed
build that took the old one away. Each is made smaller and kept in a folder, to be replayed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from fuzzing.faults import Account  # noqa: E402
from fuzzing.tally import Tally  # noqa: E402
from fuzzing.workers import Job, accounts  # noqa: E402


def main() -> int:
    """Exit code 0 without a fault, 1 with one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long new inputs are drawn")
    parser.add_argument("--inputs", type=int, help="at most so many inputs")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each kind")
    parser.add_argument("--only", metavar="KIND", help="one kind, or several with commas between them")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--faults", type=Path, default=Path("fuzz-faults"), help="folder of failing inputs")
    parser.add_argument("--shrink-s", type=float, default=30.0, help="time to make a failing input smaller")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a kept input again")
    arguments = parser.parse_args()
    if arguments.replay:
        return replay(arguments.replay)
    tally = fuzz(arguments)
    print(json.dumps(tally.plain(), indent=2) if arguments.json else tally.words())
    return 1 if tally.faults else 0


def fuzz(arguments: argparse.Namespace) -> Tally:
    """Runs inputs until the time is over."""
    tally, kept = Tally(), set[str]()
    with contextlib.suppress(KeyboardInterrupt):  # what was run until then is told
        _run(arguments, tally, kept)
    return tally


def _run(arguments: argparse.Namespace, tally: Tally, kept: set[str]) -> None:
    for account in accounts(_jobs(arguments), arguments.workers):
        tally.add(account)
        if sum(tally.inputs.values()) % 200 == 0:
            print(tally.line(), file=sys.stderr, flush=True)
        if account.fault and account.fault not in kept:
            kept.add(account.fault)
            path = _keep(account, arguments.faults, arguments.shrink_s)
            print(
                f"FAULT {account.kind} {account.number}: {account.fault}\n  {path}",
                file=sys.stderr,
                flush=True,
            )


def _jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    from fuzzing.kinds import KINDS, order

    only = arguments.only.split(",") if arguments.only else list(KINDS)
    until = time.monotonic() + arguments.seconds
    numbers = {kind: itertools.count(arguments.first) for kind in KINDS}
    names = itertools.cycle([kind for kind in order() if kind in only])
    for kind in itertools.islice(names, arguments.inputs):
        if time.monotonic() > until:
            return
        yield kind, arguments.seed, next(numbers[kind])


def _keep(account: Account, folder: Path, seconds: float) -> Path:
    """The file of a failing input, made smaller in a process of its own where that can be done."""
    from fuzzing.smaller_input import made_smaller

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(account.fault.encode()).hexdigest()[:8]}.json"
    tree = made_smaller(account, seconds)
    document = {**account.plain(), "tree": tree}
    path.write_text(json.dumps(document, ensure_ascii=True, indent=1))
    return path


def replay(path: Path) -> int:
    """Runs a kept input in this process and shows what became of it."""
    from fuzzing import surroundings
    from fuzzing.one_input import account_of

    surroundings.prepare()
    document = json.loads(path.read_text())
    account = account_of(document["kind"], document["number"], document["tree"])
    print(json.dumps({**account.plain(), "tree": None, "detail": ""}, indent=2))
    print(account.detail)
    return 1 if account.fault else 0


if __name__ == "__main__":
    sys.exit(main())
