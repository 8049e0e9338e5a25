"""Values in files that a shell or a YAML reader takes up: each stays the one value, whatever stands in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from datakit.core.errors import UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def comment(text: str) -> str:
    """A comment of one line for bash, YAML and Python. Line ends and what no eye sees stand as escapes.

    Bash ends a comment at LF alone, YAML also at CR, NEL, LS and PS; YAML takes no control characters at all.
    """
    shown = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return f"# {shown}".rstrip()


def shell_words(words: Iterable[str]) -> str:
    """Words on a line of bash; each reaches the command byte for byte. Raises UserError for NUL."""
    return " ".join(map(_quoted, words))


def shell_lines(parts: Iterable[Sequence[str]]) -> str:
    """A command of bash over several lines, a part on each. Raises UserError for NUL."""
    return " \\\n  ".join(map(shell_words, parts))


def flag_words(name: str, value: str | None) -> list[str]:
    """A flag of a command as words; a value that begins with a dash would be read as a flag of its own."""
    if value is None:
        return [name]
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def assignment(name: str, value: object) -> str:
    """A line of bash that sets a variable. Raises UserError for NUL and for what is no name of a variable."""
    if _NAME.fullmatch(name) is None:
        raise UserError(f"{name!r} is no name of a shell variable")
    return f"{name}={_quoted(str(value))}\n"


def python_value(value: object) -> str:
    """Texts, numbers, lists and None as Python writes them, in ASCII: nothing in a text ends its line."""
    return ascii(value)


def _quoted(word: str) -> str:
    if "\0" in word:
        raise UserError(
            f"{word!r} holds the character NUL, which no command can be given", remedy="Take it out."
        )
    return shlex.quote(word)
