"""The shipped example data, label files and templates hold what their READMEs and headers say."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import sys
from collections import Counter
from itertools import combinations, pairwise, permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment, nodes
from PIL import Image

from datakit.core.labels import LabelSet, load_labels
from datakit.core.likeness import grams, jaccard
from datakit.core.near_texts import SAME_TEXT
from datakit.core.templates import Templates, TrustedText, escape_except_images

ROOT = Path(__file__).resolve().parents[1]
ECOM, MEDICAL = ROOT / "examples" / "ecom", ROOT / "examples" / "medical"
TASKS = ("ecom", "medical")
TEMPLATES = sorted(
    f"{folder}/{path.name}"
    for folder in (*TASKS, "answer", "grounding")
    for path in (ROOT / "templates" / folder).glob("*.j2")
)
ANSWERS = [name for name in TEMPLATES if name.startswith("answer/") or name.endswith("reason_then_label.j2")]
CHAT_WITH_IMAGE = (
    "ecom/classify_v1.j2",
    "ecom/classify_v2.j2",
    "ecom/classify.j2",
    "ecom/classify_by_form.j2",
    "ecom/ask_description.j2",
    "medical/classify.j2",
    *(name for name in TEMPLATES if name.startswith("grounding/")),
)
ECOM_NAMES = (
    "实物拍摄(含售后)",
    "商品分类选项",
    "商品头图",
    "商品详情页截图",
    "下单过程中出现异常（显示购买失败浮窗）",
    "订单详情页面",
    "支付页面",
    "消费者与客服聊天页面",
    "评论区截图页面",
    "物流页面-物流列表页面",
    "物流页面-物流跟踪页面",
    "物流页面-物流异常页面",
    "退款页面",
    "退货页面",
    "换货页面",
    "购物车页面",
    "店铺页面",
    "活动页面",
    "优惠券领取页面",
    "账单/账户页面",
    "个人信息页面",
    "投诉举报页面",
    "平台介入页面",
    "外部APP截图",
    "其他类别图片",
)
HALF_AND_FULL_WIDTH = ("实物拍摄(含售后)", "下单过程中出现异常（显示购买失败浮窗）")


def rows(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert found, f"{path} is empty"
    return found


def labels_of(task: str) -> LabelSet:
    return load_labels(ROOT / "templates" / task / "labels.yaml")


def values(task: str, **changes: Any) -> dict[str, Any]:
    """Every documented variable, as the engine hands it to a template."""
    labels = labels_of(task)
    return {
        "id": "a-1",
        "label": labels.names[0],
        "label_info": labels.labels[0],
        "label_json": TrustedText(labels.json_block),
        "label_names": TrustedText(labels.name_block),
        "labels": labels.labels,
        "images": ["/a.jpg", "/b.jpg"],
        "text": None,
        "ocr_text": "字" * 300,
        "description": "描" * 120,
        "reason": "因" * 60,
        "style": "先写证据",
        "answer_format": "只回答类别名称。",
        "ask_name": "去结算",
        "ask_box": "[10, 20, 30, 40]",
        "apart_from": "手机状态栏、图标和单个字符",
        "candidate": "描" * 100,
        "question": "图里有什么？",
        "references": ["一只猫", "猫"],
        "may_decline": False,
        "faults": ["太短", "没有用中文写"],
        "neighbours": ["甲" * 60, "乙" * 60],
        "width": 720,
        "height": 1560,
        **changes,
    }


def render(name: str, **changes: Any) -> str:
    task = name.split("/")[0]
    if name.startswith("ecom/intent"):  # a dialogue is its text
        changes = {"text": "怎么退货？", **changes}
    context = values(task if task in TASKS else "ecom", **changes)
    return Templates([ROOT / "templates"]).get(name).render(context)


# e-commerce data


def test_ecom_files_have_the_counts_of_the_readme() -> None:
    train, rest, truth = (rows(ECOM / f"{name}.jsonl") for name in ("train", "unlabelled", "ground_truth"))
    assert (len(train), len(rest), len(truth)) == (140, 60, 200)
    assert len(list((ECOM / "images").glob("*.jpg"))) == 200
    assert {tuple(row) for row in train} == {("id", "image", "label")}
    assert {tuple(row) for row in rest} == {("id", "image")}


def test_ecom_ids_are_unique_and_the_two_parts_share_none() -> None:
    train, rest, truth = (rows(ECOM / f"{name}.jsonl") for name in ("train", "unlabelled", "ground_truth"))
    ids = [row["id"] for row in train + rest]
    assert len(set(ids)) == 200
    assert set(ids) == {row["id"] for row in truth}
    assert len({row["image"] for row in train + rest}) == 200


def test_ecom_labels_are_those_of_the_label_file_and_agree_with_the_truth() -> None:
    truth = {row["id"]: row["label"] for row in rows(ECOM / "ground_truth.jsonl")}
    train = rows(ECOM / "train.jsonl")
    assert all(truth[row["id"]] == row["label"] for row in train)
    names = labels_of("ecom").names
    assert set(truth.values()) == set(names)
    assert len(names) == 25
    counts = Counter(row["label"] for row in train)
    assert (min(counts.values()), max(counts.values()), len(counts)) == (1, 8, 25)
    for label in names:
        assert re.search(
            rf"^\| {counts[label]} \|.*{re.escape(label)}", (ECOM / "README.md").read_text(), re.M
        )


def test_ecom_images_open_and_hold_their_text_boxes() -> None:
    for row in rows(ECOM / "ground_truth.jsonl"):
        with Image.open(ECOM / row["image"]) as image:
            image.load()
            assert (image.format, image.mode, image.width) == ("JPEG", "RGB", 720)
            for line in row["lines"]:
                left, top, right, bottom = line["box"]
                assert left < right, row["id"]
                assert top < bottom, row["id"]
                assert right > 0, row["id"]
                assert left < image.width, row["id"]


def load_ecom_script() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return load_script("make_ecom_example")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


def test_ecom_truth_is_of_the_records_and_labels_that_the_script_plans() -> None:
    records, chosen = load_ecom_script().plan()
    truth = rows(ECOM / "ground_truth.jsonl")
    assert records == [{key: row[key] for key in ("id", "image", "label")} for row in truth]
    assert Counter(row["label"] for row in records) == dict.fromkeys(ECOM_NAMES, 8)
    trained = {row["id"] for row in rows(ECOM / "train.jsonl")}
    shown = {layout.__name__ for id_, layout in chosen.items() if id_ in trained}
    assert shown >= {"order_of_another_shop", "courier_app", "freight_paid", "freight_to_pay"}
    assert shown >= {"own_review", "review_form", "one_bill", "own_coupons", "parcels_of_one_order"}
    assert shown >= {"trace_of_a_parcel_sent", "parcels_sent"}


def test_ecom_train_shows_every_layout_of_a_class_that_has_records_enough() -> None:
    script = load_ecom_script()
    _, chosen = script.plan()
    for label, layouts in script.LAYOUTS.items():
        trained = [chosen[row["id"]] for row in rows(ECOM / "train.jsonl") if row["label"] == label]
        assert len(set(trained)) == min(len(trained), len(layouts)), label


def test_ecom_screens_are_no_copies_of_one_another() -> None:
    """Close enough, and curate.split would tear no class apart but join its screens."""
    texts = ["".join(line["text"] for line in row["lines"]) for row in rows(ECOM / "ground_truth.jsonl")]
    sets = [grams(text) for text in texts if len(text) >= 24]
    assert len(sets) > 180
    assert max(jaccard(first, second) for first, second in combinations(sets, 2)) < SAME_TEXT - 0.1


@pytest.mark.browser
def test_ecom_script_draws_the_shipped_pictures_again(tmp_path: Path) -> None:
    script = load_ecom_script()
    records, chosen = script.plan()
    (tmp_path / "images").mkdir()
    for row in script.draw(records[::50], chosen, script.browser_path(), tmp_path):
        shipped = next(other for other in rows(ECOM / "ground_truth.jsonl") if other["id"] == row["id"])
        assert [line["text"] for line in row["lines"]] == [line["text"] for line in shipped["lines"]]
        again = np.asarray(Image.open(tmp_path / row["image"]), dtype=np.int16)
        # Equal to the byte with one Chromium; another release may draw an edge of a letter otherwise.
        assert np.abs(again - np.asarray(Image.open(ECOM / row["image"]), dtype=np.int16)).mean() < 1


# label files


@pytest.mark.parametrize("task", TASKS)
def test_label_descriptions_are_concrete_and_neighbours_exist(task: str) -> None:
    labels = labels_of(task)
    for label in labels.labels:
        assert 25 <= len(label.description) <= 60, label.name
        assert label.aliases, label.name
        assert label.confusable_with, label.name
        assert label.name not in label.confusable_with
        assert set(label.confusable_with) <= set(labels.names)
    assert len({label.description for label in labels.labels}) == len(labels.names)


def test_ecom_label_block_leaves_room_for_ocr_in_the_prompt() -> None:
    assert 1500 <= len(labels_of("ecom").json_block) <= 1900
    assert len(render("ecom/classify_v2.j2")) < 2500
    assert len(render("ecom/classify.j2")) < 2500


def test_label_file_keeps_the_widths_of_the_two_bracketed_names() -> None:
    assert set(HALF_AND_FULL_WIDTH) <= set(labels_of("ecom").names)


def test_ecom_labels_keep_their_names() -> None:
    """Training answers and users' files spell them; nothing but the texts about them may change."""
    assert labels_of("ecom").names == ECOM_NAMES


def test_ecom_descriptions_are_of_one_length_and_have_a_short_form() -> None:
    labels = labels_of("ecom").labels
    lengths = [len(label.description) for label in labels]
    assert min(lengths) >= 40
    assert max(lengths) - min(lengths) <= 10
    assert all(6 <= len(label.short) <= 20 for label in labels)
    assert len({label.short for label in labels}) == len(labels)


def test_ecom_neighbours_name_each_other() -> None:
    labels = labels_of("ecom")
    for label in labels.labels:
        for name in label.confusable_with:
            other = labels.find(name)
            assert other is not None
            assert label.name in other.confusable_with, f"{label.name} and {name}"


def test_ecom_keywords_tell_labels_apart_that_are_not_neighbours() -> None:
    """A keyword of one label, or a part of it, is a keyword of another only where the two are confusable."""
    labels = labels_of("ecom").labels
    assert all(len(label.keywords) >= 5 for label in labels)
    for label, other in permutations(labels, 2):
        if other.name not in label.confusable_with:
            held = [own for own in label.keywords for their in other.keywords if own in their]
            assert not held, f"{label.name} and {other.name}"


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("实物拍摄（含售后）", "实物拍摄(含售后)"),
        ("下单过程中出现异常(显示购买失败浮窗)", "下单过程中出现异常（显示购买失败浮窗）"),
        ("物流列表", "物流页面-物流列表页面"),
        ("客服聊天", "消费者与客服聊天页面"),
        ("买家秀", "评论区截图页面"),
        ("外部app截图", "外部APP截图"),
        ("规格选择", "商品分类选项"),
        ("我的优惠券", "账单/账户页面"),
    ],
)
def test_spellings_from_the_field_find_their_label(spelling: str, name: str) -> None:
    found = labels_of("ecom").find(spelling)
    assert found is not None
    assert found.name == name


# general set


def test_general_set_is_varied_and_has_no_empty_output() -> None:
    general = json.loads((ROOT / "examples" / "general_zh.json").read_text(encoding="utf-8"))
    assert len(general) >= 120
    assert all(set(row) == {"instruction", "input", "output"} for row in general)
    assert all(isinstance(text, str) and text == text.strip() for row in general for text in row.values())
    assert all(row["instruction"] for row in general)
    assert all(20 <= len(row["output"]) <= 300 for row in general)
    assert len({(row["instruction"], row["input"]) for row in general}) == len(general)
    assert len({row["output"] for row in general}) == len(general)
    with_input = sum(bool(row["input"]) for row in general)
    assert 0.25 <= with_input / len(general) <= 0.45
    openings = Counter(row["instruction"][:4] for row in general)
    assert max(openings.values()) <= 0.08 * len(general), openings.most_common(3)


def test_general_set_holds_nothing_that_a_trainer_takes_for_a_token() -> None:
    text = (ROOT / "examples" / "general_zh.json").read_text(encoding="utf-8")
    assert not re.search(r"<(image|video|audio)>|<\|", text)


def test_general_readme_states_the_count() -> None:
    general = json.loads((ROOT / "examples" / "general_zh.json").read_text(encoding="utf-8"))
    title = (ROOT / "examples" / "general_zh.README.md").read_text(encoding="utf-8").splitlines()[0]
    assert f"{len(general)} general instructions" in title


# medical data


def test_medical_records_are_balanced_and_their_images_open() -> None:
    train, two = rows(MEDICAL / "train.jsonl"), rows(MEDICAL / "two_views.jsonl")
    assert (len(train), len(two)) == (60, 2)
    assert len({row["id"] for row in train + two}) == 62
    names = labels_of("medical").names
    assert Counter(row["finding"] for row in train) == dict.fromkeys(names, 12)
    assert {row["finding"] for row in two} <= set(names)
    assert {row["sex"] for row in train} == {"男", "女"}
    places = [row["image"] for row in train] + [place for row in two for place in row["image"]]
    assert len(set(places)) == 64 == len(list((MEDICAL / "images").iterdir()))
    for place in places:
        with Image.open(MEDICAL / place) as image:
            image.load()
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (512, 512))


def test_medical_questions_have_one_place_per_image() -> None:
    assert all(row["question"].count("<image>") == 1 for row in rows(MEDICAL / "train.jsonl"))
    for row in rows(MEDICAL / "two_views.jsonl"):
        assert row["question"].count("<image>") == 2 == len(row["image"])


def test_medical_folder_stays_under_3_mb() -> None:
    assert sum(path.stat().st_size for path in MEDICAL.rglob("*") if path.is_file()) < 3_000_000


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def test_medical_script_draws_the_shipped_pictures_again() -> None:
    script = load_script("make_medical_example")
    findings = script.findings()
    shipped = rows(MEDICAL / "train.jsonl") + rows(MEDICAL / "two_views.jsonl")
    drawn: list[np.ndarray] = []
    for number in (1, 17, 40, 62):
        record, views = script.draw(number, findings[number - 1])
        assert record == shipped[number - 1]
        for place, view in views.items():
            stream = io.BytesIO()
            view.save(stream, "JPEG", quality=script.JPEG_QUALITY)
            again = np.asarray(Image.open(stream), dtype=np.int16)
            apart = np.abs(again - np.asarray(Image.open(MEDICAL / place), dtype=np.int16))
            # Equal on one machine; another CPU's exp or another JPEG encoder may turn a last bit.
            assert apart.mean() < 0.2, place
            assert apart.max() <= 12, place
            drawn.append(again)
    assert len(drawn) == 5
    assert min(np.abs(drawn[0] - other).mean() for other in drawn[1:]) > 3


# templates


def test_the_named_templates_are_there() -> None:
    assert len(TEMPLATES) >= 18
    assert set(CHAT_WITH_IMAGE) <= set(TEMPLATES)
    assert len(ANSWERS) >= 8


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_header_says_what_it_needs(name: str) -> None:
    templates = Templates([ROOT / "templates"])
    documented = name.replace("_en.j2", ".j2")  # a twin says of which template it is one
    if documented != name:
        assert templates.source(name).startswith(f"{{# {documented} in English.")
    header = re.match(r"\{#(.*?)-#\}\n", templates.source(documented), re.S)
    assert header, "the header is a comment that ends in -#}"
    assert header[1].isascii()
    inputs = re.search(r"Needs: (.*?)\.(?:\s|$)", header[1], re.S)
    assert inputs
    used = templates.variables(name)
    assert used <= values("ecom").keys()
    words = set(re.findall(r"[a-z_]+", inputs[1]))
    assert used <= words
    assert words & values("ecom").keys() == used, "the header names a variable that the template does not use"


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_renders_with_the_documented_variables(name: str) -> None:
    full = render(name)
    bare = render(name, ocr_text=None, description=None, text=None)
    assert full == full.strip()
    assert "None" not in bare
    assert "{#" not in full
    assert len(full) >= len(bare) > 0 or name in ("answer/two_turn_1.j2",)


@pytest.mark.parametrize("name", TEMPLATES)
def test_only_chat_prompts_write_image_places(name: str) -> None:
    expected = 2 if name.replace("_en.j2", ".j2") in CHAT_WITH_IMAGE else 0
    assert render(name).count("<image>") == expected
    assert render(name, images=["/a.jpg"]).count("<image>") == min(expected, 1)
    hostile = dict.fromkeys(("ocr_text", "description", "reason"), "图<image>文")
    assert render(name, **hostile).count("<image>") == expected


def test_medical_prompt_keeps_the_places_of_the_question() -> None:
    question = rows(MEDICAL / "two_views.jsonl")[0]["question"]
    rendered = render("medical/classify.j2", text=escape_except_images(question))
    assert f"\n{question}\n" in rendered
    assert rendered.count("<image>") == 2


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_template_is_invertible(name: str) -> None:
    """Variables alternate with constant text, each stands once, and nothing depends on a condition."""
    source = Templates([ROOT / "templates"]).source(name)
    body = Environment().parse(source).body
    assert [type(node) for node in body] == [nodes.Output]
    parts = body[0].nodes  # type: ignore[attr-defined]
    names = [part.name for part in parts if isinstance(part, nodes.Name)]
    assert names
    assert len(names) == len(set(names))
    kinds = [type(part) for part in parts]
    assert set(kinds) <= {nodes.Name, nodes.TemplateData}
    assert all(first is not second for first, second in pairwise(kinds))


def test_reason_prompt_shows_the_label_its_description_and_its_neighbours() -> None:
    labels = labels_of("ecom")
    info = labels.labels[6]
    rendered = render("ecom/reason.j2", label_info=info, label=info.name)
    assert f"“{info.name}”" in rendered
    assert info.description in rendered
    for label in labels.labels:
        assert (f"- {label.name}：{label.description}" in rendered) == (label.name in info.confusable_with)


def test_describe_prompt_names_no_class() -> None:
    for task in TASKS:
        rendered = render(f"{task}/describe.j2", ocr_text=None)
        assert not [name for name in labels_of(task).names if name in rendered]


def test_classify_prompts_quote_the_form_of_their_answer() -> None:
    for task in TASKS:
        prompt = render(f"{task}/classify.j2").splitlines()
        answer = render(f"{task}/reason_then_label.j2").splitlines()
        assert [line.split("：")[0] for line in prompt[-2:]] == [line.split("：")[0] for line in answer]
