"""YAML means to datakit what it means to PyYAML, which reads the same files in the trainer."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml.nodes import MappingNode, SequenceNode

from datakit.core.plain_yaml import Key, YamlFault, compose, dump, parse, with_values, yaml_inline

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = [path for folder in ("recipes", "templates") for path in sorted((ROOT / folder).rglob("*.yaml"))]

WORDS = """
yes Yes YES yEs no No NO on On ON oN off Off OFF y Y n N true True TRUE tRue false False FALSE
null Null NULL nULL ~ '' "" 'yes' "on" '1' = <x - a-b a:b :a .a a. @ a#b 'it''s' "\\u4e2d"
0 1 -1 +1 00 007 010 -010 08 09 0o7 0o17 0x1F 0X1F 0x 0xg 0b101 0b2 0B1 1_000 _1 1_ 1__0 0_7
1:30 -1:30 1:60 12:30:45 190:20:30 190:20:30.15 0:0 01:02 1:2:3:4
1. 1.0 .5 -.5 +.5 ._5 00.5 1e5 1E5 1e-5 1e+5 1.0e5 1.0e+5 1.0E-5 1.5e3 12e03 1_0.5 1.2.3 0. -0.0
.inf -.inf +.inf .Inf .INF .iNF inf .nan .NaN .NAN .Nan nan -.nan
2024-01-02 2024-1-2 2024-01-2 20240102 2024-01 0001-01-01 9999-12-31 2024-02-29
2024-01-02T03:04:05Z 2024-01-02t03:04:05.5+01:00 2024-1-2T3:04:05 2024-01-02T03:04
9223372036854775808 123456789012345678901234567890 １２ ½ 是 否 !!str !!binary
"""
SPACED = """
2024-01-02 03:04:05
2024-01-02 03:04:05.123456789 -5:30
2024-01-02 03:04:05.1 +01
2024-01-02 24:00
!!str 1
!!str yes
!!int '3'
!!int 0x10
!!float 1
!!float 1e5
!!bool yes
!!null ''
!!binary aGk=
!!timestamp 2024-01-02
! 1
a # no
a  b
"""
SCALARS = (*WORDS.split(), *SPACED.strip().splitlines())
FRAMES = (
    "{}",
    "k: {}",
    "{}: v",
    "- {}",
    "[{}]",
    "[a, {} , b]",
    "{{k: {}}}",
    "{{{} : v}}",
    "? {}\n: v",
    "- - {}\n- x",
)


def same(ours: Any, theirs: Any) -> bool:
    """Equal and of the same types throughout; nan is nan, and the order of keys counts."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        return len(ours) == len(theirs) and all(map(same, ours.items(), theirs.items()))
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float) and math.isnan(ours):
        return math.isnan(theirs)
    if isinstance(ours, datetime):
        return ours.isoformat() == theirs.isoformat()
    return bool(ours == theirs) and str(ours) == str(theirs)


@pytest.mark.parametrize("scalar", SCALARS)
def test_scalars_are_read_as_the_trainer_reads_them(scalar: str) -> None:
    for frame in FRAMES:
        text = frame.format(scalar)
        try:
            theirs = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, LookupError):
            with pytest.raises(YamlFault):
                parse(text)
        else:
            assert same(parse(text), theirs), text


@pytest.mark.parametrize(
    "text",
    [
        "{guard.label:}",
        "- {a:, b: 1}\n- [c:]\n- {d:[1]}",
        "{a:1, b :2}",
        "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo:\n  <<: *b\n  x: 5",
        "base: &b {x: 1}\nmore: &m {<<: *b, y: 2}\nall: {<<: *m, x: 3}\nagain: *m",
        "a: &a [1, 2]\nb: *a\nc: &b 3\nd: [*a, *b]",
        "a: >-\n  x\n  y\n\n  z\nb: |+\n  p\n\n\nc: |2\n    q",
        "a: 'x\n\n  y'\nb: \"p \\\n  q\"\nc: plain\n  goes on",
        "%YAML 1.1\n---\na: yes\n...\n",
        "%YAML 1.2\n---\na: yes\nb: 010\n",
        "# only a comment\n",
        "",
        "a:\r\n- b\r\n- 标签: 猫 # 狗\r\n",
        "\ufeffa: 1",
        "a: !!set {x, y}\nb: !!binary aGk=",
    ],
)
def test_documents_are_read_as_the_trainer_reads_them(text: str) -> None:
    assert same(parse(text), yaml.safe_load(text))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3", (3, 1), "key `a` stands twice (first in line 1)"),
        ("x: {a: 1, 'a': 2}", (1, 11), "key `a` stands twice (first in line 1)"),
        ("a: &x {q: 1}\nb:\n  <<: *x\n  q: 2\n  q: 3", (5, 3), "key `q` stands twice (first in line 4)"),
        ("a:\n\t- b", (2, 1), "found character '\\t'"),
        ("? [a]\n: b", (1, 3), "cannot be a key"),
        ("? {a: [1]}\n: b", (1, 3), "cannot be a key"),
        ("a: 1\nday: 2024-02-30", (2, 6), "`2024-02-30` is no timestamp (day is out of range for month)"),
        ("!!bool maybe", (1, 1), "`maybe` is no bool"),
        ("a: !!int", (1, 4), "is no int"),
        ("a: !!map x", (1, 4), "expected a mapping"),
        ("a: !!seq {x: 1}", (1, 4), "expected a sequence"),
        ("a: !mine x", (1, 4), "!mine"),
        ("a: {<<: 3}", (1, 9), "expected a mapping"),
        ("a: 1\n---\nb: 2", (2, 1), "another document"),
        ("a: &x 1\nb: &x 2", (2, 4), "anchor `x` stands twice (first in line 1)"),
        ("a: *b", (1, 4), "undefined alias"),
        ("a: b: c", (1, 5), "mapping values are not allowed here"),
        ("a: [1, 2", (1, 9), "expected"),
        ("a: x\x07y", (1, None), "character #x0007 cannot stand in a text file"),
        ("a\nb: \x00", (2, None), "character #x0000 cannot stand in a text file"),
        ("[" * 5000, (1, 101), "nested too deeply"),
        (r'a: "x\ud83d"', (1, 4), "half of a surrogate pair"),
        (r'a: ["x", "\ude42\ud83d"]', (1, 10), "half of a surrogate pair"),
        (r'"\udc00": 1', (1, 1), "half of a surrogate pair"),
    ],
)
def test_what_is_no_yaml_has_its_place_and_cause(
    text: str, place: tuple[int | None, int | None], words: str
) -> None:
    with pytest.raises(YamlFault) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == place
    assert words in caught.value.problem
    assert caught.value.at("a.yaml") == ":".join(map(str, ("a.yaml", *filter(None, place))))


def test_pairs_of_surrogates_as_json_writes_them_are_one_character() -> None:
    document = {"购物🛒": ["🙂", {"🙂": "a🙂"}]}
    assert parse(json.dumps(document)) == document


CHARS = st.characters(
    codec="utf-8", exclude_characters="\u2028\u2029\x85"
)  # lines end there for PyYAML alone
TEXTS = st.text(CHARS, max_size=12) | st.sampled_from([text for text in SCALARS if "!" not in text])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | TEXTS
PLAIN = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=14,
)


@given(value=PLAIN, flow=st.sampled_from([True, False, None]), wide=st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_pyyaml_writes_is_read_as_it_was(value: Any, flow: bool | None, wide: bool) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=wide, sort_keys=False)
    assert same(parse(text), yaml.safe_load(text))


@given(value=PLAIN, flow=st.sampled_from([True, False, None]), width=st.sampled_from([80, 110, 10_000]))
@settings(max_examples=200, deadline=None)
def test_what_is_written_means_the_same_to_the_trainer(value: Any, flow: bool | None, width: int) -> None:
    text = dump(value, flow=flow, width=width)
    assert same(yaml.safe_load(text), yaml.safe_load(yaml.safe_dump(value, sort_keys=False)))
    assert same(parse(text), yaml.safe_load(text))


SHORT = st.sampled_from([text for text in SCALARS if "!" not in text and text.isascii()])
PROSE = (st.text("ab 是,.;:'-#", min_size=1, max_size=200) | SHORT).map(str.strip).filter(bool)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | PROSE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc_.1", min_size=1), inner),
    max_leaves=14,
)


@given(value=TREES, form=st.sampled_from([(80, False), (110, False), (1000, None), (10_000, True)]))
@settings(max_examples=300, deadline=None)
def test_files_keep_the_bytes_that_pyyaml_wrote(value: Any, form: tuple[int, bool | None]) -> None:
    width, flow = form
    theirs = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=width, default_flow_style=flow)
    assert dump(value, width=width, flow=flow) == theirs


SIGNS = ["a", "b", "yes", "1e5", "010", "1:30", "null", "中", "!!str ", "=", "\\", "'", '"', " #c"]
SIGNS += [
    "- ",
    "- - ",
    "  ",
    "\n",
    "\n  ",
    "\n    ",
    ": ",
    ":",
    "{",
    "}",
    "[",
    "]",
    ", ",
    ",",
    "? ",
    "{x: ",
    "\t",
    "<<: ",
]


def test_of_merged_lists_the_first_wins_and_what_stands_there_before_all() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b], y: 3}"
    assert parse(text)["c"] == {"x": 1, "y": 3, "z": 2}


@given(text=st.lists(st.sampled_from(SIGNS), max_size=12).map("".join))
@settings(max_examples=600, deadline=None)
def test_places_are_those_of_pyyaml(text: str) -> None:
    try:
        theirs = list(_places(yaml.compose(text, yaml.SafeLoader)))
    except (yaml.YAMLError, yaml.reader.ReaderError):
        with pytest.raises(YamlFault):
            compose(text)
        return
    assert list(_places(compose(text))) == theirs


def _places(node: Any) -> Iterator[tuple[str, int, int]]:
    """Tag, line and column of a node and of all in it, whichever library made it."""
    if node is None:
        return
    if node.value != "":  # nothing has no place of its own
        yield str(node.tag), node.start_mark.line, node.start_mark.column
    if isinstance(node, MappingNode | yaml.MappingNode):
        for key, value in node.value:
            yield from _places(key)
            yield from _places(value)
    elif isinstance(node, SequenceNode | yaml.SequenceNode):
        for item in node.value:
            yield from _places(item)


def _leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, dict | list):
        for part, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*key, part))
    elif value not in (None, ""):
        yield key, value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_with_another_value_keeps_its_comments_and_layout(path: Path) -> None:
    text = path.read_text("utf-8")
    before = dict(_leaves(parse(text)))
    for key, value in zip(
        before, ["yes_no", "yes", "010", "a: b # c", "是是", 7_777, "on"] * 2, strict=False
    ):
        changed = with_values(text, {key: value})
        assert dict(_leaves(parse(changed))) == {**before, key: value}
        lines = zip(text.splitlines(), changed.splitlines(), strict=True)
        ((old, new),) = [pair for pair in lines if pair[0] != pair[1]]
        kept, rest = new.split(yaml_inline(value), 1)
        assert old.startswith(kept)
        assert old.endswith(rest)


def test_several_values_are_changed_at_once() -> None:
    text = "a: 'x'  # why\nb: [1, two, {c: old}]   # and\n\n# end\n"
    changed = with_values(text, {("b", 2, "c"): "new: 1", ("a",): "a longer one", ("b", 0): 10})
    assert changed == "a: a longer one  # why\nb: [10, two, {c: 'new: 1'}]   # and\n\n# end\n"


@pytest.mark.parametrize("key", [("b",), ("c",)])
def test_only_single_values_are_changed(key: Key) -> None:
    with pytest.raises(ValueError, match="holds no single value"):
        with_values("a: 1\nb: [1]\nc:\n", {key: 2})


def test_reading_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse("a: !!float 1e5\nb: 1e5") == {"a": 1e5, "b": "1e5"}


def test_days_and_moments_are_what_they_say() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 999999, tzinfo=timezone(-timedelta(hours=5)))
    assert parse("[2024-01-02, 2024-01-02 03:04:05.9999999 -5]") == [date(2024, 1, 2), moment]
