"""Label sets: what reaches prompts, and the JSON of places that have no YAML."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core import plain_yaml
from datakit.core.errors import UserError
from datakit.core.labels import Label, LabelSet, load_labels, normal_form, shown, visible_form
from datakit.core.templates import TrustedText

ROOT = Path(__file__).resolve().parents[2]
ECOM = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_label_block_has_the_bytes_that_builds_were_made_with(descriptions: dict[str, str]) -> None:
    labels = LabelSet(tuple(Label(name, text) for name, text in descriptions.items()))
    assert labels.json_block.encode() == orjson.dumps(descriptions, option=orjson.OPT_INDENT_2)


def test_templates_get_the_blocks_unescaped_and_the_labels() -> None:
    assert set(ECOM.variables) == {"label_json", "label_names", "labels"}
    assert isinstance(ECOM.variables["label_json"], TrustedText)
    assert ECOM.variables["label_names"].splitlines() == list(ECOM.names)


def test_json_gives_the_same_set_back() -> None:
    back = LabelSet.from_json(ECOM.to_json())
    assert (back.labels, back.digest) == (ECOM.labels, ECOM.digest)
    assert back.variables == ECOM.variables


@pytest.mark.parametrize("text", ["", "[]", '{"labels": 3, "digest": ""}', '{"labels": []}', b"\xff"])
def test_json_of_something_else_is_refused(text: str | bytes) -> None:
    with pytest.raises(UserError, match="no label set"):
        LabelSet.from_json(text)


def test_every_fault_of_a_label_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("labels:\n- {name: a, alias: [x]}\n- {name: a}\n- {name: b, confusable_with: [c]}\n- 3\n")
    with pytest.raises(UserError) as caught:
        load_labels(path)
    text = str(caught.value)
    assert text.startswith(str(path))
    for part in ("Did you mean `aliases`", "a stands twice", "names `c`", "label 4 has no `name`"):
        assert part in text


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("keywords: 全选", "`keywords` must be a list of texts"),
        ("keywords: [全选, 12306]", "`keywords` must be a list of texts"),
        ('keywords: [全选, " "]', "a keyword is blank"),
        ("keywords: [全选, 结算（, 结算(]", r"keyword `结算\(` stands twice"),
        ("short: [全选]", "`short` must be a text"),
        ("short: " + "长" * 21, "`short` has 21 characters; at most 20 Chinese ones"),
        (
            "short: Lists the refund amount, the account it goes to and when it arrives there",
            "such as `Lists the refund amount, the account it goes to and when it`",
        ),
        ("keyword: [全选]", "Did you mean `keywords`"),
    ],
)
def test_a_fault_in_keywords_or_short_form_names_its_label(field: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(f"labels:\n- name: 购物车\n  {field}\n- 订单\n", "utf-8")
    with pytest.raises(UserError, match=f"label 购物车: .*{fault}"):
        load_labels(path)


def test_keywords_and_short_form_reach_templates_and_json(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("labels: [{name: 购物车, keywords: [全选, 结算], short: 勾选后结算}, 订单]\n", "utf-8")
    labels = load_labels(path)
    assert labels.labels[0] == Label("购物车", keywords=("全选", "结算"), short="勾选后结算")
    assert LabelSet.from_json(labels.to_json()).labels == labels.labels


def test_a_set_without_keywords_keeps_the_bytes_that_builds_were_made_with() -> None:
    """Prompts that print a whole label are in the keys of paid answers; packed sets by hash."""
    labels = LabelSet((Label("购物车", "列出商品", ("购物车截图",), ("订单",)), Label("订单")), "d1")
    assert repr(labels.labels[1]) == "Label(name='订单', description='', aliases=(), confusable_with=())"
    rows = [
        {"name": "购物车", "description": "列出商品", "aliases": ["购物车截图"], "confusable_with": ["订单"]},
        {"name": "订单", "description": "", "aliases": [], "confusable_with": []},
    ]
    document = {"version": 1, "digest": "d1", "labels": rows}
    assert labels.to_json() == json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


@pytest.mark.parametrize("keywords", [(), ("全选",)])
def test_keywords_leave_the_blocks_and_the_repr_of_a_label_as_they_are(keywords: tuple[str, ...]) -> None:
    labels = LabelSet((Label("购物车", "列出商品", keywords=keywords, short="购物"),))
    assert labels.json_block == '{\n  "购物车": "列出商品"\n}'
    assert labels.name_block == "购物车"
    assert "全选" not in repr(labels.labels)


@pytest.mark.fault(
    "a label file holds a blank name",
    "refused with its place",
    kind="bounds",
)
@pytest.mark.parametrize("blank", ['""', '" "', "{name: ''}", "3", "null"])
def test_a_label_without_a_name_is_refused_in_every_form(blank: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(f"labels: [a, {blank}]\n", "utf-8")
    with pytest.raises(UserError, match="label 2 has no `name`"):
        load_labels(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize(
    "text", ["labels: [购物车页面, 订单, 退货页面]\n", '{"labels": ["购物车页面", "订单", "退货页面"]}\n']
)
def test_a_label_file_is_read_in_the_encoding_that_it_is_in(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_bytes(text.encode(encoding))
    assert load_labels(tmp_path / "labels.yaml").names == ("购物车页面", "订单", "退货页面")


def test_a_label_file_whose_encoding_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_bytes("labels: [狗]".encode("gb18030"))
    with pytest.raises(UserError, match=r"labels.yaml is not UTF-8 .*\n  Save the label file as UTF-8."):
        load_labels(tmp_path / "labels.yaml")


@pytest.mark.parametrize("twin", ["\u200b", "\ufeff", "\u00ad", "\ufe0f", "\u00a0", "\u202c", "\u3000"])
def test_names_that_look_the_same_are_an_error_that_shows_both(twin: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(json.dumps({"labels": ["购物车", f"购物车{twin}", "订单"]}), "utf-8")
    with pytest.raises(UserError) as caught:
        load_labels(path)
    assert f"names both 购物车 and 购物车\\u{ord(twin):04x}" in str(caught.value)


@pytest.mark.parametrize(
    "written", ["购物车\u200b", "\ufeff购物车", "购\u00ad物车", "\u3000购物车", "购物车\ufe0f"]
)
def test_the_label_files_spelling_wins_over_invisible_signs(written: str) -> None:
    assert LabelSet((Label("购物车"), Label("订单"))).find(written) == Label("购物车")
    assert LabelSet((Label("购物车\u200b"),)).find("购物车") == Label("购物车\u200b")


@given(st.text())
def test_a_text_as_shown_holds_nothing_that_cannot_be_seen(text: str) -> None:
    assert visible_form(visible_form(text)) == visible_form(text)
    assert normal_form(visible_form(text)) == normal_form(text)
    assert shown(text) == shown(text).strip("\ufeff\u200b\u00a0\t\n")


@pytest.mark.parametrize("rows", [".inf", "2.5", "7", "true", "a text", "{a: b}", "[]", "null", ""])
def test_labels_that_are_no_list_are_refused(rows: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(f"labels: {rows}\n", encoding="utf-8")
    with pytest.raises(UserError, match="holds no list `labels:`"):
        load_labels(path)


def test_files_of_the_same_bytes_are_taken_apart_once_and_an_edited_one_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, copy = tmp_path / "labels.yaml", tmp_path / "kept.yaml"
    for path in (first, copy):
        path.write_text("labels: [only_here, and_there]\n")
    looks, look = list[str](), plain_yaml.compose
    monkeypatch.setattr(plain_yaml, "compose", lambda text: looks.append(text) or look(text))
    sets = [load_labels(path) for path in (first, copy, first)]
    assert [len(looks), *(labels.path for labels in sets)] == [1, str(first), str(copy), str(first)]
    assert sets[0].labels == sets[1].labels
    copy.write_text("labels: [only_here, and_elsewhere]\n")
    assert load_labels(copy).names == ("only_here", "and_elsewhere")
    assert load_labels(first).names == ("only_here", "and_there")


def test_each_of_two_files_with_the_same_fault_is_named(tmp_path: Path) -> None:
    for name in ("one.yaml", "other.yaml", "one.yaml"):
        (tmp_path / name).write_text("labels:\n  - a\n  - no\n")
        with pytest.raises(UserError) as told:
            load_labels(tmp_path / name)
        assert told.value.where == f"{tmp_path / name}:3"
