"""server.json of a run: the server that a driver started last.

It ends soon after its driver; until then it may still answer a later driver, which must not ask it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from datakit.artifacts.document import Document
from datakit.core.errors import UserError
from datakit.core.processes import process_mark
from datakit.handoff.stages import UNKNOWN

_FILE = "server.json"
_ENDS_S, _LOOK_S = 60.0, 0.2


class OwnServer(Document):
    """Who started a server, and what leads it; a mark tells a process from a later one of its number."""

    FORMAT: ClassVar[int] = 1

    host: str = ""
    driver: int = 0
    driver_mark: str = ""
    pid: int = 0
    mark: str = ""
    port: int = 0
    flags: str = UNKNOWN
    """Digest of its flags that change an answer."""

    @property
    def is_alive(self) -> bool:
        """Whether it lives, on this machine."""
        return self.host == socket.gethostname() and bool(self.mark) and process_mark(self.pid) == self.mark

    @property
    def is_orphan(self) -> bool:
        """Whether it lives on this machine and its driver does not."""
        return self.is_alive and process_mark(self.driver) != self.driver_mark


def note_server(run: Path, pid: int, port: int, flags: str) -> None:
    """Notes the server that this process has started, and the digest of its flags."""
    own = OwnServer(host=socket.gethostname(), driver=os.getpid(), driver_mark=process_mark(os.getpid()))
    own.pid, own.mark, own.port, own.flags = pid, process_mark(pid), port, flags
    with contextlib.suppress(OSError):  # a full disk: a later driver is told of the port then
        own.write(run / _FILE)


def flags_of_server(run: Path, port: int) -> str:
    """Digest of the flags of a server that a driver of this run has on the port; UNKNOWN of any other."""
    try:
        server = OwnServer.load(run / _FILE)
    except UserError:
        return UNKNOWN
    return server.flags if server.is_alive and server.port == port else UNKNOWN


def await_end_of_orphan(run: Path, say: Callable[[str], None]) -> None:
    """Returns when no server is left whose driver was killed. Raises UserError for one that does not end."""
    try:
        server = OwnServer.load(run / _FILE)
    except UserError:  # none, or half-written
        return
    until, is_told = time.monotonic() + _ENDS_S, False
    while server.is_orphan:
        if not is_told:
            say(
                f"The server of a handoff that was killed (process {server.pid}) is ending; it is waited for."
            )
            is_told = True
        if time.monotonic() > until:
            raise UserError(
                f"the server of an earlier handoff (process {server.pid}) does not end",
                remedy=f"End it: kill -9 {server.pid}",
            )
        time.sleep(_LOOK_S)
