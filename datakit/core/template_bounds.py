"""A sandbox in which every template ends: rounds and characters of a rendering are counted and bounded.

Counted, not timed, so that a record is rejected on every machine or on none. Rounds are those of loops and
of their conditions. Characters are those of every text, and eight for each member of every list, that an
operator, a filter, a call or an output makes or goes through; a call counts for 200 and a part that is
included for 1,000. What would be larger than the bound is refused before it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from itertools import chain, islice, repeat
from threading import RLock
from typing import Any

from jinja2 import Template
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from datakit.core.template_code import CountingCode
from datakit.core.template_sizes import (
    FILTER_BOUNDS,
    MAX_CHARS,
    MAX_ROUNDS,
    SIZED,
    check_number,
    length_of,
    made_by_method,
    number_of,
    percent_size,
    size_of,
    too_much,
)

_CALL, _FILTER = 200, 20
"""Characters that take as long as a call, and as a filter: 10 and 2 µs."""
_SLOW = 100
"""Characters that a filter with regular expressions or much Python counts for one."""
_SLOW_FILTERS = {"pprint", "striptags", "title", "urlize", "wordcount", "wordwrap", "xmlattr"}
_CHEAP_FILTERS = {"abs", "attr", "count", "d", "default", "first", "last", "length", "safe"}
"""Filters that go through nothing, however long it is."""
_COMPARING = ("in", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=")
_COMPARING_TESTS = {*_COMPARING, "gt", "greaterthan", ">", "ge", ">=", "lower", "upper"}


def _too_many_rounds(_: object) -> bool:
    raise too_much("it goes through", MAX_ROUNDS, "rounds of its loops")


class BoundedTemplate(Template):
    """A template whose every rendering has the bounds for itself."""

    environment: BoundedEnvironment

    def render(self, *args: Any, **values: Any) -> str:
        """The text. Raises what the template raises, and Unbounded."""
        with self.environment.lock:
            self.environment.reset()
            return super().render(*args, **values)

    def generate(self, *args: Any, **values: Any) -> Iterator[str]:
        """The text as one part."""
        yield self.render(*args, **values)


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with bounds. One template at a time is rendered: threads wait for each other."""

    code_generator_class = CountingCode
    template_class = BoundedTemplate
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, *, finalize: Callable[[Any], Any], **settings: Any) -> None:
        """`finalize` turns what is put out into a text, or leaves it."""
        super().__init__(**settings)
        self.lock = RLock()
        self.reset()
        self.finalize = self._finalized(finalize)
        self.concat = self._concat  # type: ignore[method-assign]
        for name in FILTERS.keys() - _CHEAP_FILTERS:
            self.filters[name] = self._bounded(FILTERS[name], _SLOW * (name in _SLOW_FILTERS), name)
        for name in _COMPARING_TESTS & TESTS.keys():
            self.tests[name] = self._bounded(TESTS[name], 0, name)

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Gives templates a filter that goes through a text a few times; it counts like the slow ones."""
        self.filters[name] = self._bounded(function, _SLOW, name)

    def reset(self) -> None:
        """Starts to count anew."""
        self._chars = 0
        rounds = chain(repeat(True, MAX_ROUNDS), map(_too_many_rounds, repeat(True)))
        self.count: Callable[[], bool] = rounds.__next__  # in C: 25 ns a round

    def spend(self, chars: int) -> None:
        """Counts characters."""
        self._chars += chars
        if self._chars > MAX_CHARS:
            raise too_much("it makes or goes through", MAX_CHARS, "characters")

    def measured(self, value: Any) -> Any:
        """The value, counted."""
        self.spend(size_of(value))
        return value

    def scanned(self, value: Any) -> Any:
        """The value, counted as something that is looked through."""
        self.spend(len(value) if isinstance(value, range) else size_of(value))
        return value

    def afford(self, chars: int) -> None:
        """Raises Unbounded for what would be too much, before it is made."""
        if chars > MAX_CHARS:
            raise too_much("it would make", MAX_CHARS, "characters at once")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """What the operator makes of two values."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            if isinstance(left, int) and isinstance(right, int) and operator != "%":
                check_number(operator, left, right)
        elif operator == "*":
            self.afford(max(size_of(left), size_of(right)) * max(number_of(left), number_of(right), 1))
        elif operator == "%" and isinstance(left, str | bytes):
            self.afford(percent_size(str(left), right))
        return self.measured(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """What a call gives. The names are Jinja's, because a template may name its arguments so."""
        __self.spend(_CALL)
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        if isinstance(owner, str | bytes | int | list | tuple | dict):
            args = tuple([list(arg) if isinstance(arg, Iterator) else arg for arg in args])
            __self.spend(size_of(owner))
            __self.afford(made_by_method(owner, getattr(__obj, "__name__", ""), args, kwargs))
        return __self._counted(super().call(__context, __obj, *args, **kwargs))

    def _concat(self, parts: Iterable[str]) -> str:
        """The parts as one text."""
        rest, texts = iter(parts), list[str]()
        while some := list(islice(rest, 4096)):
            self.spend(sum(map(len, some)) + len(some))
            texts += some
        return "".join(texts)

    def _finalized(self, finalize: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Counts texts that are made to be put out; those that are there count when they are joined."""

        def finalized(value: Any) -> Any:
            text = finalize(value)
            if text is not value:
                self.spend(len(text))
            return text

        return finalized

    def _counted(self, result: Any) -> Any:
        if isinstance(result, SIZED):
            return self.measured(result)
        return map(self.measured, result) if isinstance(result, Iterator) else result

    def _bounded(self, function: Any, factor: int, name: str) -> Callable[..., Any]:
        """A filter or a test that counts what it goes through and makes."""
        at = int(hasattr(function, "jinja_pass_arg"))  # Jinja's own argument comes before the value
        bound, is_test = FILTER_BOUNDS.get(name), name in _COMPARING_TESTS

        @wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            self.spend(_FILTER)
            value, given = args[at], args[at + 1 :]
            if bound is not None:
                if not isinstance(value, SIZED) and isinstance(value, Iterable):
                    value = list(value)
                    args = (*args[:at], value, *given)
                self.afford(bound(value, given, kwargs))
            self.spend(factor * size_of(value) if factor else length_of(value))
            if is_test:
                self.spend(sum(map(length_of, given)))
            return self._counted(function(*args, **kwargs))

        return bounded
