"""How a label is typed on a keyboard without an input method: its pinyin, whole and by initials."""

from __future__ import annotations

from collections.abc import Iterable


def typed_forms(names: Iterable[str]) -> list[str]:
    """What people may type for one of some names, in lower case: itself, its pinyin, its initials.

    >>> typed_forms(["退款页面"])
    ['退款页面', 'tuikuanyemian', 'tkym']
    """
    from pypinyin import Style, lazy_pinyin

    forms: dict[str, None] = {}
    for name in names:
        forms[name.casefold()] = None
        for style in (Style.NORMAL, Style.FIRST_LETTER):
            spelt = "".join(lazy_pinyin(name, style=style)).casefold()
            forms["".join(sign for sign in spelt if sign.isalnum())] = None
    return [form for form in forms if form]
