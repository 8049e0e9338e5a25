"""A finding: what is wrong, how bad it is, where, and what to do. Each kind of finding has a code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from datakit.checking.codes import CODES

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault at one place."""

    code: str
    message: str
    where: str = ""
    """`file:line` as far as it is known."""
    data_set: str = ""
    record: str = ""
    """The record's id, or its place in the data set when it has none."""
    remedy: str = ""

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "where": self.where,
            "data_set": self.data_set,
            "record": self.record,
            "remedy": self.remedy or CODES[self.code].remedy,
        }


@dataclass(frozen=True)
class Group:
    """Findings of one kind."""

    code: str
    findings: list[Finding]

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    @property
    def title(self) -> str:
        return CODES[self.code].title

    @property
    def remedy(self) -> str:
        own = {finding.remedy for finding in self.findings}
        return own.pop() if len(own) == 1 and own != {""} else CODES[self.code].remedy

    @property
    def headline(self) -> str:
        """One line for a report: how often, what."""
        count = len(self.findings)
        return f"{self.title} ({count:,} times)" if count > 1 else f"{self.title}: {self.findings[0].message}"


@dataclass
class Findings:
    """Everything found so far."""

    all: list[Finding] = field(default_factory=list)

    def add(self, code: str, message: str, **more: str) -> None:
        """Notes a fault of the kind `code`."""
        assert code in CODES, code
        self.all.append(Finding(code, message, **more))

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.all)

    def groups(self) -> Iterator[Group]:
        """Findings by kind: errors first, then by the order in which they were found."""
        by_code: dict[str, list[Finding]] = {}
        for finding in self.all:
            by_code.setdefault(finding.code, []).append(finding)
        for severity in SEVERITIES:
            for code, findings in by_code.items():
                if CODES[code].severity == severity:
                    yield Group(code, findings)
