"""The names that a template takes from outside."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from datakit.core.template_names import names_from_outside


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ a }}", {"a"}),
        ("{% if a %}{% set b = 1 %}{{ b }}{% endif %}", {"a"}),
        ("{% if a %}{% set b = 1 %}{% endif %}{{ b }}", {"a", "b"}),
        ("{% if a %}{% set b = 1 %}{% else %}{% set b = 2 %}{% endif %}{{ b }}", {"a"}),
        ("{% if a %}{% set b = 1 %}{% elif c %}{% set b = 2 %}{% endif %}{{ b }}", {"a", "b", "c"}),
        (
            "{% if a %}{% set b = 1 %}{% elif c %}{% set b = 2 %}{% else %}{% set b = 3 %}{% endif %}{{ b }}",
            {"a", "c"},
        ),
        ("{% if not a %}{% set a = 1 %}{% endif %}{{ a }}", {"a"}),
        ("{% set a = a %}{{ a }}", {"a"}),
        ("{% set a %}{{ b }}{% endset %}{{ a }}", {"b"}),
        ("{% for a in b %}{% set c = a %}{{ c }}{{ loop.index }}{% endfor %}", {"b"}),
        ("{% for a in b %}{% set c = a %}{% endfor %}{{ c }}", {"b", "c"}),
        ("{% for a in b %}{% if loop.last %}{{ c }}{% endif %}{% set c = a %}{% endfor %}", {"b", "c"}),
        ("{% for a in a %}{{ a }}{% endfor %}", {"a"}),
        ("{% for a in b if a > c %}{{ a }}{% else %}{{ d }}{% endfor %}", {"b", "c", "d"}),
        (
            "{% if a %}{% macro m(x, y=z) %}{{ x }}{{ y }}{{ w }}{% endmacro %}{{ m(1) }}{% endif %}",
            {"a", "w", "z"},
        ),
        ("{% with a = b %}{{ a }}{% endwith %}{{ a }}", {"a", "b"}),
        ("{% if a %}{% set b, c = a %}{{ b }}{{ c }}{% endif %}", {"a"}),
        ("{% if a %}{% set n = namespace(b=c) %}{% set n.b = 1 %}{{ n.b }}{% endif %}", {"a", "c"}),
        ("{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ a }}{% endcall %}", {"a"}),
        ("{% from 'x' import p as q %}{% import 'y' as r %}{{ q() }}{{ r.s }}", set()),
    ],
)
def test_names_are_those_that_no_way_through_sets_before(source: str, names: set[str]) -> None:
    assert names_from_outside(Environment().parse(source)) == names
