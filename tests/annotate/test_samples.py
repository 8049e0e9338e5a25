"""annotate.describe with samples, words and a referee: what is asked, what is kept, what is paid again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.annotate.describe import Describe
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.files import FileDigests
from datakit.core.likeness import centrality
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.llm import offline
from datakit.recipe.recipe import Step
from datakit.run.cache import usage
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.policy import Pay, Policy
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.loopback import Call, Loopback, Reply
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = {name: COLUMNS[name] for name in BASE}
PRICE = (60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6
"""Of one call to the loopback server's gpt-4o-mini."""
NEAR = (
    "顶部写着购物车三个字，下方是商品列表。",
    "顶部写着购物车，下方是商品列表和按钮。",
    "顶部写着购物车，下方是商品列表。",
)
FAR = "完全不同的一句话，讲的是别的。"


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Three records with a picture each."""
    out = []
    for number in range(3):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (40, 60), (number, 0, 90)).save(path)
        out.append({"id": f"r{number}", "images": [str(path)], "label": "a", "text": None})
    return out


class Bench:
    """Runs annotate.describe over rows with one store."""

    def __init__(self, folder: Path, make_context: Callable[..., StepContext], url: str) -> None:
        self.folder, self.make_context, self.url, self.count = folder, make_context, url, 0

    def __call__(
        self,
        rows: list[dict[str, Any]],
        policy: Policy | None = None,
        offline: bool = False,
        **parameters: Any,
    ) -> tuple[pl.DataFrame, Any]:
        self.count += 1
        given = RecordFrames(self.folder / f"given{self.count}", SCHEMA)
        given.append(pl.DataFrame([{"source_file": "x", "source_line": 1, **row} for row in rows], SCHEMA))
        store = self.store()
        llm = LlmSettings(provider="offline") if offline else LlmSettings(base_url=self.url, max_retries=0)
        context = self.make_context(llm=llm, run=RunSettings(), files=FileDigests(store))
        engine = Engine(context, store, self.folder / f"work{self.count}", policy=policy or Pay())
        try:
            step = Describe(template="ask.j2", **parameters)
            stage = engine.run([Step(1, step, "r.yaml:1:1")], given)
            return stage.lazy().collect(), engine
        finally:
            store.close()

    def store(self) -> Store:
        return Store(self.folder / "store")


@pytest.fixture
def run(tmp_path: Path, project: Path, make_context: Callable[..., StepContext], server: Loopback) -> Bench:
    (project / "templates" / "ask.j2").write_text("描述这张图。[id:{{ id }}]")
    (project / "templates" / "judge.j2").write_text("【审】{{ candidate }}[id:{{ id }}]")
    return Bench(tmp_path, make_context, server.url)


def reasons(engine: Engine) -> dict[str, str]:
    lines = (engine.folder / "rejects.jsonl").read_text("utf-8").splitlines()
    return {row["id"]: row["reason"] for row in map(json.loads, lines)}


def says(*texts: str) -> Callable[[Call], Reply]:
    """Each question's answers in turn, the last one for ever."""
    seen: Counter[str] = Counter()

    def script(call: Call) -> Reply:
        seen[call.id] += 1
        return Reply(content=json.dumps({"description": texts[min(seen[call.id], len(texts)) - 1]}))

    return script


def test_of_several_samples_the_most_central_stands(run: Bench, server: Loopback, rows: Any) -> None:
    server.script = says(FAR, *NEAR)
    frame, engine = run(rows[:1], samples=4)
    assert server.count == 4
    best = max(range(3), key=lambda at: centrality(NEAR)[at])
    assert frame["description"].to_list() == [NEAR[best]]
    assert engine.reports[0].calls == 4
    assert engine.reports[0].cost_usd == pytest.approx(4 * PRICE)


def test_more_samples_pay_only_for_the_further_ones(run: Bench, server: Loopback, rows: Any) -> None:
    run(rows)
    assert server.count == 3
    dry = DryRun()
    run(rows, dry, samples=3)
    assert (dry.lookups[0].calls, server.count) == (6, 3)
    _, engine = run(rows, samples=3)
    assert (engine.reports[0].calls, server.count) == (6, 9)
    store = run.store()
    assert store.means("annotate.describe/part", "gpt-4o-mini")["cost_usd"] == pytest.approx(PRICE)  # type: ignore[index]
    store.close()
    _, engine = run(rows, samples=5)
    assert (engine.reports[0].calls, server.count) == (6, 15)
    assert engine.reports[0].cost_usd == pytest.approx(6 * PRICE)
    for samples in (5, 3, 1):
        _, engine = run(rows, samples=samples)
        assert (engine.reports[0].calls, engine.reports[0].cached) == (0, 3)
    assert server.count == 15


def test_store_counts_every_call_once(run: Bench, server: Loopback, rows: Any) -> None:
    run(rows)
    run(rows, samples=3, banned=("词",))
    store = run.store()
    try:
        assert sum(step.cost_usd for step in usage(store)) == pytest.approx(server.count * PRICE)
        used: set[bytes] = set()
    finally:
        store.close()
    run(rows, DryRun(referenced=used), samples=3, banned=("词",))
    store = run.store()
    try:
        unused = [entry for entry in store.entries() if entry.key not in used]
    finally:
        store.close()
    assert unused == []


def test_banned_word_is_asked_for_again_and_the_model_is_told(
    run: Bench, server: Loopback, rows: Any
) -> None:
    server.script = says("这是退款页面。", "写着退款与金额。", "写着金额和按钮。")
    frame, engine = run(rows[:1], banned=("退款",), max_tries=4)
    assert frame["description"].to_list() == ["写着金额和按钮。"]
    assert server.count == 3
    assert "退款" not in server.calls[0].text
    assert all("不要出现这些词：“退款”" in call.text for call in server.calls[1:])
    report = engine.reports[0]
    assert (report.calls, report.notes["tried_again"]) == (3, 2)
    assert report.cost_usd == pytest.approx(3 * PRICE)
    store = run.store()
    try:
        (key,) = frame["@1.annotate.describe"].struct.field("key")
        meta = store.get_many([key])[key].outcome.meta
    finally:
        store.close()
    assert meta["cost_usd"] == pytest.approx(3 * PRICE)
    assert (meta["tokens_out"], len(meta["parts"])) == (60, 3)


@pytest.mark.parametrize(
    ("rule", "reason"), [({"banned": ("退款",)}, "banned_word"), ({"required": ("按钮",)}, "missing_word")]
)
def test_words_that_stay_wrong_reject_the_record_or_are_kept_and_marked(
    run: Bench, server: Loopback, rows: Any, rule: Any, reason: str
) -> None:
    server.script = lambda call: says("这是退款。")(call) if call.id == "r1" else says("有按钮。")(call)
    frame, engine = run(rows, max_tries=2, **rule)
    assert frame["id"].to_list() == ["r0", "r2"]
    assert reasons(engine) == {"r1": reason}
    assert engine.reports[0].balanced
    assert server.count == 4
    frame, engine = run(rows, max_tries=2, on_fail="keep", **rule)
    assert server.count == 4
    assert frame["description"].to_list()[1] == "这是退款。"
    faults = frame["description_faults"].to_list()
    assert (faults[0], faults[2]) == ([], [])
    assert faults[1][0].startswith(reason)


def test_another_list_of_words_is_applied_to_the_stored_answers_first(
    run: Bench, server: Loopback, rows: Any
) -> None:
    server.script = says("写着金额和按钮。")
    run(rows, banned=("退款",))
    assert server.count == 3
    run(rows, banned=("退款", "退货"))
    assert server.count == 3
    server.script = says("写着数字和图标。")
    frame, _ = run(rows, banned=("按 钮",))
    assert server.count == 6
    assert frame["description"].to_list() == ["写着数字和图标。"] * 3


def test_referee_gates_and_its_reason_reaches_the_next_try(run: Bench, server: Loopback, rows: Any) -> None:
    def script(call: Call) -> Reply:
        if "【审】" in call.text:
            ok = "改好了" in call.text
            return Reply(content=json.dumps({"why": "" if ok else "漏了底部按钮", "ok": ok}))
        return Reply(
            content=json.dumps({"description": "改好了。" if "漏了底部按钮" in call.text else "初稿。"})
        )

    server.script = script
    frame, engine = run(rows[:1], referee="judge.j2")
    assert frame["description"].to_list() == ["改好了。"]
    assert server.count == 4
    assert engine.reports[0].notes["judged"] == 2
    verdict = server.calls[1]
    assert verdict.images
    assert verdict.body["temperature"] == 0
    assert set(verdict.body["response_format"]["json_schema"]["schema"]["required"]) == {"ok", "why"}
    run(rows[:1], referee="judge.j2")
    assert server.count == 4


def test_referee_judges_the_most_central_sample_first_and_stops_at_the_first_that_is_ok(
    run: Bench, server: Loopback, rows: Any
) -> None:
    written = says(FAR, *NEAR)
    best, second = sorted(range(3), key=lambda at: -centrality((FAR, *NEAR))[at + 1])[:2]
    server.script = lambda call: (
        Reply(content=json.dumps({"ok": NEAR[best] + "[" not in call.text, "why": "不"}))
        if "【审】" in call.text
        else written(call)
    )
    frame, _ = run(rows[:1], samples=4, referee="judge.j2")
    assert frame["description"].to_list() == [NEAR[second]]
    assert server.count == 6


def test_referee_that_never_agrees_rejects_the_record(run: Bench, server: Loopback, rows: Any) -> None:
    server.script = lambda call: (
        Reply(content='{"ok": false, "why": "与图不符"}') if "【审】" in call.text else None
    )
    with pytest.raises(Exception, match="referee_refused 1"):
        run(rows[:1], referee="judge.j2", max_tries=2)
    assert server.count == 3  # the second try said the same, so its verdict was known


def test_sample_that_fails_for_now_leaves_the_record_to_the_next_run_with_its_others_kept(
    run: Bench, server: Loopback, rows: Any
) -> None:
    answered = says(*NEAR)
    server.script = lambda call: Reply(500) if call.number == 2 else answered(call)
    frame, engine = run([*rows[:1], {**rows[0], "id": "words", "images": []}], samples=3)
    assert frame["id"].to_list() == ["words"]
    assert engine.reports[0].retry == 1
    server.script = answered
    frame, _ = run(rows[:1], samples=3)
    assert (frame.height, server.count) == (1, 4)


def test_offline_samples_differ_and_keep_to_the_words(run: Bench, server: Loopback, rows: Any) -> None:
    frame, engine = run(rows, offline=True, samples=3, banned=("偏暗",), max_tries=10, on_fail="keep")
    assert frame["description_by"].unique().to_list() == [offline.NAME]
    assert engine.reports[0].calls >= 9
    assert engine.reports[0].cost_usd == server.count == 0
    assert not any(
        "偏暗" in text
        for text, faults in frame.select("description", "description_faults").rows()
        if not faults
    )


def test_referee_needs_a_model(run: Bench, make_context: Callable[..., StepContext]) -> None:
    context = make_context(llm=LlmSettings(provider="offline"))
    with pytest.raises(UserError, match="referee of annotate"):
        Describe(template="ask.j2", referee="judge.j2").inputs(context)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"samples": 2, "temperature": 0.0}, "all alike"),
        ({"banned": ("",)}, "none of them blank"),
        ({"banned": ("a",), "required": ("a",)}, "both banned and required"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeErrors, match=message):
        Describe(**parameters)


KILLED = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
import json
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.annotate.describe import Describe
from datakit.recipe.recipe import Step
from datakit.run.dry_run import DryRun
from datakit.run.engine import Engine
from datakit.run.policy import Pay, Policy
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
import polars as pl
from datakit.core.record import BASE, COLUMNS
folder = Path({folder!r})
schema = {{name: COLUMNS[name] for name in BASE}}
rows = json.loads((folder / "rows.json").read_text())
given = RecordFrames(folder / ("given-" + sys.argv[1]), schema)
given.append(pl.DataFrame(rows, schema))
llm, run = LlmSettings(base_url={url!r}), RunSettings(concurrency=4)
context = StepContext(base=folder, project=folder, llm=llm, run=run)
step = Describe(template="ask.j2", samples=3, banned=("坏",))
engine = Engine(context, Store(folder / "store"), folder / ("work-" + sys.argv[1]))
engine.run([Step(1, step, "r:1:1")], given)
"""


def test_killed_run_repeats_no_sample_that_was_answered(
    run: Bench, server: Loopback, rows: Any, tmp_path: Path
) -> None:
    server.latency_s = 0.05
    server.script = lambda call: Reply(content='{"description": "坏"}') if call.number % 5 == 0 else None
    many = [{"source_file": "x", "source_line": 1, **rows[0], "id": f"k{n}"} for n in range(30)]
    (tmp_path / "rows.json").write_text(json.dumps(many))
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(root=str(ROOT), folder=str(tmp_path), url=server.url))
    command = [sys.executable, str(script)]
    process = subprocess.Popen([*command, "first"], start_new_session=True, text=True)
    until(lambda: server.count >= 40, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    server.settle()
    before = server.count
    stored = run.store()
    known = sum(1 for entry in stored.entries() if entry.step.endswith("/part"))
    stored.close()
    server.script = lambda call: None
    subprocess.run([*command, "second"], check=True)
    store = run.store()
    parts = sum(1 for entry in store.entries() if entry.step.endswith("/part"))
    store.close()
    assert known >= 20
    assert server.count - before == parts - known


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("描述这张图。[id:{{ id }}]", "注意：\n不要出现这些词：“可能”。"),
        ("Describe what the picture shows. [id:{{ id }}]", "Note:\nDo not use these words: “可能”."),
    ],
)
def test_later_tries_are_told_in_the_language_of_the_template(
    run: Bench, server: Loopback, rows: Any, project: Path, template: str, told: str
) -> None:
    (project / "templates" / "ask.j2").write_text(template)
    server.script = says("可能是购物车。", "是购物车。")
    run(rows[:1], banned=["可能"], max_tries=2)
    assert [told in call.text for call in server.calls] == [False, True]
