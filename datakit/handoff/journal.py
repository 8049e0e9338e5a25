"""What a handoff says: on the terminal with the time of day, and in a log of its own in the run."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from datakit.core.private_files import open_private, private_folder


class Journal:
    """Takes lines from any thread. A context manager."""

    def __init__(self, logs: Path, show: Callable[[str], None]) -> None:
        self.log = logs / f"handoff-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
        self.last_line = ""
        self._show, self._lock = show, threading.Lock()
        private_folder(logs)
        self._file = open_private(self.log)
        self._spoken = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def say(self, text: str) -> None:
        """Tells lines. A terminal that was closed takes none, and a full disk no log: the work goes on."""
        with self._lock:
            self._spoken = time.monotonic()
            for line in text.splitlines():
                timed = f"{time.strftime('%H:%M:%S')} {line}"
                if line.strip():
                    self.last_line = line.strip()
                with contextlib.suppress(OSError):
                    self._file.write(f"{timed}\n".encode("utf-8", "replace"))
                    self._file.flush()
                with contextlib.suppress(OSError):
                    self._show(timed)

    @property
    def silent_s(self) -> float:
        """How long nothing was said."""
        return time.monotonic() - self._spoken
