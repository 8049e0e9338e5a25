"""One finding of a bundle's doctor."""

from __future__ import annotations

from dataclasses import dataclass

FINE, WARNING, FAULT = "ok", "warning", "FAULT"


@dataclass(frozen=True)
class Finding:
    """What was seen, and what is to be done about it."""

    what: str
    state: str
    message: str
    remedy: str = ""

    @property
    def text(self) -> str:
        """In a line, and a second one for the remedy."""
        line = f"{self.state:<8} {self.what}: {self.message}"
        return f"{line}\n         {self.remedy}" if self.remedy else line
