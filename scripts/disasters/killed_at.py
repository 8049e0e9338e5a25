"""A datakit command that sends itself a signal right before one chosen file operation or SQL statement.

    python scripts/disasters/killed_at.py LOG FOLDER SIGNAL COUNT SECONDS OPERATION build recipes/chaos.yaml

The signal comes when OPERATION is about to happen below FOLDER for the COUNT-th time, or SECONDS later; none
for COUNT 0. LOG then holds every operation so far in its order, as a JSON list. Python tells operations to an
audit hook and SQLite its statements to a trace; what polars writes by itself is met by the moments between.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import sqlite3
import sys
import threading
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_ONE_PATH = {"os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.utime"}
_TWO_PATHS = {"os.rename", "os.link", "os.symlink"}
_NAMELESS = (
    (re.compile(r"[0-9a-f]{16,}"), "HASH"),
    (re.compile(r"\d{8}T\d{6}"), "TIME"),
    (re.compile(r"\b\d+\b(?=\.(jpg|png))"), "N"),
    (re.compile(r"^temp/[^/]+"), "temp/TMP"),
)
_READS = ("SELECT", "PRAGMA", "--")
_connect = sqlite3.connect


class Watch:
    """Names each operation and sends the signal when its turn has come."""

    def __init__(
        self, log: str, folder: str, number: int, count: int, after_s: float, operation: str
    ) -> None:
        self._log, self._folder, self._signal = log, os.path.realpath(folder), number
        self._left, self._after_s, self._operation = count, after_s, operation
        self._operations: list[str] = []
        self._is_busy = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook."""
        if self._is_busy:
            return
        if (operation := self._named(event, arguments)) is not None:
            self._meet(operation)

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        """sqlite3.connect, under watch."""
        connection: sqlite3.Connection = _connect(*arguments, **options)
        connection.set_trace_callback(self._statement)
        return connection

    def write(self) -> None:
        """Leaves the operations so far where the caller reads them."""
        self._is_busy = True
        with open(self._log, "w", encoding="utf-8") as file:
            json.dump(self._operations, file)
        self._is_busy = False

    def _named(self, event: str, arguments: tuple[Any, ...]) -> str | None:
        """The operation in words that are the same in every run; None for what changes nothing here."""
        if event == "open":
            path, _, flags = arguments
            shown = self._shown(path) if isinstance(flags, int) and flags & _WRITES else None
            return f"write {shown}" if shown else None
        if event in _ONE_PATH:
            shown = self._shown(arguments[0])
            return f"{event[3:]} {shown}" if shown else None
        if event in _TWO_PATHS:
            old, new = self._shown(arguments[0]), self._shown(arguments[1])
            return f"{event[3:]} {old} {new}" if old or new else None
        if event == "ctypes.dlsym" and "rename" in str(arguments[1]):
            return f"call {arguments[1]}"
        return None

    def _shown(self, path: Any) -> str | None:
        """A path relative to the folder; None for one elsewhere."""
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike):
            return None
        text = os.path.join(os.getcwd(), os.fspath(path))
        if not text.startswith(self._folder + os.sep):
            return None
        text = text[len(self._folder) + 1 :]
        for pattern, word in _NAMELESS:
            text = pattern.sub(word, text)
        return text

    def _statement(self, statement: str) -> None:
        words = statement.split()
        if words and not words[0].upper().startswith(_READS):
            self._meet("sql " + " ".join(words[:4] if words[0].upper() != "UPDATE" else words[:2]))

    def _meet(self, operation: str) -> None:
        self._operations.append(operation)
        if self._left and operation == self._operation:
            self._left -= 1
            if not self._left:
                self.write()
                if self._after_s:
                    timer = threading.Timer(self._after_s, os.kill, (os.getpid(), self._signal))
                    timer.daemon = True
                    timer.start()
                else:
                    os.kill(os.getpid(), self._signal)


def main(arguments: list[str]) -> None:
    """Runs the command under watch and ends with its exit code."""
    log, folder, number, count, after_s, operation, *command = arguments
    watch = Watch(log, folder, int(number or signal.SIGKILL), int(count), float(after_s), operation)
    sys.addaudithook(watch.hook)
    sqlite3.connect = watch.connect  # type: ignore[assignment]
    atexit.register(watch.write)  # datakit ends the process itself, without a way back
    from datakit.cli import main as datakit

    datakit(command)


if __name__ == "__main__":
    main(sys.argv[1:])
