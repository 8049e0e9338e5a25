"""Templates end: whatever one asks for, it is refused with its line before time or memory run out."""

# Each template stands on a line of its own.
# ruff: noqa: E501

import resource
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.core.prompt import Prompt
from datakit.core.rendering import TooLarge
from datakit.core.templates import MAX_BYTES, Templates

ATTACKS = {
    "rounds of its loops": {
        "nested": "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        "nested_if": "{% for a in range(99999) %}{% for b in range(99999) if false %}{% endfor %}{% endfor %}",
    },
    "at once": {
        "repeat": "{{ 'a' * 10**9 }}",
        "repeat2": "{% set n = 10**9 %}{{ 'a' * n }}",
        "repeat3": "{{ 10**9 * 'a' }}",
        "listrep": "{{ ([0]*10**9)|length }}",
        "listrep2": "{% set l=['a'*1000000]*1000000 %}{{ l|join }}",
        "tuprep": "{{ ((1,)*10**9)|length }}",
        "pctmany": "{% set f='%(a)s'*100000 %}{{ f % {'a':'x'*1000000} }}",
        "fmtmany": "{{ ('{0}'*1000000).format('x'*1000000) }}",
        "indent2": "{{ ('a\\n'*10000)|indent('x'*100000) }}",
        "join": "{{ range(99999)|join('x'*1000000) }}",
        "joinm": "{{ ('x'*1000000).join(range(99999)|map('string')) }}",
        "joinm2": "{{ ('x'*1000000).join(['a']*99999) }}",
        "joinstr": "{{ ('a'*100000)|join('x'*100000) }}",
        "bytes": "{{ ('a'.encode()*10**9)|length }}",
        "translate": "{{ ('a'*1000000).translate({97:'x'*1000000})|length }}",
        "default": "{{ x|default('a'*10**9) }}",
        "ifexpr": "{{ 'a'*10**9 if true }}",
        "tojsonindent2": "{{ (['a']*100000)|tojson(indent=100) }}",
        "sumlists": "{{ ([[1]]*99999)|sum(start=[])|length }}",
    },
    "a width of": {
        "pct": "{{ '%1000000000d' % 1 }}",
        "pctstar": "{{ '%*d' % (10**9,1) }}",
        "pctprec": "{{ '%.1000000000f' % 1.5 }}",
        "fmt": "{{ '{:1000000000d}'.format(1) }}",
        "fmtn": "{{ '{:{w}}'.format(1,w=10**9) }}",
        "fmtn2": "{{ '{:>{w}}'.format('a',w=1000000000) }}",
        "fmtmap": "{{ '{a:1000000000}'.format_map({'a':1}) }}",
        "fmtfilter": "{{ '%1000000000d'|format(1) }}",
        "center": "{{ 'a'|center(10**9) }}",
        "centerm": "{{ 'a'.center(10**9) }}",
        "ljust": "{{ 'a'.ljust(10**9) }}",
        "zfill": "{{ 'a'.zfill(10**9) }}",
        "expand": "{{ ('\\t'*1000).expandtabs(10**9) }}",
        "indent": "{{ ('a\\n'*1000)|indent(10**9) }}",
        "kwcenter": "{{ 'a'|center(width=10**9) }}",
        "batch": "{{ [1]|batch(10**9,'x')|list|length }}",
        "slice": "{{ [1]|slice(10**9,'x')|list|length }}",
        "tobytes": "{{ (5).to_bytes(10**9,'big')|length }}",
        "filterblock": "{% filter center(1000000000) %}a{% endfilter %}",
    },
    "makes or goes through": {
        "batch2": "{{ ('a'*10000000)|batch(1)|list|length }}",
        "macro2": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "include2": "{% set n = (n if n is defined else 50) - 1 %}{% if n %}{% include 'self.j2' %}{% include 'self.j2' %}{% endif %}",
        "ns_list": "{% set ns = namespace(s=['a']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
        "ns_dict": "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = {'a':ns.s,'b':ns.s} %}{% endfor %}{{ ns.s|tojson }}",
        "ns_tuple": "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = (ns.s,ns.s) %}{% endfor %}{{ ns.s == 1 }}",
        "ns_dictcall": "{% set ns = namespace(s='a') %}{% for i in range(60) %}{% set ns.s = dict(a=ns.s,b=ns.s) %}{% endfor %}{{ ns.s|tojson }}",
        "cmp_nested": "{% set n=namespace(a='x',b='x') %}{% for i in range(40) %}{% set n.a=[n.a,n.a] %}{% set n.b=[n.b,n.b] %}{% endfor %}{{ n.a==n.b }}",
        "ns_keep": "{% set ns = namespace(s=[]) %}{% for i in range(99999) %}{% set ns.s = ns.s + ['a'*100000] %}{% endfor %}",
        "ns_nested": "{% set ns = namespace(s=[]) %}{% for i in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
        "slices": "{% set a='a'*1000000 %}{% for i in range(99999) %}{% set b=a[1:] %}{% endfor %}",
        "const": "{% for i in range(99999) %}" + "x" * 10_000 + "{% endfor %}",
        "body": "{% for i in range(99999) %}" + "{% if i %}x{% endif %}" * 100 + "{% endfor %}",
        "in": "{% set l=range(99999)|list %}{% for a in range(99999) %}{{ a in l }}{% endfor %}",
        "eq": "{% set a='a'*1000000 %}{% set b=a~'b' %}{% for i in range(99999) %}{{ a==b }}{% endfor %}",
        "eqtest": "{% set a=['a'*100]*10000 %}{% for i in range(99999) %}{{ a is eq(a) }}{% endfor %}",
        "liststr": "{{ ('a'*19000000)|list|length }}",
        "split": "{{ ('ab,'*6000000).split(',')|length }}",
        "map": "{% for a in range(99999)|map('string')|map('center',100)|map('upper') %}{% endfor %}",
        "select": "{% for a in range(99999) %}{% set z=range(99999)|select('odd')|list %}{% endfor %}",
        "selectlazy": "{% for a in range(99999) %}{% set z=range(99999)|select('none')|first|default('') %}{% endfor %}",
        "fromkeys": "{% for i in range(1000) %}{% set d=dict.fromkeys(range(99999)) %}{% endfor %}",
        "urlize": "{{ ('http://a.b '*100000)|urlize }}",
        "title": "{{ ('('*390000)|title|length }}",
    },
    "4,000 digits": {
        "pow2": "{% set ns=namespace(x=3) %}{% for i in range(60) %}{% set ns.x = ns.x*ns.x %}{% endfor %}{{ ns.x }}",
        "pow4": "{{ (10**4000)**(10**4000) }}",
        "bigstr": "{{ 10**4299 }}",
    },
    "300 digits": {
        "round": "{{ 1.5|round(10**9,'ceil') }}",
    },
    "without end": {
        "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "include": "{% include 'self.j2' %}",
        "extends": "{% extends 'self.j2' %}",
        "import": "{% import 'self.j2' as x %}{{ x }}",
        "from": "{% from 'self.j2' import y %}",
        "block": "{% block a %}{{ self.a() }}{% endblock %}",
        "looprec": "{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}",
        "ns_nested5k": "{% set ns = namespace(s=[]) %}{% for i in range(1500) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s|tojson }}",
    },
    "too deep in each other": {
        "nest25": "{% for a in [1] %}" * 25 + "{% endfor %}" * 25,
        "paren": "{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}",
        "ifs": "{% if 1 %}" * 300 + "{% endif %}" * 300,
    },
    "too large": {
        "inf": "{{ 1e400 }}{{ -1e400|int }}",
    },
}
"""Words of the refusal -> name -> template."""


def prompt(folder: Path, text: str, *columns: str) -> Prompt:
    (folder / "self.j2").write_text(text, encoding="utf-8")
    return Prompt("self.j2", Templates([folder]), {}, columns)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


@pytest.mark.fault(
    "a template would never end or fill the memory: nested ranges, repeats, widths, doubling, recursion",
    "refused with file and line within a bound of rounds and characters, on every machine alike",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("words", "text"),
    [pytest.param(words, text, id=name) for words, texts in ATTACKS.items() for name, text in texts.items()],
)
def test_template_without_bounds_is_refused_with_its_place(tmp_path: Path, words: str, text: str) -> None:
    before = peak_mb()
    with pytest.raises(UserError, match=words) as caught:
        prompt(tmp_path, text).fill({"id": "r1", "images": []})
    assert caught.value.where.startswith(str(tmp_path / "self.j2"))
    assert caught.value.remedy or "template error" in caught.value.message
    assert peak_mb() - before < 600


def test_line_of_an_included_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("\n\n{{ 'a' * 10**9 }}")
    with pytest.raises(UserError) as caught:
        prompt(tmp_path, "{% include 'part.j2' %}").fill({"id": "r1", "images": []})
    assert caught.value.where == f"{tmp_path / 'part.j2'}:3"


def test_record_whose_value_is_too_much_is_told_from_a_template_at_fault(tmp_path: Path) -> None:
    writes = prompt(tmp_path, "{% for a in ocr_text %}{% for b in ocr_text %}{% endfor %}{% endfor %}好")
    assert writes.fill({"id": "r1", "images": [], "ocr_text": "短" * 300}).text == "好"
    with pytest.raises(
        TooLarge, match=r"self\.j2:1: with this record it goes through more than 1,000,000 rounds"
    ):
        writes.fill({"id": "r2", "images": [], "ocr_text": "长" * 3000})
    assert writes.fill({"id": "r3", "images": [], "ocr_text": "短"}).text == "好"


def test_number_of_a_record_can_be_too_much(tmp_path: Path) -> None:
    writes = prompt(tmp_path, "{{ '-' * count }}")
    with pytest.raises(TooLarge):
        writes.fill({"id": "r1", "images": [], "count": 10**9})


def test_bounds_are_for_one_rendering_not_for_all(tmp_path: Path) -> None:
    writes = prompt(tmp_path, "{{ ('字' * 6000000)|length }}")
    assert [writes.fill({"images": []}).text for _ in range(5)] == ["6000000"] * 5


def test_ordinary_work_with_a_long_text_is_within_the_bounds(tmp_path: Path) -> None:
    text = "{{ ocr_text|trim|replace('a', 'b')|upper }}{% for line in ocr_text.splitlines() %}{{ line|trim }}{% endfor %}"
    long = "abc 订单\n" * 20_000
    written = prompt(tmp_path, text).fill({"images": [], "ocr_text": long}).text
    assert len(written) == len(long.strip()) + 6 * 20_000


def test_values_keep_their_types_and_texts_in_bounds(tmp_path: Path) -> None:
    text = (
        "{{ [1, 'a'] }}|{{ (1, 2) }}|{{ {'a': 1}|tojson }}|{{ 1 ~ 'x' ~ none }}|{{ 'abc'[1:] }}|{{ 2 in [1, 2] }}"
        "|{{ '%03d' % 7 }}|{{ '{:>4}'.format('x') }}|{{ 2 ** 10 }}|{{ [3, 1]|sort|join('-') }}"
        "|{{ 'tel 13800138000 %s' % 'x' }}|{% for x in [1, 2, 3] if x != 2 %}{{ loop.index }}{{ x }}{% endfor %}"
    )
    written = prompt(tmp_path, text).fill({"images": []}).text
    assert written == ("[1, 'a']|(1, 2)|{\"a\": 1}|1xNone|bc|True|007|   x|1024|1-3|tel 13800138000 x|1123")


def test_file_of_data_is_no_template(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a template of 1,000,001 bytes") as caught:
        prompt(tmp_path, "x" * (MAX_BYTES + 1))
    assert caught.value.where == str(tmp_path / "self.j2")


def test_number_with_too_many_digits_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="digits"):
        prompt(tmp_path, "{{ " + "9" * 5000 + " }}")
