"""The address of a result store in PostgreSQL: told from a folder, and shown without a password."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"postgres(?:ql)?://", re.I)
_URL = re.compile(
    r"postgres(?:ql)?://(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<hosts>(?:[\w.%,-]|\$\{\w+\}|\[[\da-f:.]+\]|:\d+(?=[,/?]|$))*)(?P<name>/[^/?#@\s]*)?"
    r"(?:\?(?P<query>(?:\w+=[^&?#]*&?)*))?",
    re.I,
)
_SECRET = re.compile(r"(?:^|&)[^=&]*(?:passw|secret|token|key_log)[^=&]*=", re.I)
_VARIABLE = re.compile(r"\$\{\w+\}")
FORM = "postgresql://user@host:5432/database"
REMEDY = (
    "Take it out and set PGPASSWORD, or PGPASSFILE to a file of passwords, in the environment; or write "
    "${NAME} where the password stands, and set that variable"
)


def is_url(text: str) -> bool:
    """Whether a text means a database, not a folder."""
    return _SCHEME.match(text) is not None


def fault_of_url(url: str) -> str | None:
    """What is wrong with an address that anybody may read, without a part of it; None where nothing is.

    A password may stand there as a `${NAME}` alone.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return f"no address of a database, {FORM}. Is a password in it? {REMEDY}"
    password = match["password"]
    if (password and not _VARIABLE.fullmatch(password)) or _SECRET.search(match["query"] or ""):
        return f"the address holds a password, which would stand in builds and logs. {REMEDY}"
    return None


def shown_url(url: str) -> str:
    """The address without password and options, for people."""
    match = _URL.fullmatch(url)
    if match is None:
        return "postgresql://..."
    user = f"{match['user']}@" if match["user"] else ""
    return f"postgresql://{user}{match['hosts']}{match['name'] or ''}"
