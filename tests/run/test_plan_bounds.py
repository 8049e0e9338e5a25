"""A plan's "at most" holds: whatever a model answers, no more calls and dollars come than the plan named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from datakit.core.errors import DatakitError
from datakit.estimate import estimate_calls
from datakit.library import load
from datakit.run.build import Options, build
from datakit.run.plan import plan
from tests.support.loopback import KEY, Call, Loopback, Reply

HEAD = """\
llm: {{base_url: "{url}", model: gpt-4o-mini}}
labels: labels.yaml
name: shop
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
"""
TAIL = """\
  - render.chat: {prompt: shown.j2, answer: reply.j2}
emit:
  - llamafactory: {images: link}
run: {max_reject_rate: 1.0, concurrency: 8}
"""
ONE = "  - annotate.reason: {template: why.j2, max_tokens: 64}\n"
SEEN = "  - annotate.ask: {template: ask.j2, into: seen, max_tokens: 64}\n"
PRICE = (60 * 0.15 + 40 * 0.075 + 20 * 0.60) / 1e6
"""What an answer of the server costs."""
REWRITTEN = "  - guard.reason: {on_fail: rewrite, template: again.j2, max_rewrites: %d, max_tokens: 64}\n"
DESCRIBED = (
    "  - annotate.describe: {template: see.j2, samples: 2, banned: [可能], max_tries: %d, "
    "referee: judge.j2, max_tokens: 64, on_fail: keep}\n"
)
STEPS = {
    "one question": ONE,
    "question on a question": SEEN
    + "  - annotate.ask: {template: more.j2, answer: {kind: [甲, 乙], sure: boolean}, max_tokens: 64}\n",
    "rewrites": ONE + REWRITTEN % 2,
    "rewrites of what another answer is read for": SEEN
    + "  - annotate.reason: {template: on_seen.j2, max_tokens: 64}\n"
    + REWRITTEN % 3,
    "samples": "  - annotate.describe: {template: see.j2, samples: 3, max_tokens: 64}\n",
    "words and a referee": DESCRIBED % 3,
    "all": DESCRIBED % 2
    + "  - annotate.reason: {template: on_description.j2, max_tokens: 64}\n"
    + REWRITTEN % 2,
}
TEMPLATES = {
    "ask": "什么？[id:{{ id }}]",
    "more": "看到{{ seen }}，哪种？[id:{{ id }}]",
    "why": "为什么是{{ label }}？[id:{{ id }}] reason",
    "on_seen": "看到{{ seen }}，为什么？[id:{{ id }}] reason",
    "on_description": "{{ description }}，为什么？[id:{{ id }}] reason",
    "see": "描述。[id:{{ id }}]",
    "judge": "好吗：{{ candidate }} [id:{{ id }}]",
    "again": "{{ candidate }}{{ faults | join }}{{ neighbours | join }} [id:{{ id }}] reason",
    "shown": "哪种？{% for _ in images %}<image>{% endfor %}",
    "reply": "{{ label }}",
}


@pytest.fixture
def make(project: Path, server: Loopback, tmp_path: Path) -> Callable[[str], Path]:
    from PIL import Image

    def write(steps: str) -> Path:
        for name, text in TEMPLATES.items():
            (project / "templates" / f"{name}.j2").write_text(text, encoding="utf-8")
        (project / "recipes" / "labels.yaml").write_text("labels: [甲, 乙]\n")
        rows = []
        for number in range(7):
            Image.new("RGB", (40 + number, 40), (number * 30, 9, 9)).save(tmp_path / f"{number}.jpg")
            rows.append(
                {"id": f"r{number}", "label": "甲乙"[number % 2], "images": [str(tmp_path / f"{number}.jpg")]}
            )
        (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        path = project / "recipes" / "shop.yaml"
        path.write_text(HEAD.format(url=server.url) + steps + TAIL)
        return path

    return write


def erratic(seed: int, share: float) -> Callable[[Call], Reply | None]:
    """Answers cut off, in no form, with a banned word, alike, or refused by the referee; others are good."""
    draw = random.Random(seed)

    def script(call: Call) -> Reply | None:
        bad, kind = draw.random() < share, draw.randrange(4)
        names = (
            call.body.get("response_format", {})
            .get("json_schema", {})
            .get("schema", {})
            .get("properties", {})
        )
        if bad and kind == 0:
            return Reply(content="{", finish_reason="length")
        if bad and kind == 1:
            return Reply(content="说不清楚")
        if "ok" in names:
            return Reply(content=json.dumps({"why": "不好" if bad else "好", "ok": not bad}))
        if "kind" in names:
            return Reply(content=json.dumps({"kind": "甲", "sure": True}))
        words = (
            "可能都一样，因此属于甲。"
            if bad
            else f"画面{draw.randrange(10**9)}里写着{draw.randrange(10**9)}。"
        )
        return Reply(content=json.dumps(dict.fromkeys(names, words), ensure_ascii=False))

    return script


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_build_never_exceeds_what_its_plan_named(
    make: Callable[[str], Path], server: Loopback, steps: str, share: float
) -> None:
    recipe = load(make(steps))
    server.script = erratic(len(steps), share)
    for _ in range(3):  # a build that must go on has a plan of its own, which holds as well
        named = plan(recipe, estimate=estimate_calls)
        assert named.cost_usd_at_most is not None
        before = server.count
        with suppress(DatakitError):
            build(recipe, Options(allow_partial=True))
        calls = server.count - before
        assert calls <= named.calls_at_most
        assert calls * PRICE <= named.cost_usd_at_most
    if share == 0.0:
        assert server.count > 0
        assert plan(recipe, estimate=estimate_calls).calls_at_most == 0


def test_bound_is_reached_where_everything_goes_wrong(make: Callable[[str], Path], server: Loopback) -> None:
    recipe = load(make(ONE))
    answers = iter([Reply(content="{", finish_reason="length"), Reply(content="说不清楚"), None] * 7)
    server.script = lambda call: next(answers)
    one_by_one = recipe.run.model_copy(update={"concurrency": 1})
    from dataclasses import replace

    recipe = replace(recipe, run=one_by_one)
    named = plan(recipe, estimate=estimate_calls)
    assert named.calls == 7
    build(recipe)
    assert server.count == named.calls_at_most == 21


def test_budget_bounds_the_dollars(make: Callable[[str], Path]) -> None:
    path = make(ONE)
    path.write_text(path.read_text().replace("concurrency: 8", "concurrency: 8, budget_usd: 0.0001"))
    assert plan(load(path), estimate=estimate_calls).cost_usd_at_most == 0.0001


TABLES = """\
  - annotate.image_facts: {}
  - curate.duplicates: {max_hamming: null}
  - curate.split: {val: 0.3}
  - annotate.ask: {template: ask.j2, into: seen, max_tokens: 64}
  - curate.split: {val: 0.3}
  - annotate.reason: {template: on_seen.j2, max_tokens: 64}
"""


def test_pilot_pays_for_steps_behind_steps_that_compare_records(
    make: Callable[[str], Path], server: Loopback
) -> None:
    path = make(TABLES + REWRITTEN % 2)
    named = plan(load(path), estimate=estimate_calls, pilot=4)
    assert server.count == 2 * 4
    assert len(set(server.ids())) == 4
    by_name = {step.name: step for step in named.steps}
    assert (by_name["annotate.ask"].cached, by_name["annotate.ask"].calls) == (4, 3)
    assert by_name["annotate.reason"].cached == 4
    assert "4 records cost $0.0" in named.notes[0]
    assert named.cost_usd
    plan(load(path), estimate=estimate_calls, pilot=4)
    assert len(set(server.ids())) == 7, "the next pilot takes the others"
    before = server.count
    build(load(path))
    assert before == 14
    assert server.count - before <= 7 * 2  # rewrites alone


def test_pilot_that_loses_its_records_says_so(make: Callable[[str], Path], server: Loopback) -> None:
    server.script = lambda call: Reply(400, "no idea")
    named = plan(load(make(ONE)), pilot=3)
    assert any("The pilot ended early" in note and "no idea" in note for note in named.notes)


def test_flagship_pays_for_its_pilot(
    server: Loopback, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    root = Path(__file__).resolve().parents[2]
    for folder in ("recipes", "templates", "examples"):
        shutil.copytree(root / folder, project / folder, dirs_exist_ok=True)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    recipe = load(project / "recipes" / "ecom_v3.yaml")
    named = plan(recipe, estimate=estimate_calls, pilot=3, limit=12)
    assert server.count == 2 * 3, named.notes


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0)])
def test_plan_prices_each_endpoint_with_its_own_model(
    project: Path, monkeypatch: pytest.MonkeyPatch, weights: tuple[float, float]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (project / "templates" / "ask.j2").write_text("什么？[id:{{ id }}]", "utf-8")
    (project / "templates" / "reply.j2").write_text("{{ seen }}", "utf-8")
    (project / "rows.jsonl").write_text("".join(f'{{"id": "r{at}", "text": "t"}}\n' for at in range(20)))

    def planned(llm: str) -> float:
        path = project / "recipes" / "shop.yaml"
        tail = (
            "  - render.chat: {prompt: ask.j2, answer: reply.j2}\nemit:\n  - llamafactory: {images: link}\n"
        )
        path.write_text(
            f"llm: {llm}\nname: shop\nsteps:\n  - read.jsonl: {{path: ../rows.jsonl}}\n{SEEN}{tail}", "utf-8"
        )
        (step,) = (step for step in plan(load(path), estimate=estimate_calls).steps if step.calls)
        assert step.cost_usd is not None
        assert step.cost_usd_at_most is not None
        assert step.cost_usd_at_most >= step.cost_usd
        return step.cost_usd

    place = "http://127.0.0.1:9/v1"
    dear = planned(f'{{base_url: "{place}", model: gpt-4o}}')
    cheap = planned(f'{{base_url: "{place}", model: gpt-4o-mini}}')
    ends = ", ".join(
        f'{{base_url: "{place}", model: {model}, weight: {weight}}}'
        for model, weight in zip(("gpt-4o", "openai/gpt-4o-mini"), weights, strict=True)
    )
    both = planned(f"{{model: unknown, endpoints: [{ends}]}}")
    assert both == pytest.approx((weights[0] * dear + weights[1] * cheap) / sum(weights), rel=0.01)
