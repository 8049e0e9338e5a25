"""Proposals are written into a label file of which every other byte stays as it is."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.core.labels import load_labels
from datakit.evaluation.label_proposals.label_file import difference_of, edited, write
from datakit.evaluation.label_proposals.proposing import LabelProposal

ADDED = "；与「乙类」不同，本类画面常见“钱款去向”字样"
SENTENCE = LabelProposal("甲类", ("乙类",), ADDED, ())
NEIGHBOUR = LabelProposal("甲类", ("乙类",), "", ("乙类",))
BOTH = LabelProposal("甲类", ("乙类",), ADDED, ("乙类",))
END = """
  - name: 乙类  # the other one
    description:   "写着 '退货'"
    aliases: [ 乙 ,"B" ]
# the end
"""


def after(path: Path, text: str, *accepted: LabelProposal) -> str:
    path.write_text(text, "utf-8", newline="")
    data = edited(path.read_bytes(), path, load_labels(path), accepted)
    new = data.decode()
    path.write_bytes(data)
    label = load_labels(path).find("甲类")
    assert label is not None
    assert label.description.rstrip().endswith(ADDED) or SENTENCE not in accepted
    return new


@pytest.mark.parametrize(
    ("description", "taken", "wanted"),
    [
        ("有退款。", ("一", "二"), "有退款。与「一」不同；与「二」不同"),
        ("有退款。", ("二",), "有退款。与「二」不同"),
        ("有退款", ("二",), "有退款；与「二」不同"),
        ("a refund.", ("x",), "a refund. 与「x」不同"),
    ],
)
def test_sentences_are_parted_by_what_stands_before_them_whichever_are_taken(
    tmp_path: Path, description: str, taken: tuple[str, ...], wanted: str
) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(f"labels:\n  - name: 甲\n    description: {description}\n", "utf-8")
    owns = [LabelProposal("甲", (rival,), f"与「{rival}」不同", ()) for rival in taken]
    path.write_bytes(edited(path.read_bytes(), path, load_labels(path), owns))
    assert load_labels(path).labels[0].description == wanted


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("description: 有退款  # why", f"description: 有退款{ADDED}  # why"),
        ("description: '有''退款'  # why", f"description: '有''退款{ADDED}'  # why"),
        ('description: "有\\"退款"  # why', f'description: "有\\"退款{ADDED}"  # why'),
        ("description: |\n      有退款\n      两行", f"description: |\n      有退款\n      两行{ADDED}"),
        ("description: >-\n      有退款\n      两行", f"description: >-\n      有退款\n      两行{ADDED}"),
        ("description: 有退款\n      两行", f"description: 有退款\n      两行{ADDED}"),
    ],
)
def test_a_description_grows_in_the_style_that_it_has(tmp_path: Path, before: str, wanted: str) -> None:
    start = "# head\nlabels:\n  - name: 甲类   # first\n    "
    new = after(tmp_path / "labels.yaml", f"{start}{before}{END}", SENTENCE)
    assert new == f"{start}{wanted}{END}"


def test_signs_that_end_a_plain_text_are_put_in_quotes(tmp_path: Path) -> None:
    own = LabelProposal("a", ("b",), "unlike b: these show # and 'x'", ())
    path = tmp_path / "labels.yaml"
    path.write_text("labels:\n  - name: a\n    description: refund\n  - {name: b, description: other}\n")
    path.write_bytes(edited(path.read_bytes(), path, load_labels(path), [own]))
    label = load_labels(path).find("a")
    assert label is not None
    assert label.description == "refund; unlike b: these show # and 'x'"


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("confusable_with: [丙类]  # near", "confusable_with: [丙类, 乙类]  # near"),
        ("confusable_with:\n      - 丙类  # near", "confusable_with:\n      - 丙类  # near\n      - 乙类"),
        ("confusable_with: []", "confusable_with: [乙类]"),
        ("short: 甲", "short: 甲"),
    ],
)
def test_a_list_of_neighbours_grows_in_its_style(tmp_path: Path, before: str, wanted: str) -> None:
    start = "labels:\n  - name: 甲类  # first"
    end = f"\n  - name: 丙类{END}"
    new = after(tmp_path / "labels.yaml", f"{start}\n    {before}{end}", NEIGHBOUR)
    own = "" if "confusable" in before else "\n    confusable_with: [乙类]"
    assert new == f"{start}{own}\n    {wanted}{end}"


@pytest.mark.parametrize(
    "row", ["甲类", "{name: 甲类}", "{name: 甲类, description: }", "name: 甲类\n    description:"]
)
def test_a_label_without_a_description_gets_one(tmp_path: Path, row: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(f"labels:\n  - {row}{END}", "utf-8")
    own = LabelProposal("甲类", ("乙类",), "常见“钱款去向”字样", ("乙类",))
    data = edited(path.read_bytes(), path, load_labels(path), [own])
    assert data.decode().endswith(END)
    path.write_bytes(data)
    label = load_labels(path).find("甲类")
    assert label is not None
    assert (label.description, label.confusable_with) == ("常见“钱款去向”字样", ("乙类",))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("gb18030", b""),
    ],
)
def test_encoding_mark_and_line_ends_stay(tmp_path: Path, newline: str, encoding: str, mark: bytes) -> None:
    text = (Path(__file__).parents[3] / "templates" / "ecom" / "labels.yaml").read_text("utf-8")
    own = LabelProposal("购物车页面", ("退款页面",), "；与「退款页面」不同", ("退款页面",))
    path = tmp_path / "labels.yaml"
    path.write_bytes(mark + text.replace("\n", newline).encode(encoding))
    data = edited(path.read_bytes(), path, load_labels(path), [own])
    assert data.startswith(mark)
    lines, new = (
        part.split(newline) for part in (text.replace("\n", newline), data[len(mark) :].decode(encoding))
    )
    changed = [at for at, (old, now) in enumerate(zip(lines, new, strict=True)) if old != now]
    assert [lines[at].split(":")[0].strip() for at in changed] == ["description", "confusable_with"]
    assert all("\r" not in line for line in new)


def test_a_sign_that_the_encoding_lacks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    text = "labels:\n" + "".join(
        f"  - name: 類別{at}\n    description: 訂單頁面顯示購物車與結算的內容說明\n" for at in range(20)
    )
    path.write_bytes(text.encode("cp950"))
    own = LabelProposal("類別1", ("類別2",), "；常见“钱款去向”", ())
    with pytest.raises(UserError, match="has no signs for"):
        edited(path.read_bytes(), path, load_labels(path), [own])


@pytest.mark.fault(
    "a label file is written so that an edit of one label would change another",
    "proposals are refused, and the file stays",
    kind="bounds",
)
def test_a_text_that_two_labels_share_by_an_alias_is_not_changed_for_both(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(
        "labels:\n  - name: 甲类\n    description: &d 有退款\n  - name: 乙类\n    description: *d\n", "utf-8"
    )
    with pytest.raises(UserError, match="cannot edit without changing something else"):
        edited(path.read_bytes(), path, load_labels(path), [SENTENCE])


def test_the_diff_names_the_lines_that_change(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(f"labels:\n  - name: 甲类\n    description: 有退款{END}", "utf-8")
    before = path.read_bytes()
    diff = difference_of(before, edited(before, path, load_labels(path), [SENTENCE]), path, "labels.yaml")
    assert [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        "-    description: 有退款",
        f"+    description: 有退款{ADDED}",
    ]


def test_a_file_that_was_edited_meanwhile_is_left(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text("labels: [a, b]\n")
    before = path.read_bytes()
    path.write_text("labels: [a, b, c]\n")
    with pytest.raises(UserError, match="edited meanwhile"):
        write(path, before, b"labels: [a]\n")
    assert path.read_text() == "labels: [a, b, c]\n"
    assert os.listdir(tmp_path) == ["labels.yaml"]


def test_a_link_stays_one_and_the_mode_too(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "labels.yaml"
    real.write_text("labels: [a, b]\n")
    real.chmod(0o640)
    link.symlink_to(real)
    write(link, real.read_bytes(), b"labels: [a, b, c]\n")
    assert link.is_symlink()
    assert real.read_text() == "labels: [a, b, c]\n"
    assert real.stat().st_mode & 0o777 == 0o640
