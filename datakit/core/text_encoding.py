"""Which encoding bytes are in: one of Unicode's, or one of the old ones of Chinese, Japanese and Korean.

chardet (7) ranks the old ones: on 1,200 drawn CSVs of 1 to 25 rows it named the right one of four 98 times of
100, where charset-normalizer named it 73 times and faust-cchardet 59 (2026-11-26). What it names is believed
only when the text reads like that script and no other encoding comes near, known here or not: two that fit
are never guessed.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from datakit.core.errors import UserError
from datakit.core.escaped_encodings import ascii_disguises, iso2022_of, may_escape

UTF8 = "utf-8"
OLD = {"gb18030": "gb18030", "big5": "cp950", "shift_jis": "cp932", "euc_jp": "euc_jp", "cp949": "cp949"}
"""What an encoding is called -> Python's codec that holds what Windows writes under this name too."""
_SAID = {
    "utf-8-sig": UTF8,
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "cp950": "big5",
    "cp932": "shift_jis",
    "euc_kr": "cp949",
    "iso2022_jp_2": "iso2022_jp",
}
"""Python's codec -> what we call the encoding that holds it."""
_CHARDET = {
    "cp932": "shift_jis",
    "shift_jis_2004": "shift_jis",
    "big5hkscs": "big5",
    "euc_jis_2004": "euc_jp",
}
"""chardet's name -> ours, where they differ. It names the widest encoding of a family."""
_WIDEST = {"big5": "big5hkscs", "euc_jp": "euc_jis_2004"}
"""Encoding -> the widest of its family: signs of Hong Kong, and ① and ㈱ of Japan."""
_MARKS = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BOM = "\ufeff"
_SURE_UTF8 = re.compile(
    rb"[\xe0-\xf4][\x80-\xbf]{2}|[A-Za-z][\xc2-\xdf][\x80-\xbf]|[\xc2-\xdf][\x80-\xbf][A-Za-z]"
    rb"|(?:[\xc2-\xdf][\x80-\xbf]){3}"
)
"""What text in an old encoding hardly ever holds. `女装` alone in GB18030 is two letters in UTF-8."""
_STRANGE = re.compile("[\x80-\x9f\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]")
"""What stands in no text of the old encodings: C1 controls, private use, the replacement sign."""

KANA = re.compile("[ぁ-ゖァ-ヺｦ-ﾟ]")
_BETWEEN = re.compile(rb'[\t ",:;]+')
"""What separates values in every format, and is no second byte of a sign."""

# Measured on texts of Django, labels and reasons in 17 languages (2026-11-26): of 33,000 CSVs of 1 to 200
# rows in 37 encodings 7 were read wrongly, among the encodings that are known here only those whose one sign
# was `猫` in GB18030 (2). Refused were of 1 to 3 rows 20 of 100 in GB18030, 7 in Big5, 8 in Shift-JIS, 42 in
# EUC-JP and in CP949; of 20 rows and more 2 in 100 over all, those of two or three words again and again.
_MIN_COMMON = 0.7
_MIN_LETTERS = 6
"""Different letters below which two plausible encodings are never told apart."""
_FEW_LETTERS = 12
_MIN_LEAD, _MIN_LEAD_OF_FEW = 2.0, 3.0
"""How many times as probable the best must be as the second."""
_MIN_WORDS = 0.8
"""Share of letters, and of words in one case, in a text of an alphabet."""
_MIN_KANJI = 0.9
"""Share of common signs in Japanese that is all kanji."""


def known_encoding(name: str) -> str:
    """The name of an encoding as it is. Raises ValueError for a name that is none."""
    try:
        codecs.lookup(name)
        "".encode(name)
    except (LookupError, ValueError):
        raise ValueError(
            f"`{name}` is no encoding; some are utf-8, utf-16, gb18030, big5, shift_jis, cp949, euc_jp"
        ) from None
    return name


@lru_cache
def said_encoding(name: str) -> str:
    """What an encoding is called here, whichever of its names was given: `gb18030` for GBK."""
    codec = codecs.lookup(name).name
    return _SAID.get(codec, codec)


def codec_of(encoding: str) -> str:
    """Python's codec for an encoding as `said_encoding` calls it."""
    return OLD.get(encoding, encoding)


def marked_encoding(head: bytes) -> str | None:
    """The encoding that a byte order mark or the zero bytes of UTF-16 and UTF-32 say; else None."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    return _unmarked_utf32(head) or _unmarked_utf16(head)


def _unmarked_utf32(head: bytes) -> str | None:
    """UTF-32 by what nothing else can be: every four bytes are a code point, and none is zero."""
    head = head[: len(head) // 4 * 4]
    for encoding in ("utf-32-le", "utf-32-be"):
        with suppress(UnicodeDecodeError):
            text = head.decode(encoding)
            if len(text) > 1 and "\0" not in text:
                return encoding
    return None


def _unmarked_utf16(head: bytes) -> str | None:
    """UTF-16 by its zero bytes: ASCII signs, of which every table has many, have one at every other place."""
    head = head[: len(head) // 2 * 2]
    even, odd = head[::2].count(0), head[1::2].count(0)
    encoding, zeros, others = ("utf-16-le", odd, even) if odd > even else ("utf-16-be", even, odd)
    if zeros < max(2, len(head) // 40) or others > zeros // 4:
        return None
    if zeros * (5 if others == 0 else 2.5) <= len(head) and begins_utf8(head):
        return None  # plain text with some zero bytes in it; both bytes of `登` and `录` are letters of ASCII
    text = head.decode(encoding, "replace")
    strange = sum(1 for sign in text if unicodedata.category(sign) in ("Cn", "Co", "Cs") or sign == "\ufffd")
    return encoding if strange <= len(text) // 50 + 1 else None


def begins_utf8(head: bytes) -> bool:
    """Whether a file's first bytes are valid UTF-8, up to a sign that is cut at their end."""
    try:
        codecs.getincrementaldecoder(UTF8)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def fitting_encodings(lines: Sequence[bytes]) -> list[str]:
    """The encodings that lines beyond ASCII read well in, best first. One is sure; none: it is another.

    One that is not of Chinese, Japanese or Korean stands among them where it is as probable. A few damaged
    lines in a hundred are passed over.
    """
    texts = {name: list(map(_decoder(_WIDEST.get(name, codec)), lines)) for name, codec in OLD.items()}
    shares = _shares(texts)
    plausible = [name for name, share in shares.items() if share >= _MIN_COMMON]
    no_kana = "euc_jp" in plausible and not KANA.search("".join(filter(None, texts["euc_jp"])))
    if no_kana and len(plausible) > 1:
        plausible.remove("euc_jp")  # Chinese in GB18030 reads so, and Japanese hardly ever is
    if not plausible:
        return []
    shared = [at for at in range(len(lines)) if all(texts[name][at] is not None for name in plausible)]
    data = _pieces([lines[at] for at in shared] or lines)
    likely = defaultdict(float, _likelihoods(data))
    ranks = {name: likely[name] * shares[name] for name in plausible}
    best, *others = sorted(plausible, key=lambda name: -ranks[name])
    letters = {sign for at in shared for sign in texts[best][at] or "" if sign > "\x7f" and sign.isalpha()}
    lead = _MIN_LEAD if len(letters) >= _FEW_LETTERS else _MIN_LEAD_OF_FEW
    strangers = [name for name in likely if name not in OLD and likely[name] * _MIN_LEAD >= ranks[best]]
    strangers = [name for name in strangers if _holds_words(data, name)]
    if no_kana and shares["euc_jp"] >= _MIN_KANJI and likely["euc_jp"] * (lead + 1) >= ranks[best]:
        strangers.append("euc_jp")
    if strangers:
        stranger = max(strangers, key=lambda name: likely[name])
        return sorted({stranger, best, *others}, key=lambda name: -ranks.get(name, likely[name]))
    if not others:
        return [_narrowest(best, lines)]
    sure = ranks[best] > lead * ranks[others[0]] and shares[best] >= max(shares.values()) - 0.05
    if sure and len(letters) >= _MIN_LETTERS:
        return [_narrowest(best, lines)]
    return [best, others[0], *(name for name in others[1:] if ranks[name] * lead >= ranks[best])]


_IN_WORD = re.compile(r"[A-Za-z][\u00c0-\u00ff]|[\u00c0-\u00ff][A-Za-z]")
_ALONE = re.compile(r"(?<![^\W_])[\u00c0-\u00ff](?![^\W_])")
"""A letter that is a whole word: 猫 of GB 18030 is è of UTF-8."""


_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def _is_word(signs: str) -> bool:
    """Whether signs in a row are letters of one alphabet, with no capital after a small one.

    Two signs of GB18030 that are valid UTF-8 mostly are of two: 女装 is a Latin and a Hebrew letter.
    """
    scripts = {unicodedata.name(sign, "").split(" ")[0] for sign in signs}
    is_cased = signs in (signs.lower(), signs.upper(), signs.capitalize())
    return len(signs) > 1 and signs.isalpha() and is_cased and len(scripts) == 1


def needs_mark(text: str) -> bool:
    """Whether a text in UTF-8 is told from one in an old encoding by a byte order mark alone: `á` is 谩."""
    return bool(_doubts(text))


def _doubts(text: str) -> list[str]:
    """The old encodings that a short text of the project in UTF-8 reads well in too."""
    if all(map(_is_word, _BEYOND_ASCII.findall(text))):
        return []
    return doubtful_encodings([line for line in text.encode().splitlines() if not line.isascii()])


def is_surely_utf8(data: bytes) -> bool:
    """Whether bytes that are valid UTF-8 hold what is hardly anything else."""
    return _SURE_UTF8.search(data) is not None


def doubtful_encodings(lines: Sequence[bytes]) -> list[str]:
    """The old encodings that lines of valid UTF-8 read well in too, when nothing says that they are UTF-8."""
    text = b"\n".join(lines).decode(UTF8, "replace")
    signs = set(text) - set("µªº")  # units are letters for Unicode
    if all(sign < "\u0100" for sign in signs) and (_IN_WORD.search(text) or not _ALONE.search(text)):
        return []  # é and ü in words: the usual text of Western Europe, and rare pairs of old encodings
    if any(map(is_surely_utf8, lines)) or not any(sign > "\x7f" and sign.isalpha() for sign in signs):
        return []
    return [name for name in fitting_encodings(lines) if name in OLD]


def disguised_encodings(lines: Sequence[bytes]) -> list[str]:
    """The encodings that lines of ASCII may be in; UTF-8 alone for plain text, none for one unknown here.

    Escape sequences (ISO-2022) are sure; the marks of HZ and UTF-7 may stand in any text, so UTF-8 fits too.
    """
    lines = list(filter(may_escape, lines))
    iso2022 = iso2022_of(lines)
    return iso2022 if iso2022 is not None else [UTF8, *ascii_disguises(lines, _reads_well)]


def strange_place(text: str, encoding: str) -> int:
    """Where a sign stands that no text of an old encoding has; -1 for none."""
    strange = _STRANGE.search(text) if encoding in OLD else None
    return strange.start() if strange else -1


def is_foreign(text: str, encoding: str) -> bool:
    """Whether a line that was read in an old encoding is one of UTF-8, as files put together have them."""
    if encoding not in OLD:
        return False
    try:
        other = text.encode(codec_of(encoding)).decode(UTF8)
    except UnicodeError:
        return False
    return common_share(encoding, text) < _MIN_COMMON and _reads_well(other)


def decoded(data: bytes, path: Path, what: str = "the file") -> str:
    """The text of a small file of the project (recipe, template, label file), without byte order marks.

    Raises UserError for bytes whose encoding cannot be told.
    """
    marked = marked_encoding(data)
    try:
        text = data.decode(marked or UTF8).removeprefix(BOM)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        lines = [line for line in data.splitlines() if not line.isascii()]
        fault, fitting = f"is not UTF-8 (byte {error.start + 1}, line {line})", fitting_encodings(lines)
    else:
        disguises = disguised_encodings(data.splitlines()) if data.isascii() else [UTF8]
        fault, fitting = "is hardly UTF-8", [*disguises, *_doubts(text)]
        if marked or fitting == [UTF8]:
            return text
    if len(fitting) == 1:
        with suppress(UnicodeDecodeError):
            return data.decode(codec_of(fitting[0])).removeprefix(BOM)
    maybe = f"; it may be in {' or in '.join(fitting)}" if fitting else ""
    marked_too = ", with a byte order mark if it is UTF-8 as it stands" if UTF8 in fitting else ""
    raise UserError(f"{path} {fault}{maybe}", remedy=f"Save {what} as UTF-8{marked_too}.")


def _reads_well(text: str) -> bool:
    """Whether the letters of a text beyond ASCII are common ones of some encoding."""
    return max(common_share(name, text) for name in OLD) >= _MIN_COMMON


def _decoder(codec: str) -> Callable[[bytes], str | None]:
    def text_of(line: bytes) -> str | None:
        try:
            text = line.decode(codec)
        except UnicodeDecodeError:
            return None
        return None if _STRANGE.search(text) else text

    return text_of


def _shares(texts: Mapping[str, Sequence[str | None]]) -> dict[str, float]:
    """Encoding that nearly all lines can be read in -> which share of their letters is common in it."""
    whole = {name: sum(text is not None for text in read) for name, read in texts.items()}
    lines = len(texts["gb18030"])
    least = max(1, max(whole.values()) - lines // 20, -(-2 * lines // 3))
    readable = [name for name in texts if whole[name] >= least]
    return {name: common_share(name, "".join(filter(None, texts[name]))) for name in readable}


def _narrowest(encoding: str, lines: Sequence[bytes]) -> str:
    """The encoding itself, or the wider one of its family where more lines can be read in that."""
    wide = _WIDEST.get(encoding, encoding)
    texts, wide_texts = (map(_decoder(codec), lines) for codec in (codec_of(encoding), wide))
    return wide if sum(map(bool, wide_texts)) > sum(map(bool, texts)) else encoding


def _pieces(lines: Sequence[bytes]) -> bytes:
    """Every value beyond ASCII once: chardet takes a word that stands again and again for noise."""
    pieces = dict.fromkeys(piece for line in lines for piece in _BETWEEN.split(line))
    return b"\n".join(piece for piece in pieces if not piece.isascii())


def _holds_words(data: bytes, encoding: str) -> bool:
    """Whether bytes in an encoding of an alphabet are words: letters, of which no small one is followed by a
    capital."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    parts = "".join(sign if unicodedata.category(sign)[0] in "LM" else " " for sign in text).split()
    words = [word for word in parts if not word.isascii()]
    signs = [unicodedata.category(sign)[0] for sign in text if sign > "\x7f"]
    letters = sum(kind in "LM" for kind in signs)
    cased = sum(word in (word.lower(), word.upper(), word.capitalize()) for word in words)
    return letters >= _MIN_WORDS * (
        len(signs) - signs.count("P") - signs.count("Z")
    ) and cased >= _MIN_WORDS * len(words)


def common_share(encoding: str, text: str) -> float:
    """Which share of a text's letters beyond ASCII are common ones of an encoding; 0 for none."""
    letters = [sign for sign in text if sign > "\x7f" and sign.isalpha()]
    return sum(_is_common(encoding, sign) for sign in letters) / len(letters) if letters else 0.0


@lru_cache(maxsize=65536)
def _is_common(encoding: str, sign: str) -> bool:
    """Whether a sign is among those that make up nearly every text in an encoding.

    The standards themselves say which: level 1 of GB 2312 (3,755 signs) and of Big5 (5,401), kana and level 1
    of JIS X 0208 (2,965), the syllables of KS X 1001 (2,350). Other signs of theirs are rare. GB18030 has
    texts in traditional characters too.
    """
    match encoding:
        case "gb18030":
            return 0xB0A1 <= _place(sign, "gb2312") <= 0xD7FE or _is_common("big5", sign)
        case "big5":
            return 0xA440 <= _place(sign, "big5") <= 0xC67E
        case "euc_jp":
            place = _place(sign, "euc_jp")
            return bool(KANA.match(sign)) or 0xB0A1 <= place <= 0xCFD3 or sign in "ー々"
        case "cp949":
            return 0xB0A1 <= _place(sign, "euc_kr") <= 0xC8FE
        case _:
            place = _place(sign, "shift_jis")
            return 0x829F <= place <= 0x8396 or 0x889F <= place <= 0x9872 or sign in "ー々"


def _place(sign: str, codec: str) -> int:
    try:
        return int.from_bytes(sign.encode(codec))
    except UnicodeEncodeError:
        return 0


def _likelihoods(data: bytes) -> dict[str, float]:
    """Encoding -> chardet's confidence that the bytes are in it; ours under our names."""
    import chardet  # compiled models of some megabytes, for files that are not UTF-8 alone

    likely: dict[str, float] = {}
    for guess in chardet.detect_all(data, ignore_threshold=True, compat_names=False):
        name = said_encoding(guess["encoding"] or UTF8)
        name = _CHARDET.get(name, name)
        if _holds_ascii(name):
            likely[name] = max(likely.get(name, 0.0), guess["confidence"])
    return likely


@lru_cache
def _holds_ascii(encoding: str) -> bool:
    """Whether ASCII signs are the bytes that they are in most encodings, unlike those of mainframes."""
    return encoding != UTF8 and "id,1".encode(codec_of(encoding)) == b"id,1"
