"""Loading a recipe: what is right loads, and everything that is wrong is told at once, with its place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from datakit.core.errors import DatakitError, RecipeErrors, UserError
from datakit.core.parameters import validated
from datakit.core.settings import Settings
from datakit.core.transform import Transform
from datakit.recipe.recipe import load_recipe
from datakit.recipe.yaml_file import load_yaml

ROOT = Path(__file__).resolve().parent.parent.parent
GOOD = """\
name: mine
labels: labels.yaml
steps:
  - guard.image: {min_side_px: 28}
  - curate.split: {val: 0.2}
emit:
  - llamafactory
"""
Fault = Callable[..., str]


@pytest.fixture
def fault(project: Path, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """The error of a recipe's text; paths in it start from the project."""
    monkeypatch.chdir(project)

    def of(text: str | bytes, **options: Any) -> str:
        path = project / "recipes" / "r.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(DatakitError) as caught:
            load_recipe(path, **options)
        assert caught.value.exit_code == 2
        return str(caught.value)

    return of


def test_all_errors_come_at_once_sorted_by_line(fault: Fault) -> None:
    text = fault(
        "version: 9\n"
        "sed: 3\n"
        "labels: nowhere.yaml\n"
        "llm: {temprature: 1, timeout_s: fast}\n"
        "steps:\n"
        "  - guard.imag: {}\n"
        "  - curate.split: {val: 2, strat: label}\n"
        "emit: [llamafactori]\n"
        "run: {workers: 0}\n"
    )
    places = [line for line in text.splitlines() if line.startswith("recipes/")]
    assert places == [
        "recipes/r.yaml:1:1",
        "recipes/r.yaml:2:1",
        "recipes/r.yaml:3:1",
        "recipes/r.yaml:4:7",
        "recipes/r.yaml:4:22",
        "recipes/r.yaml:6:5",
        "recipes/r.yaml:7:20",
        "recipes/r.yaml:7:28",
        "recipes/r.yaml:8:8",
        "recipes/r.yaml:9:7",
    ]
    for words in (
        "version 9 is not known",
        "Did you mean `seed`?",
        "cannot read the label file",
        "unknown parameter `temprature` (value 1)",
        "Did you mean `guard.image`?",
        "Did you mean `stratify`?",
        "Did you mean `emit.llamafactory`?",
        "`workers`: input should be greater than or equal to 1 (value 0)",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", ":1:1", "a recipe is a mapping"),
        ("- a\n", ":1:1", "a recipe is a mapping"),
        ("name: x\n\tsteps: []\n", ":2:1", "Indent with spaces"),
        ("steps: []\nsteps: []\n", ":2:1", "key `steps` stands twice (first in line 1)"),
        ("run: {workers: 1, workers: 2}\n", ":1:19", "key `workers` stands twice"),
        ("steps: [a, {b: \n", ":2:1", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", ":2:1", "another document"),
        ("name: \x00x\n", ":1\n", "character #x0000"),
        ("name: !mine x\n", ":1:7", "the tag `!mine` is not allowed"),
        ("run: !!set {a, b}\n", ":1:6", "the tag `!!set` is not allowed"),
        ("name: !!binary aGk=\n", ":1:7", "the tag `!!binary` is not allowed"),
        ("steps: &a\n  - *a\n", ":1:8", "an alias stands inside its own anchor"),
        (f"seed: {10**30}\n", ":1:7", "too large"),
        ("seed: true\n", ":1:1", "`seed` must be a whole number from 0"),
        ("seed: -1\n", ":1:1", "`seed` must be a whole number from 0"),
        ("name: ../../etc\n", ":1:1", "must be letters, digits"),
        ("1: x\n2: y\n", ":2:1", "unknown key `2`"),
        ("llm: 3\n", ":1:1", "`llm:`: must be a mapping"),
        ("steps: {guard.image: {}}\n", ":1:1", "`steps:` must be a list with at least one step"),
        ("steps:\n  -\n", ":2:4", "a step is `name: {parameters}`"),
        ("steps:\n  - {guard.image: {}, curate.split: {}}\n", ":2:5", "a step is `name: {parameters}`"),
        ("steps:\n  - guard.image: [1]\n", ":2:5", "must be a mapping, not [1]"),
        ("steps:\n  - guard.image\n", ":2:5", "Begin with a reader"),
        ("steps:\n  - emit.llamafactory\n", ":2:5", "`emit.llamafactory` belongs under `emit:`"),
        ("emit:\n  - guard.image\n", ":2:5", "`guard.image` belongs under `steps:`"),
        ("labels: [a]\n", ":1:1", "must be the path of a label file"),
        (f"labels: {'x' * 300}\n", ":1:1", "no path is so long: 300 characters"),
        (f"steps:\n  - read.csv: {{path: {'图' * 90}}}\n", ":2:16", "no path is so long: 90 characters"),
        (f"steps:\n  - render.chat: {{prompt: [a.j2, {'a/' * 2500}b]}}\n", ":2:34", "no path is so long"),
        (f"train: {{model: ./{'x' * 300}}}\n", ":1:9", "no path is so long"),
        ('labels: "a\\0"\n', ":1:1", "a NUL character (\\0) stands here"),
        ('steps:\n  - read.csv: {path: x, drop: [a, "\\0"]}\n', ":2:35", "a NUL character"),
        ('run:\n  "\\0": 1\n', ":2:3", "a NUL character"),
        ('steps:\n  - "read.csv\\0"\n', ":2:5", "a NUL character"),
    ],
)
def test_bad_recipe_names_place_and_cause(fault: Fault, text: str, place: str, words: str) -> None:
    found = fault(text)
    assert f"recipes/r.yaml{place}" in found
    assert words in found


@pytest.mark.fault("a recipe holds a YAML tag that would run code", "refused; nothing runs", kind="bounds")
def test_tag_that_would_run_code_runs_nothing(fault: Fault, project: Path) -> None:
    text = f"name: !!python/object/apply:os.system ['touch {project}/ran']\n"
    assert "the tag `!!python/object/apply:os.system` is not allowed" in fault(text)
    assert not (project / "ran").exists()


@pytest.mark.fault("a recipe's aliases grow without end", "stopped with a sentence", kind="bounds")
def test_alias_bomb_is_stopped(fault: Fault) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "expands to too many values" in fault("\n".join(lines))


@pytest.mark.fault("a recipe is nested without end", "stopped with a sentence", kind="bounds")
def test_endless_nesting_is_stopped(fault: Fault) -> None:
    depth = sys.getrecursionlimit() * 3
    assert "nested too deeply" in fault("steps: " + "[" * depth + "]" * depth)


def test_recipe_whose_encoding_cannot_be_told_is_refused_with_file_and_remedy(fault: Fault) -> None:
    told = fault("name: 狗".encode("gb18030"))
    assert "recipes/r.yaml is not UTF-8 (byte 7, line 1)" in told
    assert "Save the recipe as UTF-8." in told


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5"])
def test_recipe_in_another_encoding_is_read(encoding: str, project: Path) -> None:
    path = project / "r.yaml"
    path.write_bytes("# 購物車頁面分類，訂單與退貨\nname: 電商截圖\n".encode(encoding))
    assert load_yaml(path).data == {"name": "電商截圖"}


def test_byte_order_mark_is_read(project: Path) -> None:
    path = project / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load_yaml(path).data == {"name": "x"}


def test_missing_recipe_lists_its_neighbours(project: Path) -> None:
    (project / "recipes" / "there.yaml").write_text(GOOD)
    with pytest.raises(UserError, match="No such file") as caught:
        load_recipe(project / "recipes" / "ther.yaml")
    assert "there.yaml" in str(caught.value)


def test_faults_of_the_label_file_come_with_those_of_the_recipe(fault: Fault, project: Path) -> None:
    rows = [{"name": "猫", "aliases": ["狗"]}, {"name": "狗"}, {"name": "马", "colour": "red"}]
    (project / "recipes" / "labels.yaml").write_text(yaml.safe_dump({"labels": rows}, allow_unicode=True))
    text = fault("seed: x\n" + GOOD)
    assert "recipes/r.yaml:1:1" in text
    assert "recipes/r.yaml:3:1" in text
    assert "`狗` names both 猫 and 狗" in text
    assert "unknown field `colour`" in text


def test_long_texts_that_are_no_paths_are_taken(fault: Fault) -> None:
    chat = f"render.chat: {{prompt: a.j2, answer: {{form: label_only, instruction: {'话' * 300}}}}}"
    assert "so long" not in fault(f"steps:\n  - {chat}\n")


@pytest.mark.fault(
    "a label's name has two lines, so that no answer could state it",
    "refused with what to do",
    kind="bounds",
)
def test_label_of_two_lines_is_refused_because_no_answer_could_state_it(fault: Fault, project: Path) -> None:
    text = GOOD.replace("labels.yaml", "../labels.yaml")
    (project / "labels.yaml").write_text('labels: [a, "b\\nc", "d\\u2028e", "f\\n"]\n', "utf-8")
    message = fault(text)
    assert message.count("has more than one line") == 2
    assert "the label `b\\u000ac` of" in message
    assert "recipes/r.yaml:2:1" in message


def test_first_step_is_only_blamed_when_it_is_the_first(fault: Fault) -> None:
    assert "no records to work on" not in fault("steps:\n  - read.nonsense\n  - guard.image\n")


CHAT = "steps:\n  - render.chat: {prompt: a.j2, answer: label_only, label_block: VALUE}\n"
FORMS_OF_BLOCKS = "'json', 'pairs', 'lines', 'short', 'brackets' or 'names'"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("table", f"`label_block`: input should be {FORMS_OF_BLOCKS} (value 'table')"),
        ("brackts", "Did you mean `brackets`?"),
        ("[json, shrt]", f"`label_block.1`: input should be {FORMS_OF_BLOCKS} (value 'shrt')"),
        ("[json, shrt]", "Did you mean `short`?"),
        ("3", f"`label_block` must be {FORMS_OF_BLOCKS} or a list, not 3"),
        ("{a: 1}", f"`label_block` must be {FORMS_OF_BLOCKS} or a list, not {{'a': 1}}"),
    ],
)
def test_a_value_that_may_be_of_several_kinds_gets_one_sentence(fault: Fault, value: str, words: str) -> None:
    text = fault(CHAT.replace("VALUE", value))
    assert words in text
    assert text.count("label_block") == 1
    assert "literal[" not in text
    assert "tuple[" not in text


def test_a_fault_within_a_value_of_several_kinds_points_at_its_own_place(fault: Fault) -> None:
    text = fault("steps:\n  - render.chat:\n      prompt: a.j2\n      answer: {fields: [{nme: x}]}\n")
    assert "recipes/r.yaml:4:" in text
    assert "unknown parameter `answer.fields.0.nme` (value 'x')" in text
    assert "function-after" not in text
    assert "valid string" not in text


def test_key_of_a_later_stage_is_checked_by_its_model(fault: Fault) -> None:
    class Train(Settings):
        rank: int = 8

    text = fault("train: {rnak: 3}\n", sections={"train": Train})
    assert "recipes/r.yaml:1:9" in text
    assert "Did you mean `rank`?" in text


class _Sample(Transform):
    registered_name: ClassVar[str] = "toy.sample"
    fields: tuple[str, ...] = ()
    counts: dict[str, int] = {}  # noqa: RUF012 (pydantic copies it)
    share: float = 0.5
    day: str = ""
    on: bool = False


def test_yaml_values_fill_parameters_as_they_look() -> None:
    values = yaml.safe_load("{fields: [a, b], counts: {3: 1, 页面: 2}, share: 1, day: 2024-01-02}")
    sample = validated(_Sample, values)
    assert (sample.fields, sample.counts) == (("a", "b"), {"3": 1, "页面": 2})
    assert (sample.share, sample.day) == (1.0, "2024-01-02")


@pytest.mark.parametrize("values", [{"share": "0.5"}, {"on": 1}, {"counts": {"a": 1.5}}, {"fields": "ab"}])
def test_parameters_are_strict_about_types(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        validated(_Sample, values)


CHARS = st.characters(codec="utf-8")
KEYS = st.text("abc_", min_size=1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(CHARS, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
SIGNS = "{}[]&*!-:|>\n\t 'ab\"#?,%@`"


@given(data=st.dictionaries(KEYS, PLAIN, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_every_plain_document_loads_as_yaml_reads_it(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "d.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    file = load_yaml(path)
    assert file.data == data
    assert all(line >= 1 and column >= 1 for line, column in file.places.values())


@pytest.mark.fault("a recipe is any text", "errors with places, never a traceback", kind="bounds")
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=60)
    | st.text("{}[]&*!-:|>\n\t 'ab\"#?,%@`", max_size=40)
)
@settings(max_examples=300, deadline=None)
def test_no_text_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("yaml") / "d.yaml"
    path.write_bytes(text.encode())
    with pytest.raises(DatakitError):
        load_recipe(path)


def test_fault_of_an_override_points_at_the_value_it_replaces(fault: Fault, project: Path) -> None:
    (project / "recipes" / "labels.yaml").write_text("labels: [a]")
    path = project / "recipes" / "r.yaml"
    path.write_text(GOOD)
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(path, overrides=["guard.image.min_side_px=big"])
    (error,) = caught.value.errors
    assert error.where.endswith("r.yaml:4:19")
    assert "value 'big'" in error.message
