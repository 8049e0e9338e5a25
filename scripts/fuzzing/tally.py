"""What a run says in the end: inputs of each kind, share valid, faults, peak of memory, the slowest."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from fuzzing.faults import Account


@dataclass
class Tally:
    """Figures of a run."""

    began: float = field(default_factory=time.monotonic)
    inputs: Counter[str] = field(default_factory=Counter)
    valid: Counter[str] = field(default_factory=Counter)
    depths: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refusals: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Fault -> its inputs, `kind number`."""
    peak_mb: float = 0.0
    slowest_s: float = 0.0
    slowest: str = ""

    def add(self, account: Account) -> None:
        """Counts an input."""
        name = f"{account.kind} {account.number}"
        self.inputs[account.kind] += 1
        self.valid[account.kind] += account.valid
        self.depths[account.kind][account.depth or "refused"] += 1
        if account.refusal:
            self.refusals[account.kind][_gist(account.refusal)] += 1
        if account.fault:
            self.faults[account.fault].append(name)
        self.peak_mb = max(self.peak_mb, account.peak_mb)
        if account.seconds > self.slowest_s:
            self.slowest_s, self.slowest = account.seconds, name

    @property
    def share_valid(self) -> float:
        """Share of all inputs that passed validation."""
        return sum(self.valid.values()) / max(1, sum(self.inputs.values()))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seconds": round(time.monotonic() - self.began, 1),
            "inputs": dict(self.inputs),
            "share_valid": round(self.share_valid, 4),
            "valid": {kind: round(self.valid[kind] / count, 3) for kind, count in self.inputs.items()},
            "depths": {kind: dict(counts) for kind, counts in self.depths.items()},
            "faults": dict(self.faults),
            "peak_mb": self.peak_mb,
            "slowest_s": self.slowest_s,
            "slowest": self.slowest,
            "refusals": {kind: dict(counts.most_common(12)) for kind, counts in self.refusals.items()},
        }

    def words(self) -> str:
        """For people."""
        plain = self.plain()
        lines = [
            f"{kind:10} {count:6,} inputs, {plain['valid'][kind]:.0%} valid, {dict(self.depths[kind])}"
            for kind, count in sorted(self.inputs.items())
        ]
        lines.append(self.line())
        lines += [f"fault: {fault} ({len(names)}, first {names[0]})" for fault, names in self.faults.items()]
        lines.append(f"{len(self.faults)} faults")
        return "\n".join(lines)

    def line(self) -> str:
        """The figures of the run so far."""
        total, seconds = sum(self.inputs.values()), time.monotonic() - self.began
        return (
            f"{total:,} inputs in {seconds:,.0f} s, {self.share_valid:.0%} valid, {len(self.faults)} faults, "
            f"peak {self.peak_mb:,.0f} MB, slowest {self.slowest_s:.1f} s ({self.slowest})"
        )


def _gist(refusal: str) -> str:
    """The first words of a refusal without what differs from input to input."""
    lines = [line.strip() for line in refusal.splitlines() if line.strip()]
    if lines[0].startswith("the check found") and len(lines) > 1:
        return f"the check: {lines[1][:100]}"
    line = lines[1] if len(lines) > 1 and re.match(r"\S+:\d+(:\d+)?$|/", lines[0]) else lines[0]
    return re.sub(r"/\S+|\d+", "…", line)[:120]
