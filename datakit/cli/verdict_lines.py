"""A build's verdict on the terminal and in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datakit.artifacts.report import Finding
from datakit.core.shown_path import show_path
from datakit.verdict import command_of

MOST = 4
"""Findings that the end of a build shows."""
_MARKS = {"failed": "FAILED", "warned": "warned", "passed": "passed"}


def lines_of(findings: Sequence[Finding], build: Path, most: int | None = MOST) -> list[str]:
    """The counts, then findings with their commands: the worst `most`, or all and the passes."""
    if not findings:
        return []
    counts = ", ".join(
        f"{number} {state}"
        for state in _MARKS
        if (number := sum(finding.state == state for finding in findings))
    )
    bad = [finding for finding in findings if finding.state != "passed"]
    folder = show_path(build)
    lines = [f"Verdict: {counts}"]
    for finding in bad[:most]:
        lines.append(f"  {_MARKS[finding.state]} {finding.kind}: {finding.statement}: {finding.words}")
        lines.append(f"         {command_of(finding.kind, folder)}")
    if most is not None:
        if len(bad) > most:
            lines.append(f"  {len(bad) - most} more: {_all(folder)}")
        return lines
    return lines + [
        f"  passed {finding.kind}: {finding.statement}: {finding.words}"
        for finding in findings
        if finding.state == "passed"
    ]


def as_plain(findings: Sequence[Finding], build: Path) -> list[dict[str, Any]]:
    """The findings for JSON, each with its command."""
    folder = show_path(build)
    return [{**finding.model_dump(), "command": command_of(finding.kind, folder)} for finding in findings]


def _all(folder: str) -> str:
    return command_of("", folder).partition(" --kind")[0]
