"""The audit of labels finds, in a build made for it, just the faults that were planted in its label file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import write
from datakit.core.errors import UserError
from datakit.evaluation.evaluation import Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.label_audit.audit import audit, has_findings
from datakit.evaluation.label_audit.findings import LabelAudit
from datakit.evaluation.page import write_evaluation
from datakit.library import build
from tests.support.evaluated_builds import answers, truths

CART = {
    "name": "购物车页面",
    "description": "底栏写着全选、合计和结算；没有订单编号。",
    "short": "全选和结算",
}
REFUND = {
    "name": "退款页面",
    "description": "有退款金额、退款编号和钱款去向，钱退回原账户。",
    "short": "退钱",
}
CHAT = {"name": "聊天页面", "description": "左右两侧气泡，底部写着请输入消息。", "short": "气泡"}
WORDS = {"购物车页面": ["全选", "结算"], "退款页面": ["钱款去向"], "聊天页面": ["请输入消息"]}
TEXTS = {
    "购物车页面": "购物车({n})\n全选\n合计：¥{n}\n结算({n})\n店铺优惠",
    "退款页面": "退款详情\n退款金额 ¥{n}\n钱款去向\n退款编号 88{n}\n商家同意",
    "聊天页面": "客服小{n}\n您好\n请输入消息\n发送\n已读",
}
RECIPE = """\
name: shop
labels: ../labels.yaml
steps:
  - read.jsonl: {path: ../rows.jsonl, label: label}
  - curate.split: {val: 0.4, stratify: label}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
"""


def labels(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The three labels, whole and right, with a label's fields changed by name."""
    rows = [{**label, "keywords": WORDS[label["name"]]} for label in (CART, REFUND, CHAT)]
    for change in changes:
        row = next((row for row in rows if row["name"] == change["name"]), None)
        if row is None:
            rows.append(change)
        else:
            row.update(change)
    return rows


def made(project: Path, rows: list[dict[str, Any]], texts: dict[str, list[str]] | None = None) -> BuildFolder:
    """A real build of eight records of each class, or of the given texts."""
    texts = texts or {name: [text.format(n=at) for at in range(8)] for name, text in TEXTS.items()}
    records = [
        {"id": f"{name}-{at}", "label": name, "text": f"第{at}张{name}", "ocr_text": text}
        for name, of_class in texts.items()
        for at, text in enumerate(of_class)
    ]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    (project / "rows.jsonl").write_text("".join(lines), "utf-8")
    (project / "labels.yaml").write_text(yaml.safe_dump({"labels": rows}, allow_unicode=True), "utf-8")
    (project / "templates" / "ask.j2").write_text("{{ text }} {{ ocr_text }}\n类别？", "utf-8")
    recipe = project / "recipes" / "shop.yaml"
    recipe.write_text(RECIPE, "utf-8")
    return BuildFolder.open(build(recipe, card=False).folder)


def evaluated(folder: BuildFolder, truth: str, answer: str) -> None:
    """Scores answers that take one class for another."""
    path = folder.runs / "lora" / "predictions.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, answers(folder.path, lambda number, label, names: answer if label == truth else label))
    (result,) = evaluate(folder, [path], Options(resamples=50))
    write_evaluation(result, folder, path.parent, "evaluation")


def clauses_of(result: LabelAudit, kind: str) -> list[tuple[str, str]]:
    return [(claim.label, claim.clause) for claim in result.claims if claim.kind == kind]


def test_labels_that_are_right_have_no_findings_but_clauses_about_the_look(project: Path) -> None:
    result = audit(made(project, labels()))
    assert [fit for fit in result.fits if fit.fits < fit.records] == []
    assert clauses_of(result, "nowhere") == [("退款页面", "钱退回原账户"), ("聊天页面", "左右两侧气泡")]
    assert (clauses_of(result, "denied"), clauses_of(result, "elsewhere")) == ([], [])
    assert (result.keywords, result.pairs, result.few) == ([], [], {})
    assert (result.records, result.read, result.column) == (24, 24, "ocr_text")


def test_repeats_of_a_record_count_once(project: Path) -> None:
    texts = {name: [text.format(n=at) for at in range(8)] for name, text in TEXTS.items()}
    texts["聊天页面"] = texts["聊天页面"][:3]
    made(project, labels(), texts)
    (project / "templates" / "ask.j2").write_text(
        "{{ label_json }}\n{{ text }} {{ ocr_text }}\n类别？", "utf-8"
    )
    rotated = RECIPE.replace("answer: label_only", "answer: label_only, label_block: [json, short]")
    repeated = rotated.replace(
        "  - render", "  - balance.resample: {by: label, strategy: uniform}\n  - render"
    )
    (project / "recipes" / "shop.yaml").write_text(repeated, "utf-8")
    folder = BuildFolder.open(build(project / "recipes" / "shop.yaml", card=False).folder)
    assert folder.main.collect().height > 19
    assert audit(folder).records == 19


def test_what_a_description_denies_and_its_pictures_show_is_named(project: Path) -> None:
    result = audit(made(project, labels({"name": "购物车页面", "description": "有全选和合计，没有结算。"})))
    (claim,) = (claim for claim in result.claims if claim.kind == "denied")
    assert (claim.label, claim.clause, claim.holds, claim.records) == ("购物车页面", "没有结算", 0, 8)


def test_a_clause_that_only_another_class_bears_is_named_with_that_class(project: Path) -> None:
    swapped = labels(
        {"name": "购物车页面", "description": REFUND["description"]},
        {"name": "退款页面", "description": CART["description"]},
    )
    result = audit(made(project, swapped))
    assert ("购物车页面", "有退款金额、退款编号和钱款去向") in clauses_of(result, "elsewhere")
    assert {claim.other for claim in result.claims if claim.label == "购物车页面"} == {"退款页面", ""}
    assert [(fit.label, fit.fits, fit.rival, fit.rival_fits) for fit in result.fits[:2]] == [
        ("购物车页面", 0, "退款页面", 8),
        ("退款页面", 0, "购物车页面", 8),
    ]


def test_keywords_that_never_stand_there_or_more_often_elsewhere_are_told_apart(project: Path) -> None:
    words = ["结算", "钱款去向", "清空购物车"]
    result = audit(made(project, labels({"name": "购物车页面", "keywords": words})))
    found = [(word.keyword, word.kind, word.holds, word.other, word.other_holds) for word in result.keywords]
    assert found == [("钱款去向", "elsewhere", 0, "退款页面", 8), ("清空购物车", "never", 0, "", 0)]


def test_a_keyword_that_few_of_many_texts_hold_is_rare(project: Path) -> None:
    texts = {name: [text.format(n=at) for at in range(25)] for name, text in TEXTS.items()}
    texts["购物车页面"][3] += "\n凑单"
    result = audit(made(project, labels({"name": "购物车页面", "keywords": ["结算", "凑单"]}), texts))
    assert [(word.keyword, word.kind, word.holds) for word in result.keywords] == [("凑单", "rare", 1)]


def test_width_case_and_spaces_keep_no_keyword_from_being_read(project: Path) -> None:
    texts = {name: [text.format(n=at) for at in range(8)] for name, text in TEXTS.items()}
    texts["聊天页面"] = [text + "\nＶＩＰ 客 服" for text in texts["聊天页面"]]
    result = audit(made(project, labels({"name": "聊天页面", "keywords": ["vip客服"]}), texts))
    assert result.keywords == []


def test_classes_alike_in_text_need_a_sentence_until_one_description_has_it(project: Path) -> None:
    returned = "退款详情\n退款金额 ¥{n}\n钱款去向\n退款编号 88{n}\n商家同意\n退货地址"
    texts = {name: [text.format(n=at) for at in range(8)] for name, text in TEXTS.items()}
    texts["退货页面"] = [(returned if at % 2 else TEXTS["退款页面"]).format(n=at) for at in range(8)]
    like = {
        "name": "退货页面",
        "description": "有退货地址和退款金额。",
        "short": "寄回",
        "keywords": ["退货地址"],
    }
    (pair,) = audit(made(project, labels(like), texts)).pairs
    assert ({pair.first, pair.second}, pair.mistakes) == ({"退款页面", "退货页面"}, 0)
    assert pair.alike >= 2
    assert pair.sentences["退款页面"] == "不是「退货页面」：后者是有退货地址和退款金额"
    apart = {"name": "退款页面", "description": "有退款金额和钱款去向，没有退货地址。"}
    assert audit(made(project, labels(like, apart), texts)).pairs == []


def test_mistakes_of_the_last_evaluation_make_a_pair_and_stand_beside_the_class(project: Path) -> None:
    folder = made(project, labels())
    evaluated(folder, "聊天页面", "退款页面")
    result = audit(folder)
    assert result.evaluation.endswith("shop-runs/lora/evaluation.json")
    assert result.evaluation_is_of_build
    (pair,) = result.pairs
    asked = list(truths(folder.path).values()).count("聊天页面")
    assert asked >= 2
    assert ({pair.first, pair.second}, pair.mistakes) == ({"聊天页面", "退款页面"}, asked)
    fit = next(fit for fit in result.fits if fit.label == "聊天页面")
    assert (fit.wrong, fit.support, fit.answered) == (asked, asked, "退款页面")


def test_an_evaluation_of_an_earlier_build_counts_and_is_called_so(project: Path) -> None:
    first = made(project, labels())
    evaluated(first, "聊天页面", "退款页面")
    mistakes = audit(first).pairs[0].mistakes
    texts = {name: [text.format(n=at + 1) for at in range(8)] for name, text in TEXTS.items()}
    result = audit(made(project, labels(), texts))
    assert not result.evaluation_is_of_build
    assert [pair.mistakes for pair in result.pairs] == [mistakes]


def test_a_damaged_evaluation_is_an_error_that_names_it(project: Path) -> None:
    folder = made(project, labels())
    folder.runs.mkdir(parents=True, exist_ok=True)
    (folder.runs / "evaluation-val.json").write_text("{")
    with pytest.raises(UserError, match=r"evaluation-val\.json is no evaluation") as fault:
        audit(folder)
    assert "datakit evaluate" in str(fault.value)


def test_what_the_label_file_lacks_is_listed_by_field(project: Path) -> None:
    rows = labels({"name": "聊天页面", "keywords": [], "short": ""}, {"name": "其他"})
    result = audit(made(project, rows))
    assert result.without["keywords"] == ["聊天页面", "其他"]
    assert result.without["short"] == ["聊天页面", "其他"]
    assert result.without["description"] == ["其他"]
    assert has_findings(result)


def test_classes_of_one_record_and_of_none_are_named_and_not_judged(project: Path) -> None:
    texts = {name: [text.format(n=at) for at in range(8)] for name, text in TEXTS.items()}
    texts["聊天页面"] = ["毫不相干的一行字"]
    rows = labels({"name": "其他", "description": "其余图片。", "short": "其余", "keywords": ["早上好"]})
    result = audit(made(project, rows, texts))
    assert result.few == {"聊天页面": 1, "其他": 0}
    judged = {claim.label for claim in result.claims} | {word.label for word in result.keywords}
    assert judged <= {"购物车页面", "退款页面"}


def test_english_labels_are_read_by_words(project: Path) -> None:
    texts = {
        "cart": [f"Cart ({at})\nSelect all\nSubtotal ${at}\nCheckout" for at in range(6)],
        "refund": [f"Refund details\nRefund amount ${at}\nProcessed on May {at + 1}" for at in range(6)],
    }
    rows = [
        {"name": "cart", "description": "A list with a subtotal and a checkout button, no refund amount."},
        {"name": "refund", "description": "Shows the processed amount; with a courier tracking number."},
    ]
    result = audit(made(project, rows, texts))
    assert all(fit.fits == fit.records for fit in result.fits)
    assert clauses_of(result, "nowhere") == [("refund", "with a courier tracking number")]
    assert clauses_of(result, "denied") == []


def test_an_english_word_within_another_bears_nothing_out(project: Path) -> None:
    texts = {
        "memo": [f"Boarding notes {at}\nCartoon hour\nMeetings on Monday" for at in range(6)],
        "pass": [f"BOARDING PASS {at}\nGate 12\nSeat 4A" for at in range(6)],
    }
    rows = [
        {"name": "memo", "description": "On a board, with a meeting.", "keywords": ["cart", "meetings"]},
        {"name": "pass", "description": "Shows gates; a blue board.", "keywords": ["boarding pass", "4A"]},
    ]
    result = audit(made(project, rows, texts))
    assert clauses_of(result, "nowhere") == [("memo", "On a board"), ("pass", "a blue board")]
    assert [word.keyword for word in result.keywords] == ["cart"]


def test_a_build_without_text_of_its_pictures_says_which_step_is_missing(small: BuildFolder) -> None:
    with pytest.raises(UserError, match="has no text of its pictures") as fault:
        audit(small)
    assert "annotate.ocr" in str(fault.value)


def test_a_build_without_a_label_file_says_so(project: Path) -> None:
    recipe = RECIPE.replace("labels: ../labels.yaml\n", "")
    made(project, labels())
    path = project / "recipes" / "bare.yaml"
    path.write_text(recipe.replace("name: shop", "name: bare"), "utf-8")
    folder = BuildFolder.open(build(path, card=False).folder)
    with pytest.raises(UserError, match="has no label file") as fault:
        audit(folder)
    assert "labels:" in str(fault.value)


def test_the_audit_is_the_same_for_any_order_of_the_records(project: Path) -> None:
    texts = {name: [text.format(n=at) for at in range(8)] for name, text in TEXTS.items()}
    first = audit(made(project, labels(), texts))
    turned = {name: of_class[::-1] for name, of_class in reversed(texts.items())}
    assert audit(made(project, labels(), turned)) == first
