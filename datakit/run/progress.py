"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from datakit.core.visible import raw_stream

PLAIN_EVERY_S = 10.0


class Progress:
    """Counts records of one step after the other. `quiet` shows nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        # A bundle carries this to machines that may have no `rich`.
        self._live = not quiet and sys.stderr.isatty() and find_spec("rich") is not None
        self._bar: Any = None
        self._task: Any = None
        self._title, self._total, self._done, self._note = "", 0, 0, ""
        self._last = self._begun = time.monotonic()
        self._cancelled = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def cancel(self) -> None:
        """Makes the work stop at its next record, as Ctrl-C does; may be called from another thread."""
        self._cancelled = True

    def say(self, text: str) -> None:
        """A line of its own, above the bar."""
        if not self._quiet:
            if self._bar is not None:
                self._bar.console.print(text, markup=False, highlight=False)
            else:
                print(text, file=sys.stderr, flush=True)

    def start(self, title: str, total: int) -> None:
        """Begins a step with so many records of work."""
        self._stop()
        self._title, self._total, self._done, self._note = title, total, 0, ""
        self._last = self._begun = time.monotonic()
        if self._live and total:
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task(title, total=total, note="")

    def advance(self, records: int, note: str = "") -> None:
        """So many records more are handled; `note` is a short figure such as the cost so far."""
        if self._cancelled:
            raise KeyboardInterrupt
        self._done += records
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(self._task, advance=records, note=self._note)
        elif not self._quiet and time.monotonic() - self._last > PLAIN_EVERY_S:
            self._last = time.monotonic()
            print(self._plain(), file=sys.stderr, flush=True)

    @property
    def done(self) -> int:
        """Records of the step that are handled."""
        return self._done

    @property
    def total(self) -> int:
        return self._total

    @property
    def left_s(self) -> float | None:
        """Seconds until the step ends at the speed so far; None before the first record."""
        spent = time.monotonic() - self._begun
        return spent / self._done * (self._total - self._done) if self._done else None

    def _plain(self) -> str:
        spent = max(time.monotonic() - self._begun, 1e-9)
        rate = self._done / spent
        left = (self._total - self._done) / rate if rate else 0.0
        note = f", {self._note}" if self._note else ""
        return f"{self._title}: {self._done:,} of {self._total:,}, {rate:.1f}/s, {left:.0f} s left{note}"

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=raw_stream(sys.stderr)),
        transient=True,
    )
