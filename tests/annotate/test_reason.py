"""annotate.reason through the engine: what is asked about a label, and what the offline writer gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from datakit.annotate.reason import Reason
from datakit.core.errors import UserError
from datakit.core.keywords import asserts
from datakit.core.labels import load_labels
from datakit.core.record import BASE, COLUMNS, repeat_id
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.guard import reason as guard
from datakit.llm import offline
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.loopback import Loopback, Reply

ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "examples" / "ecom"
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
SCHEMA = {
    **{name: COLUMNS[name] for name in BASE},
    **dict.fromkeys(("ocr_text", "description"), pl.String()),
}
Run = Callable[..., tuple[pl.DataFrame, Engine]]


@pytest.fixture
def run(tmp_path: Path, make_context: Callable[..., StepContext]) -> Run:
    """Runs steps over rows with one store; gives the frame and the engine."""
    count = iter(range(1000))

    def go(
        rows: list[dict[str, Any]], *after: Any, step: Reason | None = None, **llm: Any
    ) -> tuple[pl.DataFrame, Engine]:
        number = next(count)
        given = RecordFrames(tmp_path / f"given{number}", SCHEMA)
        given.append(pl.DataFrame([{"source_file": "x", "source_line": 1, **row} for row in rows], SCHEMA))
        store = Store(tmp_path / "store")
        engine = Engine(
            make_context(llm=LlmSettings(**llm), labels=LABELS), store, tmp_path / f"work{number}"
        )
        try:
            steps = [
                Step(at, each, f"r.yaml:{at}:1") for at, each in enumerate((step or Reason(), *after), 1)
            ]
            return engine.run(steps, given).lazy().collect(), engine
        finally:
            store.close()

    return go


def screens(count: int) -> list[dict[str, Any]]:
    """Example screens with their true texts."""
    rows = [json.loads(line) for line in (SCREENS / "train.jsonl").read_text("utf-8").splitlines()]
    truth = map(json.loads, (SCREENS / "ground_truth.jsonl").read_text("utf-8").splitlines())
    texts = {row["id"]: [line["text"] for line in row["lines"]] for row in truth}
    return [
        {
            "id": row["id"],
            "images": [str(SCREENS / row["image"])],
            "label": row["label"],
            "ocr_text": "\n".join(texts[row["id"]]),
        }
        for row in rows[:count]
    ]


def row(id_: str, label: str | None = "退款页面") -> dict[str, Any]:
    return {
        "id": id_,
        "images": [],
        "label": label,
        "ocr_text": f"退款编号 {id_}\n退款总金额",
        "description": None,
    }


def test_model_is_told_the_label_and_its_neighbours(run: Run, server: Loopback) -> None:
    frame, _ = run([row("a")], base_url=server.url)
    assert frame["reason_by"].to_list() == ["gpt-4o-mini"]
    (call,) = server.calls
    assert "“退款页面”" in call.text
    assert "退款编号 a" in call.text
    for neighbour in LABELS.find("退款页面").confusable_with:  # type: ignore[union-attr]
        assert f"- {neighbour}：" in call.text
    assert call.body["response_format"]["json_schema"]["schema"]["required"] == ["reason"]


def test_label_costs_a_new_call_and_its_spelling_does_not(run: Run, server: Loopback) -> None:
    run([row("a")], base_url=server.url)
    run([row("a", "退款 页面")], base_url=server.url)
    assert server.count == 1
    run([row("a", "退货页面")], base_url=server.url)
    assert server.count == 2


@pytest.mark.parametrize("with_server", [True, False])
def test_record_without_a_known_label_is_rejected_without_a_call(
    run: Run, server: Loopback, monkeypatch: pytest.MonkeyPatch, with_server: bool
) -> None:
    if not with_server:
        monkeypatch.delenv("OPENAI_API_KEY")
    settings = {"base_url": server.url} if with_server else {}
    frame, engine = run([row("a"), row("b", None), row("c", "退款也面")], **settings)
    assert frame["id"].to_list() == ["a"]
    assert engine.reports[0].rejected == {"label_missing": 1, "label_unknown": 1}
    lines = (engine.folder / "rejects.jsonl").read_text("utf-8")
    assert "Did you mean `退款页面`?" in lines
    assert server.count == int(with_server)


def test_offline_reasons_quote_evidence_conclude_their_label_and_differ(run: Run) -> None:
    rows = screens(140)
    frame, engine = run(rows, guard.Reason(max_similarity=0.6, consistent=True, on_fail="mark"))
    assert frame.height == 140
    assert frame["reason_by"].unique().to_list() == [offline.NAME]
    for given, out in zip(rows, frame.to_dicts(), strict=True):
        assert out["label"] in out["reason"]
        assert not any(word in out["reason"] for word in ("模型", "理由：", "类别："))
        label = LABELS.find(given["label"])
        assert label is not None
        lines = given["ocr_text"].splitlines()
        has_keyword = any(asserts(line, keyword) for line in lines for keyword in label.keywords)
        assert ("“" in out["reason"]) == has_keyword
        assert 20 <= len(out["reason"]) <= 90  # where little can be said, little is
        assert "标注" not in out["reason"]
    flagged = frame.filter(pl.col("reason_flags").list.len() > 0)
    assert flagged.height <= 7, flagged["reason_flags"].to_list()
    assert engine.reports[1].notes["of"] == 140


def test_findings_do_not_name_their_label_and_cost_no_call_anew(run: Run, server: Loopback) -> None:
    texts = {"a": "写着“退款编号”，可见是退款页面。", "b": "可以判断为退款页面。"}
    server.script = lambda call: Reply(
        content=json.dumps({"reason": texts["a" if "退款编号 a" in call.text else "b"]})
    )
    stated, _ = run([row("a"), row("b")], base_url=server.url)
    assert stated["reason"].to_list() == list(texts.values())
    findings, engine = run([row("a"), row("b")], step=Reason(names_label=False), base_url=server.url)
    assert findings["reason"].to_list() == ["写着“退款编号”。"]
    assert engine.reports[-1].rejected == {"findings_missing": 1}
    assert server.count == 2


def test_each_repeat_of_a_record_gets_another_reason_and_the_first_is_not_paid_again(
    run: Run, server: Loopback, project: Path
) -> None:
    server.answer = lambda call: {"reason": f"答复{server.count}，因此属于退款页面。"}
    first, _ = run([row("a")], base_url=server.url)
    repeats = [{**row("a"), "id": id_} for id_ in ("a", repeat_id("a", 2), repeat_id("a", 3))]
    frame, _ = run(repeats, base_url=server.url)
    assert server.count == 3
    assert frame["reason"][0] == first["reason"][0]
    assert frame["reason"].n_unique() == 3
    assert frame["reason_style"].n_unique() == 3
    run(repeats, base_url=server.url)
    assert server.count == 3
    (project / "templates" / "plain.j2").write_text("{{ label_info.name }}")
    plain = Reason(template="plain.j2")
    once, _ = run(repeats, step=plain, base_url=server.url)
    assert (server.count, once["reason"].n_unique()) == (6, 3)


def test_each_record_gets_a_style_by_its_id_and_the_seed(run: Run, server: Loopback) -> None:
    rows = [row(f"s{number}") for number in range(60)]
    frame, _ = run(rows, base_url=server.url)
    given = dict(frame.select("id", "reason_style").rows())
    shipped = yaml.safe_load((ROOT / "templates" / "ecom" / "styles.yaml").read_text("utf-8"))["styles"]
    assert len(set(given.values())) >= 8
    assert set(given.values()) <= set(shipped)
    for call in server.calls:
        id_ = call.text.split("退款编号 ")[1].split("\n")[0]
        assert call.text.endswith(f"写法：{given[id_]}。")
    backward, _ = run(rows[::-1], base_url=server.url)
    assert dict(backward.select("id", "reason_style").rows()) == given
    assert server.count == 60


def test_another_list_of_styles_asks_again_only_where_the_style_changes(
    run: Run, server: Loopback, make_context: Callable[..., StepContext]
) -> None:
    rows = [row(f"s{number}") for number in range(30)]
    one = Reason(styles=("甲", "乙"))
    other = Reason(styles=("甲", "丙"))
    before, _ = run(rows, step=one, base_url=server.url)
    changed = before["reason_style"].to_list().count("乙")
    assert 5 < changed < 25
    after, _ = run(rows, step=other, base_url=server.url)
    assert server.count == 30 + changed
    assert after["reason_style"].to_list().count("丙") == changed


def test_offline_writer_follows_no_style(run: Run) -> None:
    frame, _ = run(screens(3))
    assert frame["reason_style"].to_list() == [None] * 3


def test_template_without_a_style_gives_no_column_and_refuses_a_list(
    make_context: Callable[..., StepContext], project: Path
) -> None:
    (project / "templates" / "plain.j2").write_text("{{ label_info.name }}")
    context = make_context(labels=LABELS)
    plain = Reason(template="plain.j2")
    assert set(plain.outputs(context)) == {"reason", "reason_by"}
    assert plain.inputs(context) == ("images", "label")
    with pytest.raises(UserError, match="does not use the variable"):
        Reason(template="plain.j2", styles=("甲",)).inputs(context)


@pytest.mark.parametrize("text", ["styles: []", "- a", "styles: [a, 3]", "styles: [' ']", "styles: ["])
def test_file_without_styles_is_refused(
    make_context: Callable[..., StepContext], project: Path, text: str
) -> None:
    (project / "templates" / "styles.yaml").write_text(text)
    with pytest.raises(UserError, match="styles"):
        Reason(styles="styles.yaml").inputs(make_context(labels=LABELS))


@pytest.mark.parametrize("kind", ["ecom", "medical"])
def test_shipped_styles_are_distinct_instructions(kind: str) -> None:
    styles = yaml.safe_load((ROOT / "templates" / kind / "styles.yaml").read_text("utf-8"))["styles"]
    assert len(set(styles)) == len(styles) >= 8
    assert all(8 <= len(style) <= 40 and not style.endswith("。") for style in styles)


def declined(better: str, why: str = "图上写着“购物车”") -> Reply:
    return Reply(
        content=json.dumps({"supported": False, "better": better, "reason": why}, ensure_ascii=False)
    )


def supported(reason: str = "图上写着“退款金额”，所以是退款页面。") -> Reply:
    return Reply(content=json.dumps({"supported": True, "better": "", "reason": reason}, ensure_ascii=False))


def test_a_label_that_the_model_declines_has_no_reason_and_names_the_better_one(
    run: Run, server: Loopback
) -> None:
    server.script = lambda call: declined("购物车 页面") if "退款编号 b" in call.text else supported()
    step = Reason(may_decline=True)
    frame, engine = run([row("a"), row("b")], step=step, base_url=server.url)
    told = frame.select("id", "reason", "reason_better", "reason_declined").rows()
    assert told == [
        ("a", "图上写着“退款金额”，所以是退款页面。", None, None),
        ("b", None, "购物车页面", "图上写着“购物车”"),
    ]
    assert engine.reports[-1].records_out == 2


@pytest.mark.fault(
    "a model proposes a label that is none", "no proposal, and its words are kept", kind="answers"
)
@pytest.mark.parametrize(
    ("better", "words"),
    [("别的什么页面", "“别的什么页面”不在类别表中"), ("退款页面", "仍是原来的类别"), ("", "没有说明")],
)
def test_a_proposal_that_is_no_other_label_is_null_with_words(
    run: Run, server: Loopback, better: str, words: str
) -> None:
    server.script = lambda call: declined(better, "")
    frame, _ = run([row("a")], step=Reason(may_decline=True), base_url=server.url)
    assert frame["reason_better"].to_list() == [None]
    assert words in frame["reason_declined"].item()


def test_a_declined_record_can_be_rejected_by_its_own_word_without_another_call(
    run: Run, server: Loopback
) -> None:
    server.script = lambda call: declined("购物车页面") if "退款编号 a" in call.text else supported()
    run([row("a"), row("b")], step=Reason(may_decline=True), base_url=server.url)
    step = Reason(may_decline=True, on_decline="reject")
    frame, engine = run([row("a"), row("b")], step=step, base_url=server.url)
    assert frame["id"].to_list() == ["b"]
    assert engine.reports[-1].rejected == {"reason_declined": 1}
    assert server.count == 2


def test_an_answer_that_supports_the_label_and_says_nothing_is_none(run: Run, server: Loopback) -> None:
    server.script = lambda call: supported("" if "退款编号 a" in call.text else "写着“退款编号”。")
    frame, engine = run([row("a"), row("b")], step=Reason(may_decline=True), base_url=server.url)
    assert frame["id"].to_list() == ["b"]
    assert engine.reports[-1].rejected == {"answer_unreadable": 1}


def test_the_guard_finds_no_fault_with_a_declined_reason(run: Run, server: Loopback) -> None:
    server.script = lambda call: declined("购物车页面")
    step = Reason(may_decline=True)
    frame, _ = run([row("a")], guard.Reason(on_fail="reject"), step=step, base_url=server.url)
    assert frame["id"].to_list() == ["a"]


@pytest.mark.parametrize(
    "name", ["ecom/reason.j2", "ecom/reason_en.j2", "medical/reason.j2", "medical/reason_en.j2"]
)
def test_shipped_templates_tell_how_to_decline_only_where_that_may_be(
    name: str, make_context: Callable[..., StepContext]
) -> None:
    context = make_context(labels=LABELS)
    record = {**dict.fromkeys(SCHEMA), **row("a"), "images": []}
    plain = Reason(template=name).request(record, context)
    telling = Reason(template=name, may_decline=True).request(record, context)
    assert "supported" not in plain.text
    assert '"supported": false' in telling.text
    assert "购物车页面" in telling.text
    assert (plain.schema.names, telling.schema.names) == (("reason",), ("supported", "better", "reason"))


def test_a_template_that_does_not_tell_how_to_decline_is_refused(
    project: Path, make_context: Callable[..., StepContext]
) -> None:
    (project / "templates" / "silent.j2").write_text("为什么是{{ label }}？", "utf-8")
    context = make_context(labels=LABELS)
    with pytest.raises(UserError, match="the model is not told"):
        Reason(template="silent.j2", may_decline=True).inputs(context)
    with pytest.raises(UserError, match="`on_decline` has no effect"):
        Reason(on_decline="reject").inputs(context)


def test_the_offline_writer_declines_nothing(run: Run) -> None:
    frame, _ = run([row("a")], step=Reason(may_decline=True), provider="offline")
    assert frame.select(pl.col("reason").is_not_null(), pl.col("reason_declined").is_null()).row(0) == (
        True,
        True,
    )
