"""What may be written over, and how the rest is moved out of the way: nothing of a person's is lost."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from datakit.core.errors import UserError
from datakit.core.regular_files import read_regular, regular


def check_replaceable(path: Path, what: str, is_own: Callable[[Path], bool]) -> None:
    """Raises UserError where a file that is not `what` stands at `path` and would be written over.

    `is_own` tells from the file's content; one that it cannot make sense of is not ours.
    """
    if not os.path.lexists(path):
        return
    try:
        own = path.is_file() and (path.stat().st_size == 0 or is_own(path))
    except Exception:  # whatever a foreign file makes a parser raise: the user is told which file it is
        own = False
    if not own:
        raise UserError(
            f"{path} is not {what}, and would be written over", remedy="Name another file, or move it away."
        )


def first_line(path: Path) -> bytes:
    """The first line of a file, at most 1 MiB of it."""
    with open(path, "rb", opener=regular) as file:
        return file.readline(1 << 20)


def set_aside(path: Path) -> Path:
    """Where the file or folder at `path` lies now: beside its place, as `<stem>.kept-<UTC time><suffix>`.

    The name has another stem, so that nothing that looks for such files takes it up again. A link is moved
    itself, not what it points to. Raises OSError where it cannot be renamed.
    """
    stem = f"{path.stem}.kept-{stamp_now()}"
    names = (f"{stem}{number}{path.suffix}" for number in ("", *(f"-{n}" for n in range(2, 10_000))))
    target = next(free for name in names if not os.path.lexists(free := path.with_name(name)))
    os.rename(path, target)
    return target


def free_name(path: Path) -> Path:
    """`path`, or where that is taken the first of `<stem>-2<suffix>`, `<stem>-3<suffix>` … that is free."""
    free, number = path, 1
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


_SEAL = "<!-- written by datakit, sha256 {} -->\n"


def seal(text: str) -> str:
    """A page with a last line that holds the digest of the others, so that an edit by hand shows."""
    return text + _SEAL.format(hashlib.sha256(text.encode()).hexdigest()[:16])


def unsealed(text: str) -> str:
    """A sealed page without its last line."""
    return text[: text.rstrip("\n").rfind("\n") + 1]


def is_untouched(path: Path) -> bool:
    """Whether a page (Markdown, HTML, SVG) is as datakit sealed it."""
    try:
        text = read_regular(path).decode("utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return False
    return bool(text) and text == seal(unsealed(text))


def stamp_now() -> str:
    """The time in UTC as it stands in names, such as 20261126T032000."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime())
