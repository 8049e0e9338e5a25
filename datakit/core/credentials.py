"""Credentials of this process, and texts without them.

A server may repeat a key whole, in part, in base64, in hexadecimal digits or with escapes. Whatever is kept
or shown goes through a Mask first, and before it is cut: half a key is still one.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

HIDDEN = "***"
"""Stands where a credential stood."""
ECHO = "***credential***"
"""The same in a file of answers."""
FRAGMENT = 8
"""Characters in a row that tell something of a credential."""
_SHORTEST = 5
"""Shorter values are words such as `none`; masking them would spoil every message."""
_PLACEHOLDERS = frozenset({"none", "empty", "dummy", "no-key", "no_key", "not-needed", "unused", "changeme"})
"""What servers without keys are given. Messages say these words of their own."""
_NAME = re.compile(
    r"(?:API_?|ACCESS_?|SECRET_?|PRIVATE_?|ENCRYPTION_?|(?:^|_))KEY(?:_ID)?\d*$"
    r"|TOKEN\d*$|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIALS?$|_(?:PAT|PASS|AUTH)$|API_?KEY",
    re.I,
)
_FIELD = re.compile(
    r"(?:^|[_-])(?:token|secret|password|passwd|api[_-]?key|access[_-]?key|sig(?:nature)?|auth)$", re.I
)
_ESCAPE = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})|&#[xX]([0-9a-fA-F]{1,6});|&#(\d{1,7});"
    r"|\\([\"'\\/])|&(amp|lt|gt|quot|apos);"
)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_NESTED = 3
"""Escapes within escapes are undone as often: JSON in JSON in an address."""
_ELIDED = re.compile(
    r"(?:(?<![\w+/=-])|(?=[*•●#.…]))([\w+/=-]*)(?:[*•●x#]{3,}|\.{3,}|…+)([\w+/=-]*)"  # a word is tried once
)
"""`sk-ab12***9f0c`: how services repeat a key that they refuse."""
_ENDS = 3
_ADDRESS = re.compile(
    # Bounded, and tried once for each word: servers repeat whole pictures in their messages.
    r"([a-zA-Z][\w+.-]{0,30}://)[^\s/@?#]+@|(?<![\w.-])[\w.-]+:[^\s/@?#:'\"`]+@(?=[\w.-])"
)


def is_credential_name(variable: str) -> bool:
    """Whether an environment variable of this name holds a credential: OPENAI_API_KEY, HF_TOKEN."""
    return _NAME.search(variable) is not None


def is_credential_field(name: str) -> bool:
    """Whether a field, a flag or a parameter of an address of this name holds a credential: `hub_token`."""
    return _FIELD.search(name) is not None


def credentials(names: Collection[str] = (), environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variable -> credential of the environment, those of `names` included; of addresses, the password.

    A variable that holds the path of a file of credentials is none.
    """
    held = {}
    for variable, value in (os.environ if environ is None else environ).items():
        if variable in names or is_credential_name(variable):
            if not value.startswith(("/", "~")):
                held[variable] = value
        elif secrets := credentials_of_address(value):
            held[variable] = max(secrets, key=len)
    return held


def credentials_of_address(address: str) -> list[str]:
    """Password (or the name that stands alone for it) and secret parameters of an address."""
    if "://" not in address or len(address.split()) > 1:
        return []
    try:
        parts = urlsplit(address)
        own = parts.password or parts.username
        pairs = parse_qsl(parts.query)
    except ValueError:
        return []
    return [text for text in (own, *(value for name, value in pairs if is_credential_field(name))) if text]


def without_user(text: str) -> str:
    """A text whose addresses have neither names nor passwords."""
    return _ADDRESS.sub(lambda match: match[1] or "", text)


def worker_environment(keep: Collection[str] = (), drop: Collection[str] = ()) -> dict[str, str]:
    """The environment of a process of ours that asks no service: everything but credentials.

    `keep` are those that it needs after all, `drop` names that a recipe gives to credentials.
    """
    kept = dict(os.environ)
    for variable in os.environ:
        if variable in drop or is_credential_name(variable):
            if variable not in keep:
                del kept[variable]
        elif variable in credentials(environ={variable: kept[variable]}):
            kept[variable] = without_user(kept[variable]).partition("?")[0]  # a proxy without its password
    return kept


class Mask:
    """Finds some credentials in texts, in whatever form."""

    def __init__(self, values: Iterable[str]) -> None:
        words = {word for value in values for word in (value, *value.split())}
        told = {word.strip() for word in words if word.strip().lower() not in _PLACEHOLDERS}
        self._long = {word for word in told if len(word) >= FRAGMENT}
        self._short = {word for word in told if _SHORTEST <= len(word) < FRAGMENT}
        self._heads = sorted(word.lower() for word in self._long)
        forms = {form for word in self._long for form in _forms(word)}
        self._pieces = {piece for form in forms for piece in _pieces(form.lower())}

    def __call__(self, text: str) -> str:
        """The text with every credential, and every telling piece of one, hidden."""
        for word in self._short:
            text = text.replace(word, HIDDEN)
        if not self._pieces:
            return text
        plain, spans = _unescaped(text)
        out, at = [], 0
        for start, end in self._places(plain):
            first, last = (spans[start][0], spans[end - 1][1]) if spans else (start, end)
            out += [text[at:first], HIDDEN]
            at = last
        text = "".join([*out, text[at:]]) if out else text
        return self._without_ends(_ELIDED.sub(self._elided, text))

    def in_bytes(self, data: bytes) -> bytes:
        """The same for a body in an encoding that holds ASCII."""
        return self(data.decode("latin-1")).encode("latin-1")

    def in_answers(self, data: bytes) -> bytes:
        """The same for a file of answers: those that held a credential are still known by `holds`."""
        lines = ((line, self.in_bytes(line)) for line in data.splitlines(keepends=True))
        return b"".join(
            line if line == hidden else hidden.replace(HIDDEN.encode(), ECHO.encode())
            for line, hidden in lines
        )

    def holds(self, *texts: str) -> bool:
        """Whether a text holds a credential, or a piece of one that is more than letters (or is long)."""
        for text in texts:
            if ECHO in text:
                return True
            plain = text
            for _ in range(_NESTED):
                plain = _ESCAPE.sub(lambda match: _sign(match), plain)
            for start, end in self._places(plain):
                if end - start >= 2 * FRAGMENT or not plain[start:end].isalpha():
                    return True
        return False

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where pieces stand, those that touch or overlap joined."""
        lower = text.lower()
        if len(lower) != len(text):  # `İ` becomes two characters
            lower = "".join(sign.lower() if sign.isascii() else sign for sign in text)
        pieces = self._pieces
        start = end = -1
        for at in range(len(lower) - FRAGMENT + 1):
            if lower[at : at + FRAGMENT] in pieces:
                if at > end:
                    if end > 0:
                        yield start, end
                    start = at
                end = at + FRAGMENT
        if end > 0:
            yield start, end

    def _elided(self, match: re.Match[str]) -> str:
        head, tail = match[1].lower(), match[2].lower()
        is_ours = any(
            (len(head) >= _ENDS and word.startswith(head)) or (len(tail) >= _ENDS and word.endswith(tail))
            for word in self._heads
        )
        after_hidden = match[0].startswith(HIDDEN) and any(tail and w.endswith(tail) for w in self._heads)
        return HIDDEN if is_ours or after_hidden else match[0]

    def _without_ends(self, text: str) -> str:
        """Without the beginning of a credential that was cut with the text."""
        for word in self._long:
            for size in range(min(len(word), FRAGMENT) - 1, _SHORTEST - 2, -1):
                if text.endswith(word[:size]):
                    return text[:-size] + HIDDEN
        return text


def masked(text: str) -> str:
    """A text for people without the credentials of this process's environment."""
    return _mask_of(tuple(sorted(set(credentials().values()))))(without_user(text))


@lru_cache(maxsize=4)
def _mask_of(values: tuple[str, ...]) -> Mask:
    return Mask(values)


def _forms(word: str) -> Iterator[str]:
    """A credential as it may stand in a text: as it is, in base64 wherever it begins there, in hex digits."""
    yield word
    data = word.encode()
    yield data.hex()
    for before in range(3):
        code = base64.b64encode(bytes(before) + data).decode().rstrip("=")
        # Characters at both ends hold bits of what stands before and behind.
        code = code[(0, 2, 3)[before] : len(code) - (1 if (before + len(data)) % 3 else 0)]
        yield code
        yield code.translate(str.maketrans("+/", "-_"))


def _pieces(form: str) -> Iterator[str]:
    for at in range(len(form) - FRAGMENT + 1):
        yield form[at : at + FRAGMENT]


def _sign(match: re.Match[str]) -> str:
    """What an escape stands for."""
    if code := next((group for group in match.groups()[:4] if group), None):
        return _character(int(code, 16), match[0])
    if match[5]:
        return _character(int(match[5]), match[0])
    return match[6] or _ENTITIES[match[7]]


def _character(number: int, escape: str) -> str:
    return chr(number) if number < 0x110000 else escape


def _unescaped(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A text without its escapes, and where each character stood; no places where there are none."""
    spans: list[tuple[int, int]] = []
    for _ in range(_NESTED):
        if _ESCAPE.search(text) is None:
            break
        old = spans or [(at, at + 1) for at in range(len(text))]
        signs: list[str] = []
        spans, at = [], 0
        for match in _ESCAPE.finditer(text):
            signs.append(text[at : match.start()])
            spans += old[at : match.start()]
            sign = _sign(match)
            signs.append(sign)
            spans += [(old[match.start()][0], old[match.end() - 1][1])] * len(sign)
            at = match.end()
        signs.append(text[at:])
        spans += old[at:]
        text = "".join(signs)
    return text, spans
