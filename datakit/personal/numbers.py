"""Numbers of people: identity cards, bank cards, telephones and parcels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from datakit.personal.spans import STARS, Span
from datakit.personal.texts import CARD, COURIER, ID, ORDER, PHONE, Text

_ID = re.compile(r"[1-8](?<![0-9A-Za-z*][1-8])[0-9](?:[ -]?[0-9]){15}[ -]?[0-9Xx](?![0-9A-Za-z*])")
_ID_OLD = re.compile(r"[1-8](?<![0-9A-Za-z.*][1-8])[0-9]{14}(?![0-9A-Za-z*])")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_PROVINCES = frozenset(
    f"{tens}{one}"
    for tens, ones in enumerate(("12345", "123", "1234567", "123456", "01234", "12345"), 1)
    for one in ones
) | {"71", "81", "82", "83"}
_CARD = re.compile(r"[2-69](?<![0-9A-Za-z.*][2-69])(?:[ -]?[0-9]){14,18}(?![0-9A-Za-z*])")
_AMEX = re.compile(r"3[47][0-9]{2}([ -])[0-9]{6}\1[0-9]{5}")
"""How American Express sets its fifteen digits; those of no group may be a device's."""
_BINS = re.compile(r"62|4|5[1-5]|2[2-7]|35|3[47]|6011|65|9558|60|90")
"""How numbers of bank cards begin: China UnionPay, Visa, Mastercard, JCB, American Express, Discover, and
ICBC's older ones."""
_MOBILE = re.compile(r"1(?<![*+]1)(?<!\+ 1)[ -]?[3-9](?:[ -]{1,2}[0-9]|[0-9]){9}(?![0-9*])")
_DOTTED = re.compile(
    r"1(?<![0-9A-Za-z*+.·]1)[3-9][0-9](?P<dot>[.·])[0-9]{4}(?P=dot)[0-9]{4}(?![0-9A-Za-z*.·])"
)
_CODE = re.compile(r"(?<![0-9*])(?P<sure>\(?(?:\+ ?|00)86\)?[ -]?|86[ -])$|(?<![0-9*])86$")
"""What stands before a mobile number, which has no other digit there."""
_CODE_SIGNS = 8
_LANDLINE = re.compile(
    r"(?P<area>[(0](?<![0-9*+.][(0])(?:(?<=\()0)?(?:10|2[0-9]|[3-9][0-9]{2})[ ]?\)?)(?P<gap>[ -]{0,3})"
    r"(?P<number>[2-8][0-9]{0,6}[ -]?[0-9]{1,7})(?![0-9*])"
)
_LOCAL = re.compile(r"[2-8](?<![0-9*+.-][2-8])(?<![0-9][ )][2-8])[0-9]{2,3}[ -]?[0-9]{4}(?![0-9*-])")
_ABROAD = re.compile(
    r"(?<![0-9A-Za-z*+])\+ ?(?!86)[1-9][0-9]{0,2}(?:[ .-]{0,2}\(?[0-9]{1,5}\)?){1,5}(?![0-9*])"
    r"|(?<![0-9A-Za-z*])\([2-9][0-9]{2}\) ?[0-9]{3}[ -][0-9]{4}(?![0-9*-])"
    r"|(?<![0-9A-Za-z*-])(?!400|800)[2-9][0-9]{2}-[2-9][0-9]{2}-[0-9]{4}(?![0-9*-])"
)
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ -](?:0?[1-9]|1[0-2])[ -]"
    r"|(?<![0-9])[0-9]{1,2}[ -][0-9]{1,2}[ -](?:19|20)[0-9]{2}(?![0-9])"
)
_LETTERS = re.compile(r"[A-Z][A-Z] ?[0-9]|1Z")
_LEAST_MOBILE = 11
_CARRIER = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<letters>SF|YT|JT|JD[A-Z]{0,3}|DP[KL]?|STO?|ZTO?|YD|HT|DB|LP|CN|DN[A-Z]?|KY|YZ) ?"
    r"(?P<number>[0-9](?: ?[0-9]){9,14})(?:-[0-9]{1,2}-[0-9]{1,2}-?)?"
    r"|(?P<post>[A-Z]{2}) ?(?P<posted>[0-9]{9}) ?CN"
    r"|1Z[0-9A-Z]{16})(?![A-Za-z0-9*])"
)
_MOST_SPACES = 2
_PARCEL = re.compile(r"(?<![0-9A-Za-z.*])[A-Z]{0,4}[0-9](?:[ -]?[0-9]){8,19}(?![0-9A-Za-z*])")
_LEAST_PARCEL = 10


def id_numbers(text: Text) -> Iterator[Span]:
    """Identity numbers by GB 11643: 18 digits with their check digit, or 15 where words name them. One whose
    check digit is wrong counts where words name it: OCR misread a digit."""
    view = text.digits
    for match in _ID.finditer(view):
        number = _compact(match[0]).upper()
        label = text.label(match.start())
        if _is_id(number) if label != ID else _has_birthday(number):
            if label != ORDER:
                yield _span("id_number", match, number[0] + "*" * 16 + number[-1])
        elif label == ID and "-" not in match[0]:
            yield _span("id_number", match, number[0] + "*" * 16 + number[-1])
    for match in _ID_OLD.finditer(view):
        number = match[0]
        if text.label(match.start()) == ID and number[:2] in _PROVINCES:
            yield _span("id_number", match, number[0] + "*" * 13 + number[-1])


def _is_id(number: str) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return _CHECKS[total % 11] == number[17] and number[:2] in _PROVINCES and _has_birthday(number)


def _has_birthday(number: str) -> bool:
    try:
        return 1900 <= date(int(number[6:10]), int(number[10:12]), int(number[12:14])).year <= 2100
    except ValueError:
        return False


def bank_cards(text: Text) -> Iterator[Span]:
    """Card numbers of 15 to 19 digits that begin as banks' do, with their check digit (Luhn); without it
    where words name them."""
    for match in _CARD.finditer(text.digits):
        number = _compact(match[0])
        if not _BINS.match(number) or text.is_amount(match.start()) or _DATE.match(match[0]):
            continue
        label = text.label(match.start())
        if label in (ORDER, COURIER, ID):
            continue
        usual = len(number) != 18 or number.startswith("62")
        usual &= len(number) in (16, 18, 19) and (len(number) < 18 or number[:2] in ("62", "95", "60"))
        usual |= _AMEX.fullmatch(match[0]) is not None
        if label == CARD or (usual and _passes_luhn(number)):
            yield _span("bank_card", match, f"{number[:4]}{'*' * (len(number) - 8)}{number[-4:]}")


def _passes_luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def phones(text: Text) -> Iterator[Span]:
    """Telephone numbers: mobile, landline with its area, any that words name, and those of other countries.
    Service numbers (400, 800, 95…) are no person's."""
    view = text.digits
    for match in _MOBILE.finditer(view) if text.longest >= _LEAST_MOBILE else ():
        code = _CODE.search(view, max(0, match.start() - _CODE_SIGNS), match.start())
        start = code.start() if code is not None else match.start()
        if text.is_amount(start) or (code is None and view[start - 1 : start].isdigit()):
            continue
        label = text.label(start)
        is_sure = code is not None and code["sure"] is not None
        if (
            (label == ORDER and not is_sure)
            or label in (CARD, ID)
            or (code and not is_sure and label != PHONE)
        ):
            continue
        if is_sure or label == PHONE or (_is_grouped(match[0]) and not _goes_on(view, match)):
            number = _compact(match[0])
            yield Span("phone", start, match.end(), f"{number[:3]}****{number[-4:]}")
    for match in _DOTTED.finditer(view):
        if not text.is_amount(match.start()) and text.label(match.start()) not in (ORDER, CARD, ID):
            yield _span("phone", match, f"{match[0][:3]}****{match[0][-4:]}")
    for match in _ABROAD.finditer(view):
        digits = _compact(match[0])
        if 8 <= len(digits.lstrip("+")) <= 15 and text.label(match.start()) not in (ORDER, COURIER, CARD):
            yield _span("phone", match, f"{match[0][0] if match[0][0] == '+' else ''}{STARS}{digits[-4:]}")
    yield from _landlines(text)


def _landlines(text: Text) -> Iterator[Span]:
    view = text.digits
    for match in _LANDLINE.finditer(view):
        area, number = _compact(match["area"]), _compact(match["number"])
        if len(number) not in (7, 8) or (len(number) == 7 and area in ("010", "020", "021")):
            continue
        label = text.label(match.start())
        split = "-" in match["gap"] or ")" in match["area"]
        if label == PHONE or (split and label not in (ORDER, COURIER, CARD, ID)):
            yield _span("phone", match, f"{area}-{STARS}{number[-4:]}")
    for match in _LOCAL.finditer(view):
        number = _compact(match[0])
        if text.label(match.start()) == PHONE and not number.startswith(("400", "800")):
            yield _span("phone", match, f"{STARS}{number[-4:]}")


def _is_grouped(number: str) -> bool:
    """Whether eleven digits are set as a telephone number is, or nearly: not as prices in a row, or dates."""
    if _DATE.search(number):
        return False
    sizes = [len(group) for group in re.split(r"[ -]+", number)]
    ends = {sum(sizes[: at + 1]) for at in range(len(sizes))}
    return len(sizes) <= 2 or {3, 7} <= ends or (len(sizes) == 3 and max(sizes) >= 6)


def _goes_on(view: str, match: re.Match[str]) -> bool:
    """Whether digits before or behind belong to the same number: a card set in fours."""
    if not re.search(r"[ -]", match[0]):
        return False
    before, behind = view[max(0, match.start() - 6) : match.start()], view[match.end() : match.end() + 6]
    return bool(re.search(r"[0-9]{4}[ -]$", before) or re.match(r"[ -][0-9]{3,4}(?![0-9])", behind))


def couriers(text: Text) -> Iterator[Span]:
    """Numbers of parcels: with a carrier's letters, or ten digits and more behind words that name them."""
    view = text.digits
    for match in _CARRIER.finditer(view) if _LETTERS.search(view) else ():
        digits = re.sub(r"[^0-9]", "", match["number"] or match["posted"] or match[0])
        if match[0].count(" ") <= _MOST_SPACES and text.label(match.start()) != ORDER:
            yield _span("courier", match, f"{match['letters'] or match['post'] or '1Z'}{STARS}{digits[-4:]}")
    for match in _PARCEL.finditer(view) if text.longest >= _LEAST_PARCEL and text.names_parcels else ():
        digits = re.sub(r"[^0-9]", "", match[0])
        if len(digits) < _LEAST_PARCEL or _DATE.match(match[0]) or text.label(match.start()) != COURIER:
            continue
        letters = re.match(r"[A-Z]*", match[0])
        assert letters is not None
        yield _span("courier", match, f"{letters[0]}{STARS}{digits[-4:]}")


def _compact(number: str) -> str:
    return number.translate(_SET)


_SET = str.maketrans("", "", " -()")
"""What numbers are set with."""


def _span(kind: str, match: re.Match[str], mask: str) -> Span:
    return Span(kind, match.start(), match.end(), mask)  # type: ignore[arg-type]  # one of Kind
