"""Progress: a live bar on a terminal and in a notebook, a plain line on stderr now and then elsewhere."""

from __future__ import annotations

import html
import sys
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from datakit.core.visible import raw_stream, visible

PLAIN_EVERY_S = 10.0
_NOTEBOOK_AFTER_S, _NOTEBOOK_EVERY_S = 1.0, 0.2
"""A notebook shows no bar of what is done at once."""


class Progress:
    """Counts records of one step after the other. `quiet` shows nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        # A bundle carries this to machines that may have no `rich`.
        self._live = not quiet and sys.stderr.isatty() and find_spec("rich") is not None
        self._cell = _cell() if not quiet and not self._live else None
        self._bar: Any = None
        self._task: Any = None
        self._title, self._total, self._done, self._note = "", 0, 0, ""
        self._last = self._begun = time.monotonic()
        self._cancelled = False
        self._waits_for = ""

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

    def wait_for(self, words: str) -> None:
        """Says what the step waits for, until the next records are handled."""
        self._note = words
        if self._bar is not None:
            self._bar.update(self._task, note=words)
        elif not self._quiet and self._cell is None:
            print(f"{self._title}: {words}", file=sys.stderr, flush=True)
        self._waits_for = words

    def advance(self, records: int, note: str = "") -> None:
        """So many records more are handled; `note` is a short figure such as the cost so far."""
        if self._cancelled:
            raise KeyboardInterrupt
        self._done += records
        self._note = note or (self._note if self._note != self._waits_for else "")
        if self._bar is not None:
            self._bar.update(self._task, advance=records, note=self._note)
        elif self._cell is not None and self._total:
            waits = _NOTEBOOK_EVERY_S if self._cell.is_there else _NOTEBOOK_AFTER_S
            if time.monotonic() - self._last > waits:
                self._last = time.monotonic()
                self._cell.show(self._done, self._total, self._plain())
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
        if self._cell is not None:
            self._cell.clear()


class _Cell:
    """A bar in the output of a notebook's cell, which needs no widgets."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None

    @property
    def is_there(self) -> bool:
        """Whether it was shown."""
        return self._handle is not None

    def show(self, done: int, total: int, words: str) -> None:
        """So far."""
        bar = f"<progress value='{done}' max='{total}'></progress> {html.escape(visible(words))}"
        self._put({"text/html": bar, "text/plain": words})

    def clear(self) -> None:
        """Takes the bar away."""
        if self._handle is not None:
            self._put({"text/html": "", "text/plain": ""})

    def _put(self, data: dict[str, str]) -> None:
        if self._handle is None:
            self._handle = self._display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def in_notebook() -> bool:
    """Whether a notebook's cell is at work, which shows progress where it can be looked at."""
    return _cell() is not None


def _cell() -> _Cell | None:
    """The cell of the notebook that this runs in; None elsewhere."""
    loaded = sys.modules.get("IPython")  # where it is not imported, nobody is in a notebook
    shell = loaded.get_ipython() if loaded is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return _Cell(display)


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
