"""The page of the results, docs/reference/benchmarks.md, and the lines of one benchmark for a terminal."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from reference_text import table

RESULTS = Path(__file__).resolve().parent / "results.json"
GENERATED = "<!-- Made by scripts/make_reference.py out of scripts/benchmarks/results.json. -->"
HOW = """\
Each benchmark puts our figure beside a named peer or a floor of the same run. The ratio is ours over the
peer's, so that less is better for seconds and more for rates; ratios hold better than seconds, which drift
with the machine. CPU seconds and peak memory are those of the whole benchmark, peers included, by the
operating system's account of its process and of the children that it waited for: servers that detach
themselves, as Ray's and PostgreSQL's do, are left out. Memory is that of the largest process, in MB of 2^20
bytes. A goal that is meant for full sizes is shown, and not judged, at small ones."""
RUN = """\
<!-- not run: takes minutes -->
```bash
python scripts/bench.py
python scripts/bench.py --list
```"""
SMALL = """\
!!! note "Small sizes on a shared machine"
    Figures of size small come from sizes that take seconds, where the start of a process weighs much, on a
    machine of {cores} cores that did other work meanwhile. They show that each benchmark runs and about how
    things stand; claims want `--full` on a machine of its own."""


def lines(entry: dict[str, Any]) -> list[str]:
    """What a terminal shows of one benchmark."""
    if entry["status"] != "ran":
        return [f"{entry['name']:15} {entry['status']}: {entry['why']}"]
    cost = f"{entry['cpu_s']:.1f} CPU s, {entry['wall_s']:.1f} s, {entry['peak_mb']:.0f} MB"
    shown = [f"{entry['name']:15} {cost}{ended(entry)}"]
    rows = ("  ".join(filter(None, cells(figure))) for figure in entry["figures"])
    return [*shown, *(f"{'':15} {row}" for row in rows)]


def ended(entry: dict[str, Any]) -> str:
    """Words for an exit status other than 0: the script's own goals."""
    return f", ended with {entry['exit']}: a bound of its own is missed" if entry["exit"] else ""


def cells(figure: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """One figure: what, ours, the peer's, the ratio, the goal."""
    peer = f"{plain(figure['peer'])} ({figure['peer_name']})" if figure["peer"] is not None else ""
    if not peer and figure["peer_name"]:
        peer = f"{figure['peer_name']}, not told" if "why" not in figure else f"not measured: {figure['why']}"
    if figure["ours"] is None:
        peer = f"not measured: {figure['why']}"
    goal = figure.get("goal", "")
    if "reached" in figure:
        goal += ", reached" if figure["reached"] else ", **missed**"
    return figure["what"], plain(figure["ours"]), peer, plain(figure["ratio"]), goal


def plain(value: float | None) -> str:
    """Three digits, thousands with a comma."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{float(f'{value:.3g}'):g}"


def page(results: Path = RESULTS) -> str:
    """The page; says how to make results where there are none."""
    entries = json.loads(results.read_text("utf-8"))["benchmarks"] if results.is_file() else []
    ran = [entry for entry in entries if entry["status"] == "ran"]
    blocks = [GENERATED, "# Benchmarks", HOW]
    small = [entry for entry in ran if entry["size"] == "small"]
    if small:
        blocks.append(SMALL.format(cores=max(entry["machine"]["cores"] for entry in small)))
    blocks.append(RUN)
    blocks += ["## Figures", *(block for entry in ran for block in _of(entry))]
    others = [entry for entry in entries if entry["status"] != "ran"]
    if others:
        rows = [(f"`{e['name']}`", e["measures"], f"{e['status']}: {_cell(e['why'])}") for e in others]
        blocks += ["## Without figures", table(("benchmark", "what it measures", "why"), rows)]
    blocks += ["## Machine and versions", *_grounds(ran)]
    return "\n\n".join(blocks) + "\n"


def _of(entry: dict[str, Any]) -> list[str]:
    head = ("figure", "ours", "the peer's", "ratio", "goal")
    cost = f"{entry['cpu_s']:.1f} CPU s, {entry['wall_s']:.1f} s, {entry['peak_mb']:,.0f} MB{ended(entry)}"
    words = f"{_sentence(entry['measures'])}. Size: {entry['size']}; the whole benchmark: {cost}."
    rows = [tuple(map(_cell, cells(figure))) for figure in entry["figures"]]
    return [f"### {entry['name']}", f"{words} `{entry['command']}`", table(head, rows)]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: str) -> str:
    """No HTML and no line ends: what a script printed comes into a table."""
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())


def _grounds(entries: list[dict[str, Any]]) -> list[str]:
    """One line for each set of day, machine and versions, with how many benchmarks stand on it."""
    grounds: Counter[str] = Counter()
    for entry in entries:
        box = entry["machine"]
        names = ", ".join(f"{name} {number}" for name, number in entry["versions"].items())
        grounds[
            f"{entry['made']}: {box['system']}, {box['cores']} cores, {_cell(box['cpu'])}, "
            f"{box['memory_mb']:,} MB of memory; {names}"
        ] += 1
    return [f"- {words} ({count} of {len(entries)} benchmarks)" for words, count in grounds.items()]
