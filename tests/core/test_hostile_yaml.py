"""Hostile YAML gets a sentence with its place; words that YAML takes for something else are told."""

import re
from pathlib import Path

import pytest

from datakit.core.errors import DatakitError, UserError
from datakit.core.labels import load_labels
from datakit.core.plain_yaml import MAX_CHARS, YamlFault, parse
from datakit.recipe.recipe import load_recipe

NESTED = {
    "brackets": "a: " + "[" * 100_000 + "]" * 100_000,
    "braces": "{a: " * 100_000 + "}" * 100_000,
    "dashes": "- " * 100_000 + "a",
    "indents": "".join(" " * level + "a:\n" for level in range(500)),
    "key": "? " + "[" * 5_000 + "]" * 5_000 + "\n: b\n",
}
LAUGHS = "a0: &a0 [x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
)
CIRCLES = ("labels: &a [*a]", "labels: &a {b: *a}", "labels: &a [[[{c: *a}]]]")
RECIPE = """\
version: 1
steps:
  - read.jsonl: {path: x.jsonl}
  - render.chat: {prompt: ecom/classify_v1.j2, answer: label_only}
emit:
  - llamafactory: {}
"""


@pytest.mark.fault(
    "100,000 brackets in each other in a recipe, label file or train.yaml",
    "a sentence with line and column, at once",
    kind="bounds",
)
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in NESTED.items()])
def test_deep_nesting_is_a_fault_with_its_place(text: str) -> None:
    with pytest.raises(YamlFault, match="nested too deeply: at most 100") as caught:
        parse(text)
    assert caught.value.line is not None


@pytest.mark.fault(
    "aliases of YAML that repeat each other (billion laughs), merge keys too",
    "a sentence with line and column, before anything is made",
    kind="bounds",
)
@pytest.mark.parametrize("text", [LAUGHS, MERGES, LAUGHS + "labels: [{name: a, description: *a11}]"])
def test_aliases_that_repeat_too_much_are_a_fault(text: str) -> None:
    with pytest.raises(YamlFault, match="aliases repeat more than 100,000") as caught:
        parse(text)
    assert caught.value.line is not None


@pytest.mark.parametrize("text", CIRCLES)
def test_alias_within_its_own_anchor_is_a_fault(text: str) -> None:
    with pytest.raises(YamlFault, match="an alias stands inside its own anchor"):
        parse(text)


def test_aliases_that_repeat_a_little_are_read() -> None:
    assert parse("a: &a [1, 2]\nb: [*a, *a]\nc: {<<: &m {x: 1}, y: 2}") == {
        "a": [1, 2],
        "b": [[1, 2], [1, 2]],
        "c": {"x": 1, "y": 2},
    }


def test_file_of_data_is_not_read_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text("labels: [" + "a," * (MAX_CHARS // 2) + "]")
    with pytest.raises(UserError, match=r"2,000,010 characters are too many"):
        load_labels(tmp_path / "labels.yaml")


@pytest.mark.parametrize(
    "number", ["9" * 5_000, "0x" + "f" * 5_000, "1:" * 5_000 + "1", "!!int " + "9" * 5_000]
)
def test_huge_number_is_told_in_a_short_sentence(tmp_path: Path, number: str) -> None:
    (tmp_path / "f.yaml").write_text(f"labels:\n- {number}\n")
    for load in (load_labels, load_recipe):
        with pytest.raises(DatakitError) as caught:
            load(tmp_path / "f.yaml")
        assert "f.yaml:2" in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *((word, "true or false") for word in ("no", "Yes", "ON", "off")),
        *(
            (word, "a number")
            for word in ("012", "1_000", "0x1F", "12:30", ".inf", ".nan", "1.0e+400", "1.50")
        ),
        ("2024-01-01T00:00:00Z", "a date"),
        ("!!binary aGVsbG8=", "bytes"),
    ],
)
@pytest.mark.parametrize(
    "place", ["- {}", "- {{name: {}}}", "- {{name: a, aliases: [{}]}}", "- {{name: a, description: {}}}"]
)
def test_word_that_yaml_takes_for_another_is_told_with_the_remedy(
    tmp_path: Path, word: str, kind: str, place: str
) -> None:
    (tmp_path / "labels.yaml").write_text("labels:\n" + place.format(word) + "\n")
    with pytest.raises(UserError) as caught:
        load_labels(tmp_path / "labels.yaml")
    assert caught.value.where == f"{tmp_path / 'labels.yaml'}:2"
    assert re.search(
        rf"`{re.escape(word.removeprefix('!!binary '))}` is {kind} to YAML", caught.value.message
    )
    assert caught.value.remedy == "Put each in quotes: labels are texts."


def test_description_that_is_a_plain_number_stays_its_text(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text(
        "labels:\n- {name: a, description: 5}\n- {name: b, description: 2024-01-01}\n"
    )
    assert [label.description for label in load_labels(tmp_path / "labels.yaml").labels] == [
        "5",
        "2024-01-01",
    ]


@pytest.mark.parametrize("value", ["[a]", "{a: b}", "!!set {a, b}"])
def test_description_must_be_a_text(tmp_path: Path, value: str) -> None:
    (tmp_path / "labels.yaml").write_text(f"labels:\n- {{name: a, description: {value}}}\n")
    with pytest.raises(UserError, match="label a: `description` must be a text"):
        load_labels(tmp_path / "labels.yaml")


@pytest.mark.fault(
    "a setting is NaN or infinite",
    "refused at its line",
    kind="bounds",
)
@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf", "1.0e+400"])
@pytest.mark.parametrize(
    "setting",
    [
        "run: {{max_reject_rate: {}}}",
        "run: {{budget_usd: {}}}",
        "llm: {{price_in: {}}}",
        "llm: {{extra_body: {{top_k: {}}}}}",
        "train: {{learning_rate: {}}}",
        "serve: {{gpu_memory_gb: {}}}",
    ],
)
def test_setting_that_is_no_finite_number_is_refused_at_its_line(
    tmp_path: Path, setting: str, number: str
) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE + setting.format(number) + "\n")
    with pytest.raises(DatakitError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert "r.yaml:7:" in str(caught.value)
    assert "no number to work with" in str(caught.value) or "should be a finite number" in str(caught.value)
    assert str(caught.value).count("r.yaml:7:") == 1


def test_override_that_is_no_finite_number_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    with pytest.raises(DatakitError, match="finite number"):
        load_recipe(tmp_path / "r.yaml", overrides=["run.max_reject_rate=.nan"])
