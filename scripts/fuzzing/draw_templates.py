"""Templates of a small Jinja grammar over known variables."""

from __future__ import annotations

from fuzzing.dice import Dice

_FILTERS = (
    "trim", "upper", "length", "string", "default('none')", "truncate(9)", "tojson", "title", "list | first",
    "replace('a', 'b')", "e", "reverse", "join(', ')", "wordcount", "int", "float", "random", "sort",
)  # fmt: skip
_TESTS = ("is none", "is defined", "is string", "== 'a'", "in 'abc'", "> 3", "is mapping", "is sequence", "")
_SAFE_FILTERS = (
    "string | trim",
    "string | upper",
    "string | length",
    "default('none')",
    "tojson",
    "string | e",
)
_SAFE_TESTS = ("is none", "is defined", "is string", "== 'a'", "is mapping", "is sequence", "")
"""Filters and tests that fail on no value."""


def prompt(dice: Dice, columns: list[str], *, places: bool, asks: bool = True) -> str:
    """A prompt template, mostly with a place for each picture and the lines that ask for the answer."""
    opening = "{% for _ in images %}<image>{% endfor %}" if places and not dice.maybe(0.03) else ""
    body = "".join(_piece(dice, columns, 2) for _ in range(dice.randint(0, 3)))
    ending = "\n{{ answer_format }}" if asks else ""
    return f"{opening}{dice.one_of('What is this?', '这是什么？')}{body}{ending}"


def question(dice: Dice, columns: list[str]) -> str:
    """A template whose text a model is asked."""
    return "Describe 图片。" + "".join(_piece(dice, columns, 1) for _ in range(dice.randint(0, 2)))


def free(dice: Dice, columns: list[str]) -> str:
    """Any template of the grammar, broken now and then."""
    text = "".join(_piece(dice, columns, 3) for _ in range(dice.randint(1, 5)))
    if dice.maybe(0.15):
        at = dice.randrange(len(text) + 1)
        text = (
            text[:at]
            + dice.one_of("{{", "}}", "{%", "%}", "{#", "{% endif %}", "{{ nobody }}", "<image>")
            + text[at:]
        )
    return text


def _piece(dice: Dice, names: list[str], depth: int) -> str:
    kind = dice.randrange(9) if depth else dice.randrange(3)
    if kind == 0:
        return f" {dice.text()} ".replace("{", "(").replace("}", ")")
    if kind in (1, 2):
        return f"{{{{ {_expression(dice, names)} }}}}"
    inner = "".join(_piece(dice, names, depth - 1) for _ in range(dice.randint(0, 2)))
    variable = _variable(dice, names)
    if kind in (3, 4):
        other = f"{{% else %}}{_piece(dice, names, 0)}" if dice.maybe(0.4) else ""
        test = dice.choice(_TESTS if dice.maybe(0.15) else _SAFE_TESTS)
        return f"{{% if {variable} {test} %}}{inner}{other}{{% endif %}}"
    if kind == 5:
        over = dice.one_of("[1, 2]", "range(3)", "images", "range(2)", variable if dice.maybe(0.2) else "[3]")
        return f"{{% for item in {over} %}}{inner}{{{{ item }}}}{{% endfor %}}"
    if kind == 6:
        return f"{{% set seen = {_expression(dice, names)} %}}{inner}{{{{ seen }}}}"
    if kind == 7:
        return f"{{% macro m(x) %}}{inner}{{% endmacro %}}{{{{ m({variable}) }}}}"
    return f"{{# note #}}{{%- if true -%}}\n{inner}\n{{%- endif +%}}"


def _variable(dice: Dice, names: list[str]) -> str:
    plain = [name for name in names if name.isidentifier()]
    return dice.choice(plain) if plain and not dice.maybe(0.05) else dice.one_of("images", "'word'", "3")


def _expression(dice: Dice, names: list[str]) -> str:
    variable = _variable(dice, names)
    if dice.maybe(0.6):
        return variable
    if dice.maybe(0.9):
        return f"{variable} | {dice.choice(_FILTERS if dice.maybe(0.15) else _SAFE_FILTERS)}"
    return dice.one_of(
        f"{variable}[0]", f"{variable} ~ '.'", f"{variable} + 1", f"{variable}.x", f"({variable} or '-')"
    )
