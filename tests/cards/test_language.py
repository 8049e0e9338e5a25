"""The card is in the language of its data; its catalogue lacks no word and holds none that nothing says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any, cast

import pytest

from datakit.artifacts.metric_names import METRICS
from datakit.cards.write import write_card
from datakit.core import wording
from datakit.core.blocks import Bullets
from datakit.core.errors import did_you_mean
from datakit.core.wording import CATALOGUE, speaking, t, told
from datakit.curate._pseudo_account import Account, section
from datakit.curate.overrides import _why_not
from datakit.evaluation.pooled import HELPS, HURTS, NOISE
from datakit.pages.writing import mark_outdated
from datakit.read._beside_chats import UnfilledPlaces
from datakit.read._box_doubts import BoxDoubts, Numbers
from datakit.read._boxes import BoxReading
from datakit.run.emission import _UNSAID
from tests.support.card_builds import ROOT, Draft, ecom

PACKAGE = ROOT / "datakit"
TEXTS: dict[str, str] = json.loads(CATALOGUE.read_text("utf-8"))["texts"]
NOTES: dict[str, str] = json.loads(CATALOGUE.read_text("utf-8"))["notes"]
NOTED: dict[str, str] = json.loads(CATALOGUE.read_text("utf-8"))["noted"]
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
NAMES = [*(metric.title for metric in METRICS.values()), HELPS, HURTS, NOISE]
"""Words that other tables of the package hold, and the card translates."""
SAME = {"ANLS", "tokens", " of {task}", "{title} of {task}"}
"""Texts whose Chinese has no Chinese sign."""
NOTING = [
    *sorted((PACKAGE / "verdict").glob("*.py")),
    *(PACKAGE / name for name in ("cards/changes.py", "cards/diff_sections.py", "core/shrink.py")),
    *(
        PACKAGE / name
        for name in ("cards/parts.py", "core/personal.py", "core/picture_faults.py", "run/build.py")
    ),
    *(
        PACKAGE / name
        for name in ("evaluation/summary.py", "evaluation/cited_lines.py", "artifacts/kfold.py")
    ),
    PACKAGE / "artifacts/changed_files.py",
]
"""Modules whose sentences are noted down in English and translated by their form."""
WARNING = [
    PACKAGE / name
    for name in (
        *("guard/label.py", "guard/_findings.py", "guard/_reason_rewriter.py", "curate/split.py"),
        *("curate/label_noise.py", "curate/_pseudo_account.py", "curate/pseudo_labels.py"),
        *("read/_label_column.py", "read/_text_columns.py", "read/_rows_of_pairs.py"),
        *("read/coco.py", "read/label_studio.py", "read/_boxes.py", "read/_box_doubts.py"),
        *("read/_beside_chats.py", "run/emission.py", "core/errors.py", "curate/_moved.py"),
        *("render/grounding.py", "render/_questions.py", "mix/general.py", "checking/proposal.py"),
    )
]
"""Modules of which a card shows the usual warnings, details and advice."""
SPLIT = {
    ", {} of them rejected",
    ", which too few known labels set right: trust it little",
    "; {} of these are wrong by estimate, about {}",
}
"""Parts of sentences; the whole ones are known."""


def said() -> set[str]:
    """Every English text that `t` or `later` is given in the code and the templates of pages."""
    found: set[str] = set(NAMES)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("t", "later") and node.args:
                found |= set(_constants(node.args[0]))
    for path in (PACKAGE / "pages").glob("*.j2"):
        found |= set(re.findall(r'\bt\("([^"]*)"', path.read_text("utf-8")))
    return found


def _constants(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_constants(node.body), *_constants(node.orelse))


def places(text: str) -> list[str]:
    return sorted((name or "") + ":" + (spec or "") for _, name, spec, _ in Formatter().parse(text) if name)


def test_every_text_of_the_card_has_a_chinese_one_and_none_is_left_over() -> None:
    texts = said()
    assert len(texts) > 400
    assert texts - TEXTS.keys() == set()
    assert TEXTS.keys() - texts == set()


@pytest.mark.parametrize("catalogue", [TEXTS, NOTES, NOTED], ids=["texts", "notes", "noted"])
def test_a_chinese_text_has_the_places_of_the_english_one_and_is_chinese(catalogue: dict[str, str]) -> None:
    for english, chinese in catalogue.items():
        assert places(english) == places(chinese), english
        if re.search("[A-Za-z]", re.sub(r"\{.*?\}", "", english)) and english not in SAME:
            assert HAN.search(chinese), english


class Recorder(dict[str, str]):
    """The texts of the catalogue, which notes down those that are asked for and not there."""

    def __init__(self) -> None:
        super().__init__(TEXTS)
        self.missing: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self and re.search("[A-Za-z]", re.sub(r"\{.*?\}", "", key)):
            self.missing.add(key)
        return super().get(key, default)


def test_no_card_asks_for_a_text_that_the_catalogue_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = Recorder()
    monkeypatch.setattr(wording, "_catalogue", lambda: {"texts": texts, "noted": NOTED, "notes": NOTES})
    chinese(tmp_path)
    assert texts.missing == set(), texts.missing


def sentences(path: Path) -> Iterator[tuple[str, str]]:
    """Each sentence of a module of the verdict as it is written, and with samples in its places."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Seen":
            for value in (node.args[0], node.args[2]):
                yield from _sentence(value)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.NamedExpr):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if getattr(target, "id", "") in ("words", "statement", "_STATEMENT"):
                yield from _sentence(node.value)


def _sentence(node: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.IfExp):
        yield from (*_sentence(node.body), *_sentence(node.orelse))
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _sentence(value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, node.value
    elif isinstance(node, ast.JoinedStr):
        form = sample = ""
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                form, sample = form + str(piece.value), sample + str(piece.value)
            else:
                form, sample = form + "{}", sample + _sample(cast(ast.FormattedValue, piece))
        yield form, sample


def _sample(piece: ast.FormattedValue) -> str:
    value = ast.unparse(piece.value)
    if value.startswith("records("):
        return "3 records"
    if isinstance(piece.value, ast.IfExp) and isinstance(piece.value.body, ast.Constant):
        return str(piece.value.body.value)
    if value.startswith("_estimate("):
        return ""
    if value.startswith("_listed(holding"):
        return "name in 3 records"
    if "FEW" in value or piece.format_spec is not None:
        return "60%" if "SAME_TEXT" in value else "1,234"
    return {
        "several": "2 groups",
        "which": "all classes",
        "was": "were",
        "what": "a picture (by content)",
    }.get(value, "these")


@pytest.mark.parametrize("path", sorted((PACKAGE / "verdict").glob("*.py")), ids=lambda path: path.stem)
def test_every_sentence_of_the_verdict_is_translated_by_its_form(path: Path) -> None:
    with speaking("zh"):
        left = [form for form, sample in sentences(path) if not HAN.search(told(sample.lstrip("; ")))]
    assert set(left) <= SPLIT


def test_what_is_assumed_and_told_of_boxes_is_translated_whole() -> None:
    boxes, doubts, chats = BoxReading(None), BoxDoubts(), UnfilledPlaces()
    boxes.clipped, boxes.tiny, boxes._first, boxes._first_tiny = 2, 3, "a.json:1", "a.json:2"
    doubts.read_as_pixels("a.json:1", Numbers([(0, 0, 9, 9)], [(1000, 1000)]))
    doubts.taken_for_upright("a.json:1", (0, 0, 9, 9))
    turns = [{"role": "user", "content": "<bbox>"}, {"role": "assistant", "content": "<video>"}]
    chats.look_into({}, {}, [turns, turns[:1]], [1, 2], ())
    found = [*(str(finding["what"]) for finding in doubts.findings()), *_UNSAID.values()]
    told_of = [f"3 records {what}, such as a:1" for what in found]
    with speaking("zh"):
        said = [told(words, parts=False) for words in (*told_of, *boxes.warnings(), *chats.warnings())]
    quiet = re.compile(r"`[^`]*`|<\w+>|a(\.json)?:\d|EXIF|render\.chat|ms-swift|objects")
    assert len(said) == 8
    assert [words for words in said if re.search("[A-Za-z]", quiet.sub("", words))] == []


@pytest.mark.parametrize(
    "hint",
    [
        did_you_mean("退货页", ["退货页面"]),
        f"`退货页` is not among the 25 labels. {did_you_mean('退货页', ['退货页面'])}",
        "`退货页` is not among the 25 labels.",
        "The same stands as `r1`: write that id into the decision.",
        "The same stands as `r1`, labelled 退货页面: review it there.",
    ],
)
def test_a_hint_beside_a_record_is_translated(hint: str) -> None:
    with speaking("zh"):
        assert not re.search("[A-Za-z]{3}", told(hint, parts=False))
        assert _why_not({"why": "no_record", "hint": hint}).endswith(told(hint))


def test_no_form_of_a_noted_sentence_is_left_over() -> None:
    source = "".join(path.read_text("utf-8") for path in (*NOTING, *WARNING))
    words = set(re.findall(r"[\w-]+", source))
    fixed = {form: re.sub(r"\{\w+\}", " ", form) for form in NOTED}
    gone = [form for form, text in fixed.items() if not set(re.findall(r"[\w-]+", text)) <= words]
    assert gone == []


def chinese(tmp_path: Path) -> list[Path]:
    draft = ecom(tmp_path)
    draft.language = "auto"
    return write_card(draft.write(), tmp_path / "data_cards")


class Words(HTMLParser):
    """What a page says outside of code, pictures and what is trained on."""

    QUIET = ("code", "pre", "svg", "script", "style", "title")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said: list[str] = []
        self.ids: list[str] = []
        self.goals: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values and tag == "section" else []
        if (goal := values.get("href") or "").startswith("#"):
            self.goals.append(goal[1:])
        self.said += [values[name] or "" for name in ("alt", "aria-label", "data-head") if name in values]
        if tag in self.QUIET:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open and data.strip():
            self.said.append(" ".join(data.split()))


ENGLISH = {
    "No model wrote the texts: the built-in offline writer composed descriptions and reasons.",  # a free note
    "cannot use {number}.jpg: see the reason",  # the detail of a reject, as rejects.jsonl has it
    *("user", "assistant"),  # roles of a chat
    *("offline writer", "reason", "reason_similarity", "engine rapidocr"),  # values and columns
    *("datakit", "ecom_v3"),  # names
}
"""All that may stay English on a Chinese card, besides ids, files, commands and what is trained on."""


def test_a_chinese_card_says_nothing_in_english_but_names_commands_and_free_notes(tmp_path: Path) -> None:
    words = Words(chinese(tmp_path)[1].read_text("utf-8"))
    english = {text for text in words.said if re.search("[A-Za-z]{3}", text) and not HAN.search(text)}
    english = {re.sub(r"\d+\.jpg", "{number}.jpg", text) for text in english}
    assert {text for text in english if not re.fullmatch(r"[\w.-]+\.jsonl:\d+", text)} == ENGLISH


def test_the_links_of_a_chinese_card_lead_to_its_sections(tmp_path: Path) -> None:
    words = Words(chinese(tmp_path)[1].read_text("utf-8"))
    assert "结论" in words.ids
    assert words.goals == words.ids


def test_both_files_are_in_the_language(tmp_path: Path) -> None:
    markdown, page = (path.read_text("utf-8") for path in chinese(tmp_path)[:2])
    assert "## 结论" in markdown
    assert "## Verdict" not in markdown
    assert '<html lang="zh-CN">' in page
    assert "<h2>结论</h2>" in page
    assert "llamafactory-cli train train.yaml" in page


def card_of(tmp_path: Path, labels: list[str | None], language: str = "auto", prompt: str = "Which?") -> str:
    """The Markdown of a card of records with these labels."""
    full = ecom(tmp_path)
    records = [
        row
        | {
            "label": label,
            "messages": [
                {"role": "user", "content": f"<image>{prompt}"},
                {"role": "assistant", "content": label or "yes"},
            ],
        }
        for row, label in zip(full.records, labels, strict=False)
    ]
    draft = Draft(tmp_path, records=records, steps=full.steps, language=language)
    return write_card(draft.write(), tmp_path / "data_cards")[0].read_text("utf-8")


@pytest.mark.parametrize(
    ("labels", "heading"),
    [
        (["退款", "换货", "other"], "## 结论"),
        (["退款", "refund", "other"], "## Verdict"),
        (["refund", "chat", "other"], "## Verdict"),
    ],
    ids=["mostly Chinese", "mostly English", "English"],
)
def test_the_labels_of_most_records_decide(tmp_path: Path, labels: list[str | None], heading: str) -> None:
    assert heading in card_of(tmp_path, labels, prompt="这是哪一类？")


@pytest.mark.parametrize(
    ("prompt", "heading"),
    [("图片里写着什么？请照抄。", "## 结论"), ("What does the picture say?", "## Verdict")],
)
def test_without_labels_the_prompts_decide(tmp_path: Path, prompt: str, heading: str) -> None:
    assert heading in card_of(tmp_path, [None, None], prompt=prompt)


@pytest.mark.parametrize(("language", "heading"), [("en", "## Verdict"), ("zh", "## 结论")])
def test_the_recipe_may_say_the_language(tmp_path: Path, language: str, heading: str) -> None:
    assert heading in card_of(tmp_path, ["退款" if language == "en" else "refund"], language)


def test_a_label_that_is_a_word_of_the_card_stays_as_it_is(tmp_path: Path) -> None:
    page = card_of(tmp_path, ["records", "none", "Verdict"], "zh")
    assert re.search(r"^\| records \| 1 \|", page, re.M)
    assert re.search(r"^\| none \| 1 \|", page, re.M)


def test_a_page_in_chinese_says_in_chinese_that_it_is_outdated(tmp_path: Path) -> None:
    for page in chinese(tmp_path)[:2]:
        mark_outdated(page)
        assert "不是当前构建的数据卡" in page.read_text("utf-8")


def test_nothing_is_chinese_outside_of_a_card(tmp_path: Path) -> None:
    chinese(tmp_path)
    with pytest.raises(ZeroDivisionError), speaking("zh"):
        _ = 1 / 0
    assert t("Verdict") == "Verdict"
    assert told("No record was dropped") == "No record was dropped"


@pytest.mark.parametrize(
    ("noted", "chinese"),
    [
        ("12 records dropped: blurry 3, too_small 9", "剔除 12 条记录：blurry 3, too_small 9"),
        ("nobody doubts one of 1,234 records; 5 of what is unknown", "1,234 条记录中没有标签存疑；5 of what"),
        ("a sentence that nobody knows", "a sentence that nobody knows"),
        ("", ""),
        (
            "17 of 160 are not: x; 20 of the 160 are repeats",
            "160 条中有 17 条不完整：x；160 条中有 20 条是重复抽取的",
        ),
        ("1 of 25 labels have one record only: 退款", "25 个标签中有 1 个只有一条记录：退款"),
        ("1 of 25 labels have no record: 退款", "25 个标签中有 1 个没有记录：退款"),
        (
            "class 退款 is not in validation: its 3 records (one group) stayed in training",
            "类别 退款 不在验证集中：3 条记录同属一组，都留在训练集",
        ),
        (
            "cutoff_len: 2176 fits every row; 8192 does no harm, and packing would fill it.",
            "cutoff_len：2176 放得下所有行；8192 没有坏处",
        ),
        (
            "image_max_pixels: 1605632 shows more of the pictures for 1.25 times the tokens, and needs "
            "cutoff_len 3168; serve with the same limit.",
            "image_max_pixels：1605632 能看清更多细节，token 数为 1.25 倍，cutoff_len 需要 3168；服务时",
        ),
        (
            "300 general records would be 15% of the training rows, but the source has 24 usable ones: "
            "the share is 2.1%",
            "通用数据要占训练行的 15% 需要 300 条，来源可用的只有 24 条：实际占 2.1%",
        ),
        (
            "screens: all classes have fewer: 甲、乙 and 20 more",
            "screens：所有类别都不足：甲、乙等，另有 20 个",
        ),
        ("3 of 7 do not: {0}, {name}", "7 个中有 3 个不满足：{0}, {name}"),
        ("refunds: 3 of 7 do not: 退款", "refunds：7 个中有 3 个不满足：退款"),
        (
            "120.5% of these are wrong by estimate, about 1. Transductive: scores on these pictures are no "
            "test",
            "估计其中 120.5% 有误",
        ),
    ],
)
def test_what_is_not_known_of_a_noted_sentence_stays(noted: str, chinese: str) -> None:
    with speaking("zh"):
        assert told(noted).startswith(chinese)


def test_who_predicted_is_said_in_chinese() -> None:
    account = Account(2, 1, 0.5, None, 0, 0.9, 0, {}, {}, ["proxy (1,160 records, 9dfe54bde4d2)"])
    with speaking("zh"):
        [facts] = [block for block in section(account).blocks if isinstance(block, Bullets)]
    assert "预测来自：proxy（1,160 条记录，9dfe54bde4d2）。" in facts.items
