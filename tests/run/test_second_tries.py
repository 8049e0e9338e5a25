"""Second tries that never help are not paid for: after twenty the step says which setting mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.errors import DatakitError, Exit
from datakit.library import load
from datakit.llm.second_tries import FIRST
from datakit.run.build import Options, build
from tests.support.loopback import Call, Loopback, Reply

RECIPE = """\
llm: {{provider: openai, base_url: "{url}", model: gpt-4o-mini}}
name: shop
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
  - {step}
  - render.chat: {{prompt: shown.j2, answer: reply.j2}}
emit:
  - llamafactory: {{images: link}}
run: {{max_reject_rate: 1.0, concurrency: {concurrency}}}
"""
ASK = "annotate.ask: {template: ask.j2, into: seen}"
RECORDS = 100
Make = Callable[..., Path]


@pytest.fixture
def make(project: Path, server: Loopback, tmp_path: Path) -> Make:
    from PIL import Image

    def write(step: str = ASK, concurrency: int = 64, images: bool = False) -> Path:
        texts = {"ask": "什么？[id:{{ text }}]", "shown": "哪种？{% for _ in images %}<image>{% endfor %}"}
        for name, text in {**texts, "reply": "{{ text }}"}.items():
            (project / "templates" / f"{name}.j2").write_text(text, encoding="utf-8")
        Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "a.jpg")
        pictures = [str(tmp_path / "a.jpg")] if images else []
        rows = [{"id": f"r{at}", "text": f"t{at}", "images": pictures} for at in range(RECORDS)]
        (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        path = project / "recipes" / "shop.yaml"
        path.write_text(RECIPE.format(url=server.url, step=step, concurrency=concurrency))
        return path

    return write


BAD = {
    "in no form": (Reply(content="说不清楚"), "llm.structured"),
    "cut off": (Reply(content='{"seen": "很', finish_reason="length"), "max_tokens"),
    "cut off in thought": (Reply(content="<think>这是", finish_reason="length"), "llm.thinking: disabled"),
}


@pytest.mark.parametrize("concurrency", [1, 64])
@pytest.mark.parametrize(("reply", "setting"), BAD.values(), ids=BAD)
def test_step_stops_repairing_when_the_first_twenty_fail_and_names_the_setting(
    make: Make, server: Loopback, reply: Reply, setting: str, concurrency: int
) -> None:
    def script(call: Call) -> Reply | None:
        return None if call.id in ("t0", "t99") else Reply(**vars(reply))

    server.script = script
    made = build(load(make(concurrency=concurrency)), Options(allow_partial=True))
    assert server.count == RECORDS + FIRST
    report = made.report.steps[1]
    assert (report.records_out, report.retry) == (2, RECORDS - 2)
    (warning,) = report.notes["warnings"]
    assert f"the first {FIRST} times" in warning
    assert setting in warning


def test_repairs_that_help_now_and_then_go_on(make: Make, server: Loopback) -> None:
    def script(call: Call) -> Reply | None:
        return None if call.attempt and call.id.endswith("3") else Reply(content="说不清楚")

    server.script = script
    made = build(load(make(concurrency=1)), Options(allow_partial=True))
    assert made.report.steps[1].records_out == 10
    assert server.count == 2 * RECORDS


@pytest.mark.parametrize(
    ("reply", "setting"), [*BAD.values(), (Reply(content=""), "llm.thinking")], ids=[*BAD, "empty"]
)
def test_run_ends_when_none_of_the_first_answers_can_be_used(
    make: Make, server: Loopback, reply: Reply, setting: str
) -> None:
    server.script = lambda call: Reply(**vars(reply))
    with pytest.raises(DatakitError) as error:
        build(load(make(concurrency=4)))
    assert error.value.exit_code == Exit.PROVIDER
    assert f"none of the first {FIRST} answers of gpt-4o-mini can be used" in str(error.value)
    assert setting in str(error.value)
    assert server.count <= 2 * FIRST + 10


def test_one_empty_answer_is_one_records_own(make: Make, server: Loopback) -> None:
    server.script = lambda call: Reply(content="") if call.id == "t0" else None
    made = build(load(make()), Options(allow_partial=True))
    assert made.report.steps[1].retry == 1
    assert server.count == RECORDS


def test_run_after_a_partial_build_asks_only_for_what_was_left_and_completes_it(
    make: Make, server: Loopback
) -> None:
    server.script = lambda call: Reply(content="") if call.id in ("t0", "t7") else None
    partial = build(load(make()), Options(allow_partial=True))
    assert (partial.report.retry, partial.report.steps[1].records_out) == (2, RECORDS - 2)
    asked = server.count
    server.script = lambda call: None
    whole = build(load(make()))
    assert server.count == asked + 2
    assert (whole.report.reused, whole.report.retry) == (False, 0)
    assert whole.report.steps[1].records_out == RECORDS
    assert build(load(make())).report.reused
    assert server.count == asked + 2


def test_words_that_no_answer_keeps_to_are_not_asked_for_forever(make: Make, server: Loopback) -> None:
    step = "annotate.describe: {template: ask.j2, banned: [可能], max_tries: 3, on_fail: keep}"
    server.script = lambda call: Reply(content='{"description": "可能是猫"}')
    made = build(load(make(step, images=True)))
    assert server.count == RECORDS + FIRST
    (warning,) = made.report.steps[1].notes["warnings"]
    assert "banned_word" in warning
    assert "`banned`" in warning


def test_question_without_a_readable_answer_is_paid_for_in_three_runs_at_most(
    make: Make, server: Loopback
) -> None:
    recipe = make()
    server.script = lambda call: Reply(content="说不清楚") if call.id == "t7" else None
    for number in range(3):
        made = build(load(recipe), Options(allow_partial=True))
        report = made.report.steps[1]
        assert (report.retry, sum(report.rejected.values())) == ((1, 0) if number < 2 else (0, 1))
    assert report.rejected == {"answer_unreadable": 1}
    asked = server.count
    build(load(recipe), Options(force=True))
    assert server.count == asked
