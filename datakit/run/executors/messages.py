"""Messages over a stream socket between a program and its worker processes, many in one read."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

_SIZE = struct.Struct("!Q")
_READ_BYTES = 1 << 20


def packed(message: bytes) -> bytes:
    """A message as it is written to the socket."""
    return _SIZE.pack(len(message)) + message


@dataclass
class Inbox:
    """What the other end has sent."""

    source: socket.socket
    _unread: bytearray = field(default_factory=bytearray)

    def read(self) -> list[bytes]:
        """All messages that are there, at least one: it is waited for. None at all when the other end is
        gone; what had come whole before that has been given."""
        while True:
            if messages := self._whole():
                return messages
            try:
                data = self.source.recv(_READ_BYTES)
            except OSError:  # gone with something unread
                return []
            if not data:
                return []
            self._unread += data

    def _whole(self) -> list[bytes]:
        messages, at, there = [], 0, len(self._unread)
        while at + _SIZE.size <= there:
            end = at + _SIZE.size + _SIZE.unpack_from(self._unread, at)[0]
            if end > there:
                break
            messages.append(bytes(self._unread[at + _SIZE.size : end]))
            at = end
        del self._unread[:at]
        return messages
