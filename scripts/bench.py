#!/usr/bin/env python3
"""Runs every benchmark of this folder and writes one JSON of its figures, each beside a peer or a floor.

    python scripts/bench.py                                small sizes, one after another
    python scripts/bench.py --list
    python scripts/bench.py --only render --only ocr --full
    python scripts/bench.py --peers /folder/of/peers       also makes environments of peers there
    python scripts/bench.py --json scripts/benchmarks/results.json && python scripts/make_reference.py

Each runs in a process of its own; CPU seconds and peak memory are those of the process and of the children
that it waited for, by the operating system's account. What cannot run here stands in the results with the
reason and what to install. --json keeps the entries of a file that is there for benchmarks that --only leaves
out. Ends with 1 when one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from benchmarks import machine, page, peers, runner
from benchmarks.table import BENCHMARKS, Benchmark

from datakit.core.errors import did_you_mean

SCRIPTS = Path(__file__).resolve().parent
SMALL_S, FULL_S = 300.0, 4 * 3600.0


def main(words: list[str], table: tuple[Benchmark, ...] = BENCHMARKS, scripts: Path = SCRIPTS) -> int:
    """0 when all that ran told figures."""
    given = options().parse_args(words)
    by_name = {benchmark.name: benchmark for benchmark in table}
    for name in given.only:
        if name not in by_name:
            print(f"No benchmark is called {name}. {did_you_mean(name, list(by_name))}", file=sys.stderr)
            return 2
    if given.list:
        for benchmark in table:
            print(f"{benchmark.name:15} {benchmark.measures}")
            print(f"{'':15} {runner.missing(benchmark) or 'can run here'}")
        return 0
    if given.json and not given.json.parent.is_dir():
        print(f"{given.json.parent} is no folder, so that {given.json} cannot be written.", file=sys.stderr)
        return 2
    chosen = [by_name[name] for name in dict.fromkeys(given.only)] or list(table)
    try:
        results = before(given.json) if given.only else {}
    except (ValueError, KeyError, TypeError) as error:
        print(
            f"{given.json} holds no results of this command ({error!r}). Remove it, or run without --only.",
            file=sys.stderr,
        )
        return 2
    for benchmark in chosen:
        entry = measured(benchmark, given, scripts)
        results[benchmark.name] = entry
        print("\n".join(page.lines(entry)), flush=True)
        if given.json:  # after each, so that Ctrl-C loses one benchmark
            write(given.json, [results[name] for name in by_name if name in results])
    return int(any(results[benchmark.name]["status"] == runner.FAILED for benchmark in chosen))


def options() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="this one; may be repeated"
    )
    parser.add_argument("--full", action="store_true", help="the sizes that goals are for; hours")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the results there")
    parser.add_argument(
        "--list", action="store_true", help="names, what each measures, and whether it can run"
    )
    parser.add_argument(
        "--peers", type=Path, metavar="FOLDER", help="make and keep environments of peers there"
    )
    parser.add_argument("--timeout-s", type=float, help=f"for each ({SMALL_S:g}, or {FULL_S:g} with --full)")
    return parser


def measured(benchmark: Benchmark, given: argparse.Namespace, scripts: Path) -> dict[str, Any]:
    """The entry of one benchmark, with its size, the versions and the machine it ran on."""
    python, told = None, ""
    if given.peers and benchmark.peers and not runner.missing(benchmark):
        try:
            python = peers.peer_python(given.peers.resolve(), benchmark.peers)
        except peers.PeerMissing as error:
            told = str(error)
    timeout_s = given.timeout_s or (FULL_S if given.full else SMALL_S)
    entry = runner.run(benchmark, scripts, full=given.full, timeout_s=timeout_s, peer_python=python)
    entry["size"] = "full" if given.full else "small"
    entry["made"] = datetime.now(UTC).strftime("%Y-%m-%d")
    entry["machine"], entry["versions"] = machine.machine(), machine.versions()
    if python is not None:
        entry["versions"] |= {name: peers.peer_version(python, name) for name in benchmark.peers}
    if told:
        entry["peers"] = f"no environment: {told}"
    return entry


def before(path: Path | None) -> dict[str, Any]:
    """Entries of a results file that is there, by name."""
    if path is None or not path.is_file():
        return {}
    return {entry["name"]: entry for entry in json.loads(path.read_text("utf-8"))["benchmarks"]}


def write(path: Path, entries: list[dict[str, Any]]) -> None:
    """The file in one piece: a reader finds the last whole one."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({"benchmarks": entries}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
