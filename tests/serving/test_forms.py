"""One model, several forms of the answer: each is asked for by name, decoded by its guide, and read back."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.answer_forms import ContractFormat
from datakit.core.errors import UserError
from datakit.core.labels import LabelSet
from datakit.serving.classifier import Classifier
from datakit.serving.records import split_items
from tests.support.loopback import Call, Loopback, Reply
from tests.support.served import ROOT, asked_text, made_build, saying

SCREENS = sorted((ROOT / "examples" / "ecom" / "images").glob("*.jpg"))
CART = "购物车页面"
FORMS = """\
[{form: reason_first, columns: {reason: source_file}},
   {form: label_only, share: 0.5, instruction: 只回答类别}]"""
"""The reason may be any text that the prompt does not hold."""


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose answers have two forms."""
    return made_build(tmp_path_factory.mktemp("mixed"), answers=FORMS, records=8)


@pytest.fixture
def answering(server: Loopback) -> Loopback:
    """A server that answers in the form that it is asked for."""

    def script(call: Call) -> Reply:
        short = asked_text(call).endswith("只回答类别")
        return saying(CART if short else f"理由：有结算按钮\n类别：{CART}")

    server.script = script
    return server


def test_first_form_is_asked_for_when_none_is_named(mixed: Path, answering: Loopback) -> None:
    with Classifier.from_build(mixed, answering.url) as classify:
        found = classify(SCREENS[0])
    assert asked_text(answering.calls[-1]).endswith("类别：<类别名称，写法与上面完全一致>")
    assert (found.predicted, found.reason) == (CART, "有结算按钮")


def test_model_trained_before_places_were_marked_is_asked_without_marks(
    mixed: Path, answering: Loopback, tmp_path: Path
) -> None:
    old = tmp_path / "shop" / "build" / mixed.name
    shutil.copytree(mixed, old)
    document = json.loads((old / "answer.json").read_text("utf-8"))
    for contract in document["contracts"]:
        assert contract.pop("marked") is True
    (old / "answer.json").write_text(json.dumps(document | {"version": 2}, ensure_ascii=False), "utf-8")
    with Classifier.from_build(old, answering.url) as classify:
        classify(SCREENS[0])
    asked = asked_text(answering.calls[-1])
    assert asked.endswith(
        "按下面两行的格式回答，不要添加其他内容：\n理由：依据图片内容的判断理由\n类别：类别名称，写法与上面完全一致"
    )


def test_form_is_chosen_by_name_and_decoded_by_its_own_guide(
    mixed: Path, answering: Loopback, labels: LabelSet
) -> None:
    with Classifier.from_build(mixed, answering.url, form="label_only", closed=True) as classify:
        found = classify(SCREENS[0])
    assert asked_text(answering.calls[-1]).endswith("\n只回答类别")
    assert answering.calls[-1].body["structured_outputs"] == {"choice": list(labels.names)}
    assert (found.predicted, found.reason) == (CART, None)


def test_prompt_of_each_form_is_that_of_training(mixed: Path, answering: Loopback) -> None:
    build = BuildFolder(mixed)
    forms = dict(build.records.select("id", "answer_form").collect().rows())
    assert sorted(forms.values()) == ["label_only"] * 4 + ["reason_first"] * 4
    for split in ("train", "val"):
        for item in split_items(build, split):
            with Classifier.from_build(mixed, answering.url, form=forms[str(item.id)]) as classify:
                classify(item.images, id=item.id)
            assert asked_text(answering.calls[-1]) == item.messages[-1]["content"]


def test_split_is_asked_in_the_form_of_each_record_and_any_form_may_be_decoded(
    mixed: Path, answering: Loopback
) -> None:
    assert (
        run(["predict", str(mixed), "--split", "train", "--base-url", answering.url, "--closed", "-q"]) == 0
    )
    found = list(BuildFolder(mixed).predictions("train"))
    assert {one.predicted for one in found} == {CART}
    assert len({one.reason for one in found}) == 2
    for call in answering.calls:
        pattern = call.body["structured_outputs"]["regex"]
        assert re.fullmatch(pattern, CART)
        assert re.fullmatch(pattern, f"理由：有\n类别：{CART}")
        assert not re.fullmatch(pattern, "别的")


def test_unknown_form_and_a_form_for_a_split_are_refused(
    mixed: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="no answer form `cot`") as caught:
        Classifier.from_build(mixed, "http://127.0.0.1:9/v1", form="cot")
    assert "reason_first, label_only" in caught.value.remedy
    with pytest.raises(UserError, match="no answer form `label_only`"):
        Classifier.from_build(small, "http://127.0.0.1:9/v1", form="label_only")
    assert run(["predict", str(mixed), "--split", "val", "--form", "label_only"]) == 2
    assert "each in its own form" in capsys.readouterr().err


def test_form_is_asked_of_a_folder(mixed: Path, answering: Loopback, tmp_path: Path) -> None:
    folder, out = tmp_path / "new", tmp_path / "p.jsonl"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(SCREENS[0].read_bytes())
    url = ("--base-url", answering.url, "--out", str(out))
    assert run(["predict", str(mixed), "--split", str(folder), "--form", "label_only", *url, "-q"]) == 0
    assert asked_text(answering.calls[-1]).endswith("\n只回答类别")


def test_build_keeps_its_contracts(mixed: Path) -> None:
    form = BuildFolder(mixed).answer_format
    assert isinstance(form, ContractFormat)
    assert [contract.form for contract in form.contracts] == ["reason_first", "label_only"]
    assert form.shares == (0.5, 0.5)
