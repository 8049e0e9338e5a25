"""Several forms in one data set: shares that hold, a stored file that is read back, one reader for all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.core.answer import AnswerFormat
from datakit.core.answer_forms import Assignment, ContractFormat, contract_of, counts
from datakit.core.contract import FORMS, AnswerContract
from datakit.core.errors import UserError
from datakit.core.labels import load_labels
from datakit.core.templates import Templates

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
CART = "购物车页面"
MIXED = ContractFormat.of_contracts(
    [
        AnswerContract.of("label_only", instruction="只回答类别"),
        AnswerContract.of("cot"),
        AnswerContract.of("short_reason"),
    ],
    [0.5, 0.3, 0.2],
)
SHARES = st.lists(st.integers(1, 50), min_size=1, max_size=5).map(
    lambda parts: [one / sum(parts) for one in parts]
)


@given(st.integers(0, 5000), SHARES)
def test_counts_are_the_shares_up_to_one_record(total: int, shares: list[float]) -> None:
    found = counts(total, shares)
    assert sum(found) == total
    assert all(abs(count - total * share) < 1 for count, share in zip(found, shares, strict=True))


@given(st.sets(st.text(min_size=1, max_size=8), max_size=60), SHARES, st.integers(0, 9))
def test_each_form_has_its_share_of_the_records_in_any_order(
    ids: set[str], shares: list[float], seed: int
) -> None:
    names = sorted(ids)
    assigned = Assignment.of(names, shares, seed)
    found = [assigned(id_) for id_ in names]
    assert [found.count(number) for number in range(len(shares))] == counts(len(names), shares)
    again = Assignment.of(names[::-1], shares, seed)
    assert [again(id_) for id_ in names] == found


def test_another_seed_assigns_others_and_a_further_record_moves_few() -> None:
    ids = [f"r{number}" for number in range(1000)]
    assigned = Assignment.of(ids, [0.3, 0.7], 7)
    before = [assigned(id_) for id_ in ids]
    other = Assignment.of(ids, [0.3, 0.7], 8)
    more = Assignment.of([*ids, "new"], [0.3, 0.7], 7)
    assert [other(id_) for id_ in ids] != before
    assert sum(more(id_) != form for id_, form in zip(ids, before, strict=True)) <= 1


@pytest.mark.parametrize("form", [*FORMS, "mixed"])
def test_stored_format_is_read_back(form: str) -> None:
    written = (
        MIXED if form == "mixed" else ContractFormat.of_contracts([AnswerContract.of(form, language="en")])
    )
    document = json.loads(written.to_json())
    assert document["version"] == 3
    assert len(document["contracts"]) == len(written.contracts)
    assert AnswerFormat.from_json(written.to_json()) == written


def test_readers_of_the_first_format_find_the_form_that_announces_most() -> None:
    assert json.loads(MIXED.to_json())["turns"][-1]["variables"][-1] == "label"
    assert len(json.loads(MIXED.to_json())["turns"][-1]["variables"]) == 4


@pytest.mark.parametrize(
    "change", [{"contracts": 3}, {"contracts": []}, {"contracts": [{"share": 1, "form": "x"}]}]
)
def test_damaged_contracts_are_a_clear_error(change: dict[str, object]) -> None:
    document = {**json.loads(MIXED.to_json()), **change}
    with pytest.raises(UserError):
        AnswerFormat.from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("text", "form", "reason"),
    [
        (CART, "label_only", None),
        (f"理由：有结算\n类别：{CART}", "short_reason", "有结算"),
        (f"证据：有结算\n排除：不是订单\n结论：购物车\n类别：{CART}", "cot", None),
    ],
)
def test_an_answer_is_read_in_the_form_that_it_has(text: str, form: str, reason: str | None) -> None:
    answer = MIXED.parse(text, LABELS)
    assert (answer.label, answer.reason, answer.exact) == (CART, reason, True)
    assert contract_of(MIXED.fitting(text)).form == form


def test_an_answer_of_no_form_is_read_loosely() -> None:
    answer = MIXED.parse(f"理由: 有结算 类别: {CART}。", LABELS)
    assert (answer.label, answer.exact) == (CART, False)
    assert MIXED.parse("不知道", LABELS).problem == "label_missing"


def test_a_form_is_chosen_by_name() -> None:
    assert MIXED.named("cot").contract.form == "cot"
    assert MIXED.named(None).contract.form == "label_only"
    with pytest.raises(UserError, match="no answer form `label_onyl`") as caught:
        MIXED.named("label_onyl")
    assert "Did you mean `label_only`" in caught.value.remedy
    template = AnswerFormat.of(["ecom/reason_then_label.j2"], Templates([ROOT / "templates"]))
    assert template.named(None) is template
    with pytest.raises(UserError, match="no answer form"):
        template.named("cot")


def test_contract_of_a_template_has_its_fields() -> None:
    template = AnswerFormat.of(["medical/reason_then_label.j2"], Templates([ROOT / "templates"]))
    contract = contract_of(template)
    assert [(field.name, field.kind) for field in contract.fields] == [("reason", "text"), ("label", "label")]
    assert contract.target.name == "label"
