"""guard.reason with on_fail: rewrite, against a real server: who is asked, how often, at what cost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.core.errors import BudgetSpent, StopProvider
from datakit.core.files import FileDigests
from datakit.core.labels import load_labels
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.guard.reason import Reason
from datakit.llm import offline
from datakit.recipe.recipe import Step
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.policy import Pay, Policy
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
LABELS = load_labels(ROOT / "templates" / "ecom" / "labels.yaml")
SCHEMA = {
    **{name: COLUMNS[name] for name in BASE},
    **dict.fromkeys(("reason", "reason_by", "ocr_text", "description"), pl.String()),
}
PRICE = (60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6
SAME = "顶部写着退款成功，下方列出退款金额与到账账户，因此属于退款页面。"


def distinct(number: int) -> str:
    """A reason that resembles no other one's."""
    letters = random.Random(number).choices([chr(code) for code in range(0x4E00, 0x6E00)], k=30)
    return f"{''.join(letters)}，可见属于退款页面。"


def row(number: int, reason: str | None = SAME, label: str | None = "退款页面") -> dict[str, Any]:
    return {
        "id": f"r{number:02d}",
        "source_file": "rows.jsonl",
        "source_line": number,
        "images": [],
        "label": label,
        "reason": reason,
        "reason_by": "a person",
        "ocr_text": f"退款成功\n处理中\n退款编号 {number}",
    }


class Bench:
    """Runs guard.reason over rows with one store."""

    def __init__(self, folder: Path, make_context: Callable[..., StepContext], url: str) -> None:
        self.folder, self.make_context, self.url, self.count = folder, make_context, url, 0

    def __call__(
        self,
        rows: list[dict[str, Any]],
        policy: Policy | None = None,
        provider: str = "openai",
        build_usd: float | None = None,
        **parameters: Any,
    ) -> tuple[pl.DataFrame, Any]:
        self.count += 1
        given = RecordFrames(self.folder / f"given{self.count}", SCHEMA)
        for at in range(0, len(rows), 7):
            given.append(pl.DataFrame(rows[at : at + 7], SCHEMA))
        store = Store(self.folder / "store")
        llm = LlmSettings(provider=provider, base_url=self.url, max_retries=0)  # type: ignore[arg-type]
        run = RunSettings(budget_usd=build_usd, concurrency=4)
        context = self.make_context(llm=llm, run=run, files=FileDigests(store), labels=LABELS)
        engine = Engine(context, store, self.folder / f"work{self.count}", policy=policy or Pay())
        step = Reason(on_fail="rewrite", **{"template": "again.j2", **parameters})
        try:
            return engine.run([Step(1, step, "r.yaml:1:1")], given).lazy().collect(), engine
        finally:
            store.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """Writes a distinct reason for each record and try."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback() as server:
        server.answer = lambda call: {"reason": distinct(int(call.id[1:]) + 40)}
        yield server


@pytest.fixture
def run(tmp_path: Path, project: Path, make_context: Callable[..., StepContext], server: Loopback) -> Bench:
    (project / "templates" / "again.j2").write_text(
        "[id:{{ id }}]旧：{{ candidate }}\n问题：{{ faults | join('；') }}\n"
        "不同于：{{ neighbours | join('／') }}"
    )
    return Bench(tmp_path, make_context, server.url)


def rejects(engine: Engine) -> dict[str, tuple[str, str]]:
    lines = (engine.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    return {row["id"]: (row["state"], row["reason"]) for row in map(json.loads, lines)}


def test_only_offenders_are_asked_and_told_what_they_must_differ_from(run: Bench, server: Loopback) -> None:
    rows = [row(0), row(1), row(2, SAME[:-9] + "故归为退款页面。"), row(3, distinct(3)), row(4, "太短")]
    frame, engine = run(rows)
    assert sorted(server.ids()) == ["r01", "r02", "r04"]
    asked = {call.id: call.text for call in server.calls}
    assert "完全相同" in asked["r01"]
    assert asked["r01"].endswith(f"不同于：{SAME}")
    assert "太相似" in asked["r02"]
    assert SAME in asked["r02"].split("不同于：")[1]
    assert "太短，至少写12个字" in asked["r04"]
    found = {one["id"]: one for one in frame.to_dicts()}
    assert [found[id_]["reason"] for id_ in ("r00", "r03")] == [SAME, distinct(3)]
    assert found["r01"]["reason"] == distinct(41)
    assert [one["reason_by"] for one in frame.to_dicts()] == [
        "a person",
        "gpt-4o-mini",
        "gpt-4o-mini",
        "a person",
        "gpt-4o-mini",
    ]
    assert frame["reason_rewrites"].to_list() == [0, 1, 1, 0, 1]
    assert frame["reason_flags"].to_list() == [[]] * 5
    keys = frame["@1.guard.reason"].struct.field("key").to_list()
    assert [key is not None for key in keys] == [False, True, True, False, True]
    (report,) = engine.reports
    notes = report.notes
    assert (notes["flagged_before"], notes["rewritten"], notes["still_failing"]) == (3, 3, 0)
    assert (report.calls, report.new, report.balanced) == (3, 3, True)
    assert report.cost_usd == pytest.approx(3 * PRICE)


def test_second_run_asks_nobody(run: Bench, server: Loopback) -> None:
    rows = [row(number) for number in range(12)]
    first, _ = run(rows)
    asked = server.count
    second, engine = run(rows[::-1])
    assert server.count == asked == 11
    assert dict(first.select("id", "reason").rows()) == dict(second.select("id", "reason").rows())
    assert (engine.reports[0].calls, engine.reports[0].cached) == (0, 11)
    cart = row(21, "读到合计与结算，可见属于购物车页面。", "购物车页面") | {"ocr_text": "合计\n结算"}
    run([*rows, row(20, distinct(20)), cart])
    assert server.count == asked


@pytest.mark.parametrize("across", [False, True])
def test_reasons_of_two_labels_are_compared_and_only_on_request_paid_for_again(
    run: Bench, server: Loopback, across: bool
) -> None:
    text = "顶部写着处理中，中间是进度条，下方有联系商家的按钮，因此属于{}。"
    rows = [
        row(0, text.format("退款页面")),
        row(1, text.format("购物车页面"), "购物车页面"),
        row(2, text.format("支付页面").replace("联系商家的", "联系卖家的"), "支付页面"),
    ]
    server.answer = lambda call: {"reason": distinct(int(call.id[1:]) + 40).split("，")[0] + "，列表齐全。"}
    frame, engine = run(rows, rewrite_across=across)
    assert sorted(server.ids()) == (["r01", "r02"] if across else [])
    marked = [[], ["reason_repeated"], ["reason_too_similar"]]
    assert frame["reason_flags"].to_list() == ([[]] * 3 if across else marked)
    notes = engine.reports[0].notes
    assert (notes["flagged_before"], notes["still_failing"]) == (2, 0 if across else 2)
    frame, engine = run(rows, rewrite_across=across, then="reject")
    assert frame["id"].to_list() == (["r00", "r01", "r02"] if across else ["r00"])
    assert engine.reports[0].balanced


def test_a_reason_that_is_asked_for_again_is_told_nothing_of_other_labels(
    run: Bench, server: Loopback
) -> None:
    text = "顶部写着处理中，中间是进度条，下方有联系商家的按钮，因此属于{}。"
    rows = [row(0, text.format("购物车页面"), "购物车页面"), row(1, text.format("退款页面"))]
    run([*rows, row(2, text.format("退款页面"))])
    assert server.ids() == ["r02"]
    (question,) = [call.text for call in server.calls]
    assert question.endswith(f"不同于：{text.format('退款页面')}")
    assert question.count("完全相同") == 1


def test_what_still_fails_is_asked_again_until_its_tries_are_used_up(run: Bench, server: Loopback) -> None:
    tries: Counter[str] = Counter()

    def script(call: Call) -> Reply | None:
        tries[call.id] += 1
        if call.id == "r01" and tries["r01"] < 3:
            return Reply(content=json.dumps({"reason": SAME}))
        return Reply(content=json.dumps({"reason": SAME})) if call.id == "r02" else None

    server.script = script
    frame, engine = run([row(number) for number in range(4)], max_rewrites=4)
    assert tries == {"r01": 3, "r02": 4, "r03": 1}
    assert frame["reason_rewrites"].to_list() == [0, 3, 4, 1]
    assert frame["reason_flags"].to_list() == [[], [], ["reason_repeated"], []]
    notes = engine.reports[0].notes
    assert (notes["rewritten"], notes["rewrites"], notes["still_failing"]) == (3, 8, 1)


def test_those_that_fail_to_the_end_are_marked_or_rejected(run: Bench, server: Loopback) -> None:
    server.answer = lambda call: {"reason": SAME}
    rows = [row(0), row(1), row(2, distinct(2))]
    frame, engine = run(rows, then="reject")
    assert frame["id"].to_list() == ["r00", "r02"]
    assert "reason_flags" not in frame.columns
    assert rejects(engine) == {"r01": ("rejected", "reason_repeated")}
    assert engine.reports[0].balanced
    frame, engine = run(rows, then="mark")
    assert frame["reason_flags"].to_list() == [[], ["reason_repeated"], []]
    assert server.count == 2


def test_reason_that_was_written_again_gives_way_to_one_that_was_not(run: Bench, server: Loopback) -> None:
    server.answer = lambda call: {"reason": distinct(9)}
    frame, _ = run([row(0, "太短"), row(9, distinct(9))], max_rewrites=1)
    assert set(server.ids()) == {"r00"}
    assert frame["reason_flags"].to_list() == [["reason_repeated"], []]


def test_missing_and_contradicting_reasons_are_written_too_but_not_without_a_label(
    run: Bench, server: Loopback
) -> None:
    wrong = "顶部写着购物车，因此属于购物车页面。"
    rows = [row(0, None), row(1, wrong), row(2, None, None), row(3, None, "没有的类")]
    frame, engine = run(rows)
    assert sorted(server.ids()) == ["r00", "r01"]
    assert frame["reason_flags"].to_list() == [[], [], ["reason_missing"], ["reason_missing"]]
    assert engine.reports[0].balanced


def test_refused_record_keeps_its_reason_and_is_not_asked_again(run: Bench, server: Loopback) -> None:
    server.script = lambda call: Reply(refusal="不便") if call.id == "r01" else None
    for _ in range(2):
        frame, _ = run([row(0), row(1), row(2)])
        assert frame["reason"].to_list()[1] == SAME
        assert frame["reason_flags"].to_list()[1] == ["reason_repeated"]
        assert server.count == 2


def test_answer_that_does_not_come_leaves_its_record_to_the_next_run(run: Bench, server: Loopback) -> None:
    rows = [row(number) for number in range(6)]
    server.script = lambda call: Reply(500) if call.id == "r03" else None
    frame, engine = run(rows)
    assert rejects(engine) == {"r03": ("retry", "server_error")}
    assert (frame.height, engine.reports[0].retry, engine.reports[0].balanced) == (5, 1, True)
    asked = server.count
    server.script = lambda call: None
    frame, engine = run(rows)
    assert server.ids()[asked:] == ["r03"]
    assert frame.height == 6


def test_rounds_wait_for_answers_that_did_not_come(run: Bench, server: Loopback) -> None:
    """Else the next round would rest on what happened to fail, and a later run would ask other questions."""
    rows = [row(number) for number in range(4)]

    def script(call: Call) -> Reply | None:
        if call.id == "r01":
            return Reply(500)
        return Reply(content=json.dumps({"reason": SAME})) if call.id == "r02" else None

    server.script = script
    _, engine = run(rows)
    assert rejects(engine) == {"r01": ("retry", "server_error"), "r02": ("retry", "rewrite_waits")}
    assert server.count == 3


@pytest.mark.parametrize("then", ["mark", "reject"])
@pytest.mark.parametrize(
    "bad",
    [
        Reply(content="说不清楚"),
        Reply(content=""),
        Reply(content='{"reason": "很', finish_reason="length"),
        Reply(content="<think>这是", finish_reason="length"),
    ],
    ids=["in no form", "empty", "cut off", "cut off in thought"],
)
def test_answer_that_cannot_be_read_uses_up_a_try_and_a_second_run_asks_nobody(
    run: Bench, server: Loopback, bad: Reply, then: str
) -> None:
    rows = [row(number) for number in range(18)]
    server.script = lambda call: Reply(**vars(bad)) if call.id == "r03" else None
    frame, engine = run(rows, then=then)
    (report,) = engine.reports
    assert (report.retry, report.balanced) == (0, True), "nobody waits for it"
    assert report.notes["still_failing"] == 1
    if then == "mark":
        assert frame.filter(pl.col("id") == "r03")["reason_flags"].to_list() == [["reason_repeated"]]
        assert frame.filter(pl.col("id") == "r03")["reason"].to_list() == [SAME]
    else:
        assert rejects(engine) == {"r03": ("rejected", "reason_repeated")}
    asked = server.count
    assert sum(call.id == "r03" for call in server.calls) <= 2 * 2  # two tries, each with its second one
    run(rows, then=then)
    assert server.count == asked


def test_model_whose_answers_can_never_be_read_is_asked_again_when_it_is_mended(
    run: Bench, server: Loopback
) -> None:
    rows = [row(number) for number in range(40)]
    server.script = lambda call: Reply(content="说不清楚")
    with pytest.raises(StopProvider):
        run(rows)
    server.script, server.count = (lambda call: None), 0
    frame, _ = run(rows)
    assert server.count == 39
    assert frame["reason_rewrites"].sum() == 39


def test_own_budget_ends_the_rewriting_and_a_second_run_spends_no_second_one(
    run: Bench, server: Loopback
) -> None:
    rows = [row(number) for number in range(60)]
    frame, engine = run(rows, budget_usd=0.0008, build_usd=1.0)
    (report,) = engine.reports
    asked = server.count
    assert 10 < asked < 59
    assert report.cost_usd == pytest.approx(asked * PRICE)
    assert report.cost_usd <= 0.0008
    assert "budget_usd of 0.0008" in report.notes["budget_spent"]
    assert (frame.height, report.retry) == (60, 0)
    assert report.notes["still_failing"] == 59 - asked
    again, engine = run(rows, budget_usd=0.0008)
    assert server.count == asked
    assert again["reason"].to_list() == frame["reason"].to_list()
    assert engine.reports[0].cost_usd == 0
    run(rows, budget_usd=1.0)
    assert server.count == 59


def test_budget_of_the_build_stops_the_build(run: Bench, server: Loopback) -> None:
    rows = [row(number) for number in range(60)]
    with pytest.raises(BudgetSpent):
        run(rows, budget_usd=1.0, build_usd=0.0008)
    asked = server.count
    assert 10 < asked < 59
    frame, _ = run(rows)
    assert (server.count, frame["reason_rewrites"].sum()) == (59, 59)


def test_offline_writer_composes_another_text(run: Bench, server: Loopback) -> None:
    frame, engine = run([row(number) for number in range(8)], provider="offline", max_rewrites=6)
    assert server.count == 0
    assert frame["reason_by"].to_list() == ["a person"] + [offline.NAME] * 7
    assert frame["reason"].n_unique() == 8
    assert engine.reports[0].notes["writer"] == offline.NAME
    assert engine.reports[0].cost_usd == 0


def test_plan_counts_the_answers_that_are_missing_and_pays_nothing(run: Bench, server: Loopback) -> None:
    rows = [row(number) for number in range(5)]
    dry = DryRun()
    frame, _ = run(rows, dry, then="reject")
    assert server.count == 0
    assert (dry.lookups[0].calls, dry.lookups[0].cached) == (4, 0)
    assert (frame.height, dry.open_ids) == (5, {"r01", "r02", "r03", "r04"})
    run(rows)
    used: set[bytes] = set()
    dry = DryRun(referenced=used)
    run(rows, dry)
    assert (dry.lookups[0].calls, dry.lookups[0].cached, len(used)) == (0, 4, 4)


KILLED = """
import json, sys
from pathlib import Path
import polars as pl
from datakit.core.labels import load_labels
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.guard.reason import Reason
from datakit.recipe.recipe import Step
from datakit.run.engine import Engine
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store

folder, url, labels, name = map(Path, sys.argv[1:])
frame = pl.read_parquet(folder / "rows.parquet")
given = RecordFrames(folder / f"given-{name}", dict(frame.schema))
given.append(frame)
context = StepContext(
    base=folder, project=folder, labels=load_labels(labels),
    llm=LlmSettings(base_url=sys.argv[2]), run=RunSettings(concurrency=3),
)
step = Reason(on_fail="rewrite", template="again.j2", max_rewrites=3)
engine = Engine(context, Store(folder / "store"), folder / f"work-{name}")
records = engine.run([Step(1, step, "r:1:1")], given)
records.lazy().collect().write_parquet(folder / f"{name}.parquet")
"""


def test_killed_run_goes_through_the_same_rounds_and_pays_for_no_answer_twice(
    run: Bench, server: Loopback, tmp_path: Path
) -> None:
    """Half of the answers are as bad as before, so that the kill falls into the second round."""
    server.latency_s = 0.03
    server.script = lambda call: (
        Reply(content=json.dumps({"reason": SAME})) if int(call.id[1:]) % 2 and call.attempt == 0 else None
    )
    rows = [row(number) for number in range(40)]
    pl.DataFrame(rows, SCHEMA).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "go.py").write_text(KILLED)
    labels = ROOT / "templates" / "ecom" / "labels.yaml"
    command = [sys.executable, str(tmp_path / "go.py"), str(tmp_path), server.url, str(labels)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "first"], start_new_session=True, env=environment, text=True)
    until(lambda: server.count >= 48, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    server.settle()
    store = Store(tmp_path / "store")
    known = sum(1 for _ in store.entries())
    store.close()
    before = server.count
    assert before - known <= 3  # only those that were under way
    subprocess.run([*command, "second"], check=True, env=environment)
    store = Store(tmp_path / "store")
    everything = sum(1 for _ in store.entries())
    store.close()
    assert known > 39  # the second round had begun
    assert server.count - before == everything - known
    second = pl.read_parquet(tmp_path / "second.parquet")
    assert second["reason_flags"].list.len().sum() == 0
    third, _ = run(rows, max_rewrites=3)
    assert third["reason"].to_list() == second["reason"].to_list()
    assert server.count - before == everything - known


ENGLISH = "The header shows a refund notice and the list names the amount and the account, so it is a refund."


def test_rewriting_stops_when_the_first_twenty_fail_again_for_one_reason(
    run: Bench, server: Loopback
) -> None:
    rows = [row(number, f"{number}，{distinct(number)}") for number in range(60)]
    server.answer = lambda call: {"reason": distinct(int(call.id[1:]) + 400)}
    frame, engine = run(rows, min_chars=250)
    assert server.count == 20
    (report,) = engine.reports
    (warning,) = report.notes["warnings"]
    assert "the first 20 reasons that were written again failed again for reason_too_short" in warning
    assert "the other 40 were not asked for" in warning
    assert "`min_chars`" in warning
    assert report.balanced
    assert frame["reason_flags"].to_list() == [["reason_too_short"]] * 60
    run(rows, min_chars=250)
    assert server.count == 20


def test_rewriting_goes_on_as_before_when_some_of_the_first_succeed(run: Bench, server: Loopback) -> None:
    rows = [row(number) for number in range(60)]
    frame, engine = run(rows)
    assert server.count == 59
    assert "warnings" not in engine.reports[0].notes
    first = [call for call in server.calls if call.id == "r45"]
    assert SAME in first[0].text.split("不同于：")[1], "the round is one: it is told of the texts before it"
    assert frame["reason_flags"].to_list() == [[]] * 60


@pytest.mark.parametrize(("template", "flagged"), [("Write the reason anew. ", 0), ("请重新写理由。", 12)])
def test_bounds_follow_the_language_of_the_template(
    run: Bench, server: Loopback, project: Path, template: str, flagged: int
) -> None:
    (project / "templates" / "again.j2").write_text(template + "[id:{{ id }}]{{ faults | join }}")
    rows = [
        row(number, f"{chr(65 + number) * 40} {number}: {distinct_english(number)}") for number in range(12)
    ]
    _, engine = run(rows, consistent=False, max_rewrites=1)
    assert engine.reports[0].notes["flagged_before"] == flagged
    assert server.count == flagged


def test_bounds_that_are_given_stand_in_any_language(run: Bench, server: Loopback, project: Path) -> None:
    (project / "templates" / "again.j2").write_text("Write the reason anew. [id:{{ id }}]")
    _, engine = run([row(0, ENGLISH)], min_chinese=0.5, consistent=False)
    assert engine.reports[0].notes["flagged_before"] == 1


def distinct_english(number: int) -> str:
    """An English reason that resembles no other one's."""
    draw = random.Random(number)
    return " ".join("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(40))


def test_writer_is_told_in_the_language_of_its_template(run: Bench, server: Loopback, project: Path) -> None:
    (project / "templates" / "again.j2").write_text(
        "Write the reason again. [id:{{ id }}] Before: {{ candidate }} Faults: {{ faults | join('; ') }}"
    )
    run([row(0), row(1), row(2, "太短")])
    asked = {call.id: call.text for call in server.calls}
    assert "it is word for word that of another picture of the label" in asked["r01"]
    assert "too short: write at least 30 characters" in asked["r02"]
