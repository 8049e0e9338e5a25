"""What every way to a server has in common: bodies, replies, and keys that no message repeats."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from datakit.core.credentials import Mask
from datakit.core.message_text import readable
from datakit.llm._echoes import cleaned
from datakit.llm._faults import Fault
from datakit.llm.answer import Answer


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from the server, whatever its status. Header names do not mind their case."""

    status: int
    headers: Mapping[str, str]
    """Looked up by names in small letters."""
    data: bytes


MOST_REPLY_BYTES = 64 << 20
"""Of a reply, unpacked. The longest answers have less than a hundredth; a server must not fill the memory."""


def too_large() -> Fault:
    """What comes of a reply of more bytes; its rest is not read."""
    return Fault("retry", "reply_too_large", f"the server's reply has over {MOST_REPLY_BYTES >> 20} MiB")


class Body:
    """The bytes of a request, let go as soon as the network has them: an answer may take minutes, and 512
    pictures of 100 KB are 70 MB."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)


class Wire(ABC):
    """The way to one address."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, timeout_s: float, secrets: Sequence[str] = ()
    ) -> None:
        self.url, self._timeout_s, self.mask = url, timeout_s, Mask(secrets)
        self._headers = {**headers, "Content-Type": "application/json"}

    @abstractmethod
    async def post(self, body: Body) -> Reply | Fault:
        """The server's reply, or why there is none."""

    @abstractmethod
    async def get(self, url: str) -> Reply | Fault:
        """What stands at an address of the same service, or why there is none: `unreachable` where nobody
        takes the connection."""

    @abstractmethod
    async def close(self) -> None:
        """Gives connections back."""

    def safe(self, fault: Fault) -> Fault:
        """Without the key and the recipe's own headers, which some servers repeat in their messages."""
        return replace(fault, detail=self.mask(fault.detail))

    def scrubbed(self, data: bytes) -> bytes:
        """The same for what came from a server, before any of it is cut off in the middle of a key."""
        return self.mask.in_bytes(readable(data).encode() if b"\0" in data else data)

    def clean(self, outcome: Answer | Fault) -> Answer | Fault:
        """What came of a call, without credentials; see `cleaned`."""
        return cleaned(outcome, self.mask)

    def lost(self, error: BaseException, reason: str = "connection_lost") -> Fault:
        """The fault of a call without a reply."""
        if isinstance(error, TimeoutError):
            return Fault("again", "timed_out", f"no answer within {self._timeout_s:g} s")
        words = self.mask(str(error) or type(error).__name__)[:300]
        return self.safe(Fault("again", reason, f"{type(error).__name__}: {words}"))


def in_utf8(data: bytes, charset: str | None) -> bytes:
    """A body in UTF-8, which JSON has to be, whichever encoding its header names.

    A header that names Latin-1 mostly is the default of a server that knows of none: it is not believed.
    """
    if charset is None or charset.lower() in _DEFAULTS:
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        with contextlib.suppress(LookupError, UnicodeError):  # no such encoding, or the header is wrong
            return data.decode(charset).encode()
    return data


_DEFAULTS = ("iso-8859-1", "latin-1", "latin1", "us-ascii", "ascii", "windows-1252")
