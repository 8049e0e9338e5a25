"""The expression of guard.where: read by an allow-list, and handed to polars with nothing else in it."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import polars as pl

MAX_CHARS = 20_000
MAX_OPERATORS = 64
"""Comparisons, AND, OR, NOT and arithmetic together. 600 ORs take polars 0.6 s and more for every batch, and
twice as many four times that."""
MAX_VALUES = 2_000
"""Values in the lists of IN together."""
MAX_DEPTH = 20
"""Brackets in each other. The parser's own limit is near 50."""

_COUNTED = frozenset({"AND", "OR", "NOT", "IS", "IN", "LIKE", "ILIKE", "BETWEEN"})
_VALUES = frozenset({"NULL", "TRUE", "FALSE"})
_KEYWORDS = _COUNTED | _VALUES
FUNCTIONS = (
    *("abs", "array_contains", "array_length", "char_length", "coalesce", "ends_with", "greatest", "least"),
    *("left", "length", "lower", "octet_length", "regexp_like", "replace", "right", "round", "starts_with"),
    *("strpos", "substr", "trim", "upper"),
)
"""What may stand before a bracket: each gives one value a record and looks at that record alone."""
_COUNTS = frozenset({"array_length", "char_length", "length", "octet_length", "strpos"})
"""Those whose integers are unsigned and small in polars, where `length(text) - 60` of a shorter text is over
four thousand million."""
_GROWS = "replace"
"""Ten of them in each other make a text of one letter ten thousand million letters long."""
_WIDE = ":: HUGEINT"
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><=|>=|<>|!=|\|\||[=<>~+*(),-])""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str

    @property
    def keyword(self) -> str:
        """The keyword in capitals; "" for anything else."""
        word = self.text.upper()
        return word if self.kind == "word" and word in _KEYWORDS else ""


@dataclass(frozen=True)
class KeepExpression:
    """An expression as it was read; columns are quoted in `sql`, so that no other word reaches the parser."""

    columns: tuple[str, ...]
    doubtful: frozenset[str]
    """Columns that stand in double quotation marks, as texts do in other languages."""
    sql: str

    def expr(self) -> pl.Expr:
        """The expression in polars. Raises ValueError with words for one that is none."""
        try:
            expr = pl.sql_expr(self.sql)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            words = "the expression is not complete, or its parts do not follow from each other"
            raise ValueError(f"{words}; an example: label != '其他' AND ocr_lines > 2") from None
        if expr.meta.has_multiple_outputs():
            raise ValueError("the expression stands for several columns; name each")
        return expr


def read_expression(text: str) -> KeepExpression:
    """The expression that a text states. Raises ValueError with what may not stand in it and what may."""
    if len(text) > MAX_CHARS:
        raise ValueError(f"the expression has {len(text):,} characters, at most {MAX_CHARS:,} are read")
    tokens = _tokens(text)
    _check_size(tokens)
    columns: dict[str, None] = {}
    doubtful: set[str] = set()
    written: list[str] = []
    _check_operators(tokens)
    _check_growth([token.text.lower() for token in tokens])
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else Token("", "")
        if token.keyword:
            _check_null(tokens, at)
            written.append(token.keyword)
        elif token.kind == "word" and after.text == "(":
            written.append(_function(token.text))
        elif token.kind in ("word", "quoted"):
            name = token.text[1:-1].replace('""', '"') if token.kind == "quoted" else token.text
            columns[name] = None
            doubtful |= {name} if token.kind == "quoted" else set()
            written.append('"' + name.replace('"', '""') + '"')
        else:
            written.append(token.text)
    if not columns:
        raise ValueError("the expression names no column, so it says the same of every record")
    found = KeepExpression(tuple(columns), frozenset(doubtful), " ".join(_widened(written)))
    found.expr()
    return found


def _widened(written: list[str]) -> list[str]:
    """The expression with each count as an integer that does not wrap, and the place in a null as null.

    To polars strpos(null, 'a') is 0, as where the text is not found.
    """
    result = list[str]()
    at = 0
    while at < len(written):
        word = written[at]
        if word not in _COUNTS or written[at + 1 : at + 2] != ["("]:
            result.append(word)
            at += 1
            continue
        end, commas = _closing(written, at + 1)
        within = written[at + 2 : end]
        inner = _widened(within)
        if word == "strpos" and len(commas) == 1:
            if "strpos" in within:
                raise ValueError("strpos( may not stand within strpos(")
            cut = commas[0] - at - 2
            texts = ["(", *_widened(within[:cut]), ")", "||", "(", *_widened(within[cut + 1 :]), ")"]
            result += ["(", "strpos", "(", *inner, ")", _WIDE, "+", "0", "*", "length", "(", *texts, ")", ")"]
        else:
            result += [word, "(", *inner, ")", *([] if end == len(written) else [_WIDE])]
        at = end + 1
    return result


def _closing(written: list[str], at: int) -> tuple[int, list[int]]:
    """Where the bracket that opens at a place is closed, and the commas between that are its own."""
    depth, commas = 0, list[int]()
    for place in range(at, len(written)):
        sign = written[place]
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return place, commas
        if sign == "," and depth == 1:
            commas.append(place)
    return len(written), commas


def _tokens(text: str) -> list[Token]:
    tokens, at = list[Token](), 0
    if not text.strip():
        raise ValueError("the expression is empty")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or text.startswith("--", at):
            raise ValueError(_not_allowed(text, at))
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group()))
        at = match.end()
    return tokens


def _not_allowed(text: str, at: int) -> str:
    """What stands at a place where nothing of an expression does, and what to write in its place."""
    sign, place = text[at : at + 2], f"at character {at + 1}"
    if sign == "--" or sign == "/*":
        return f"a comment ({sign}) {place}: write it behind the value, with #"
    if sign[0] in "'\"":
        return f"the quotation mark {place} is not closed"
    if sign[0] in "/%":
        return f"`{sign[0]}` {place}: no division, whose 0 / 0 is no number; write a > 2 * b for a / b > 2"
    if sign[0] == ";":
        return f"`;` {place}: one expression, and nothing behind it"
    return f"`{sign[0]}` {place} has no meaning in an expression"


def _check_size(tokens: list[Token]) -> None:
    """Raises ValueError for an expression that would take polars seconds, or its parser's stack."""
    signs = [token.text for token in tokens if token.kind == "sign"]
    operators = sum(sign not in "(,)" for sign in signs) + sum(token.keyword in _COUNTED for token in tokens)
    if operators > MAX_OPERATORS:
        words = f"the expression has {operators:,} operators, at most {MAX_OPERATORS} are read"
        raise ValueError(f"{words}; a list says it shorter: label IN ('退款页面', '退货页面')")
    if signs.count(",") > MAX_VALUES:
        raise ValueError(f"the lists of the expression have over {MAX_VALUES:,} values")
    depth = 0
    for sign in signs:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            raise ValueError("a bracket `)` closes none")
        if depth > MAX_DEPTH:
            raise ValueError(f"over {MAX_DEPTH} brackets stand in each other")
    if depth:
        raise ValueError("a bracket `(` is not closed")


def check_kinds(expr: pl.Expr, probe: pl.DataFrame) -> None:
    """Raises ValueError where true or false meets a number or a text, which polars compares without a word.

    So does `1 < n < 3`, which asks whether the truth of `1 < n` is less than 3: it always is.
    """
    parts = expr.meta.pop()
    kinds = [probe.select(part.alias("part"))["part"].dtype for part in parts]
    others = [kind for kind in kinds if kind.is_numeric() or kind == pl.String]
    is_operator = str(expr).startswith("[(")  # of two values; functions are written otherwise
    if is_operator and others and pl.Boolean in kinds:
        raise ValueError(
            f"it compares true or false with {others[0]}; write `1 < n AND n < 3` for `1 < n < 3`, and NOT "
            "before brackets"
        )
    for part in parts:
        check_kinds(part, probe)


def _check_null(tokens: list[Token], at: int) -> None:
    """Raises ValueError where NULL is compared with, which is never true, and for IS before anything else.

    polars 1.x takes `x IS TRUE` for `x = TRUE`, which leaves a null where SQL has false.
    """
    keyword = tokens[at].keyword
    before = [token.keyword for token in tokens[max(0, at - 2) : at]]
    after = [token.keyword for token in tokens[at + 1 : at + 3]]
    if keyword == "NULL" and before[-1:] != ["IS"] and before != ["IS", "NOT"]:
        raise ValueError("NULL equals nothing, not even itself: write `IS NULL` or `IS NOT NULL`")
    if keyword == "IS" and after[:1] != ["NULL"] and after != ["NOT", "NULL"]:
        raise ValueError("IS stands before NULL or NOT NULL only; write `sure = TRUE` for `sure IS TRUE`")


def _check_operators(tokens: list[Token]) -> None:
    """Raises ValueError for a value right behind a value, which the parser takes for the other's new name."""
    for token, after in itertools.pairwise(tokens):
        ends = token.text == ")" or token.kind not in ("sign", "word") or token.keyword in _VALUES
        is_column = token.kind == "word" and not token.keyword
        begins = after.kind not in ("sign", "word") or after.keyword in _VALUES
        begins |= after.kind == "word" and not after.keyword
        if ((ends or is_column) and begins) or (ends and after.text == "("):
            raise ValueError(f"an operator is missing between `{token.text}` and `{after.text}`")


def _check_growth(words: list[str]) -> None:
    """Raises ValueError for a replace( within another."""
    for at, (word, after) in enumerate(itertools.pairwise(words)):
        if word == _GROWS and after == "(" and _GROWS in words[at + 2 : _closing(words, at + 1)[0]]:
            raise ValueError("replace( may not stand within replace(: texts could grow without bound")


def _function(name: str) -> str:
    if name.lower() not in FUNCTIONS:
        raise ValueError(f"`{name}(` may not stand in an expression; these may: {', '.join(FUNCTIONS)}")
    return name.lower()
