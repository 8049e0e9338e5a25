"""What two builds have in common to the byte, and the few things that may differ, each by its name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

Outcome = dict[str, Any]
"""Path in the project -> bytes, or for three files what of them must be equal."""

_STAMPS = {"mtime_ns", "ctime_ns", "inode"}
"""manifest.json: when and where each file was written. Hashes and sizes of the two files below differ with
what they hold; those of all others are compared."""
_RUN = {
    "seconds",
    "cached",
    "new",
    "calls",
    "attempts",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "cost_usd",
}
"""report.json: what one run did. `cached` and `new` are compared as their sum."""
_SPENT = ("tokens in", "tokens out", "cost, USD")
"""The card, and its HTML page: columns of the table of steps with what the run that wrote the build spent,
and a sentence that says so. The seal in the last line is the hash of the rest."""
_SENTENCE = "Tokens and cost are those of the run that wrote this build"
_TITLES = "(?:What changed since the last version|Spend)"
_OF_OTHER_RUNS = re.compile(
    rf'<li><a href="#[^"]*">{_TITLES}</a></li>\n|<section id="[^"]*">\n<h2>{_TITLES}</h2>.*?</section>\n'
    rf"|## {_TITLES}\n.*?(?=\n## )",
    re.DOTALL,
)
"""Sections on the build that stood there before, and on what the run that wrote this one spent."""
_NOT_HASHED = ("report.json", "records.parquet")


def outcome(project: Path, name: str) -> Outcome:
    """The build `build/<name>` and its card."""
    build = project / "build" / name
    files = [path for path in build.rglob("*") if path.is_file()]
    files += [path for path in (project / "data_cards").rglob("*") if path.is_file()]
    result: Outcome = {}
    for path in sorted(files):
        shown = path.relative_to(project).as_posix()
        match path.name:
            case "manifest.json":
                result[shown] = _manifest(path)
            case "card.json":
                result[shown] = _written_card(path, project)
            case "report.json":
                result[shown] = _report(path)
            case "records.parquet":
                result[shown] = _records(path)
            case _ if path.suffix in (".md", ".html") and path.parent.name == "data_cards":
                result[shown] = _card(path)
            case _:
                result[shown] = path.read_bytes()
    return result


def differences(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """One line for each file that is lacking, added or other; none when both are the same."""
    lines = [f"lacks {name}" for name in sorted(expected.keys() - actual.keys())]
    lines += [f"has {name} besides" for name in sorted(actual.keys() - expected.keys())]
    for name in sorted(expected.keys() & actual.keys()):
        if expected[name] != actual[name]:
            lines.append(f"{name} differs: {_first_difference(expected[name], actual[name])}")
    return lines


def torn(build: Path) -> str | None:
    """What of a build folder is not as its manifest says; None for a whole build."""
    try:
        manifest = json.loads((build / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        return f"no manifest: {error}"
    for name, stamp in manifest["artifacts"].items():
        path = build / name
        if not path.is_file():
            return f"{name} is not there"
        if stamp.get("sha256") and hashlib.sha256(path.read_bytes()).hexdigest() != stamp["sha256"]:
            return f"{name} has other bytes than its manifest says"
    return None


def _manifest(path: Path) -> Any:
    manifest = json.loads(path.read_bytes())
    for name, stamp in (manifest["artifacts"] | manifest["sources"]).items():
        for key in _STAMPS:
            stamp.pop(key, None)
        if name in _NOT_HASHED:
            stamp.clear()
    return manifest


def _report(path: Path) -> Any:
    report = json.loads(path.read_bytes())
    report.pop("seconds")
    report.pop("since")  # what changed since the build that stood there before
    for step in report["steps"]:
        step["answered"] = step["cached"] + step["new"]
        for key in _RUN:
            step.pop(key)
    return report


def _records(path: Path) -> Any:
    """All rows. Of the columns `@number.step` the key, not whether this run made the result."""
    frame = pl.read_parquet(path)
    traces = [name for name in frame.columns if name.startswith("@")]
    return frame.with_columns(pl.col(name).struct.field("key").alias(name) for name in traces).to_dicts()


def _written_card(path: Path, project: Path) -> Any:
    """Which pages are the card, and whether these lie there; hashes of plots alone: pages tell of the run."""
    card = json.loads(path.read_bytes())
    card.pop("build")
    for name, digest in card["pages"].items():
        page = project / "data_cards" / name
        is_there = page.is_file() and hashlib.sha256(page.read_bytes()).hexdigest() == digest
        card["pages"][name] = (is_there, digest if name.endswith(".svg") else "")
    return card


def _card(path: Path) -> bytes:
    """A page without the figures of the run."""
    lines, shorter = [], 0
    for line in _OF_OTHER_RUNS.sub("", path.read_text("utf-8")).splitlines():
        if line.startswith("<!-- written by datakit, sha256 ") or _SENTENCE in line:
            continue
        cells = re.split(r"(?=<t[hd][ >])" if path.suffix == ".html" else r"(?<=\|)(?! $)(?=.)", line)
        if any(f"transform{end}" in line for end in (" |", "</th>")):  # the head of the table of steps
            shorter = len(cells) - sum(name in cell for cell in cells for name in _SPENT)
        elif not line.startswith(("|", "<tr>", "<tbody>")):
            shorter = 0
        text = "".join(cells[:shorter] if shorter else cells)
        lines.append(re.sub("</tr>(</t(head|body)>)?$", "", text))
    return "\n".join(line for line in lines if line).encode()


def _first_difference(expected: Any, actual: Any, where: str = "") -> str:
    if isinstance(expected, bytes) and isinstance(actual, bytes):
        at = next((at for at, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
        at = min(len(expected), len(actual)) if at is None else at
        line = expected[:at].count(b"\n") + 1
        shown = [data[max(at - 40, 0) : at + 60].decode(errors="replace") for data in (expected, actual)]
        return f"line {line}, {shown[0]!r} is {shown[1]!r}"
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            if expected.get(key) != actual.get(key):
                return _first_difference(expected.get(key), actual.get(key), f"{where}.{key}")
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for at, (a, b) in enumerate(zip(expected, actual, strict=True)):
            if a != b:
                return _first_difference(a, b, f"{where}[{at}]")
    return f"{where or 'it'}: {str(expected)[:120]} is {str(actual)[:120]}"
