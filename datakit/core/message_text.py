"""The text of a message, such as a server's error, for people to read."""

from __future__ import annotations

from contextlib import suppress

from datakit.core.text_encoding import (
    BOM,
    KANA,
    OLD,
    UTF8,
    begins_utf8,
    codec_of,
    common_share,
    fitting_encodings,
    marked_encoding,
)


def readable(data: bytes) -> str:
    """The text of a message, such as a server's error, in the likeliest encoding, with marks for the rest.

    For people to read; data are never guessed so.
    """
    marked = marked_encoding(data)
    if marked is None and not begins_utf8(data):
        text = data.decode(UTF8, "replace")
        if 2 * text.count("\ufffd") <= sum(not sign.isascii() for sign in text):
            return text  # UTF-8 with a broken sign in it, which mostly is valid GB 18030 too, and nonsense
        for encoding in (*_likeliest(data), "cp1252"):
            with suppress(UnicodeDecodeError):
                return data.decode(codec_of(encoding))
    return data.decode(marked or UTF8, "replace").removeprefix(BOM)


def _likeliest(data: bytes) -> list[str]:
    lines = [line for line in data.splitlines() if not line.isascii()]
    try:
        fitting = fitting_encodings(lines)
        is_kanji = not KANA.search(data.decode("euc_jp", "ignore"))  # mostly Chinese in GB18030
        return sorted(fitting, key=lambda name: name == "euc_jp" and is_kanji)
    except ImportError:  # a bundle has no chardet: the encoding of whose script it holds most
        shares = {name: common_share(name, data.decode(codec, "ignore")) for name, codec in OLD.items()}
        return sorted(OLD, key=lambda name: -shares[name])
