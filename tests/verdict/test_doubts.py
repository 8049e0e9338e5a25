"""The verdict on doubted labels and declined reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.library import build
from tests.support.loopback import Loopback, Reply

RECIPE = """\
name: declined
labels: labels.yaml
llm: {{base_url: {url}}}
steps:
  - read.jsonl: {{path: rows.jsonl, image: null, label: label}}
  - annotate.reason: {{template: why.j2, may_decline: true{more}}}
  - curate.suspects: {{}}
  - render.chat: {{prompt: ask.j2, answer: {answer}}}
emit: [llamafactory]
run: {{max_reject_rate: 1.0}}
"""
OPTIONAL = "{fields: [{name: reason, optional: true}, label]}"


@pytest.mark.parametrize(
    ("more", "answer", "kept"),
    [("", OPTIONAL, True), ("", "reason_first", False), (", on_decline: reject", OPTIONAL, False)],
)
def test_declined_reasons_reach_the_verdict_whether_their_records_stay_or_not(
    project: Path, server: Loopback, more: str, answer: str, kept: bool
) -> None:
    refusal = {"supported": False, "better": "退货页面", "reason": "写着“寄回方式”"}
    reason = {"supported": True, "better": "", "reason": "写着“退款金额”，可见是退款页面。"}
    server.script = lambda call: Reply(
        content=json.dumps(refusal if "题 a" in call.text else reason, ensure_ascii=False)
    )
    folder = project / "recipes"
    folder.mkdir(exist_ok=True)
    rows = [{"id": name, "label": "退款页面", "text": f"题 {name}"} for name in "ab"]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "rows.jsonl").write_text(lines, "utf-8")
    (folder / "labels.yaml").write_text("labels: [退款页面, 退货页面]\n", "utf-8")
    words = "{{ text }}：{{ label }}{% if may_decline %}（可拒绝）{% endif %}"
    (project / "templates" / "why.j2").write_text(words, "utf-8")
    (project / "templates" / "ask.j2").write_text("{{ text }}\n{{ answer_format }}", "utf-8")
    recipe = folder / "declined.yaml"
    recipe.write_text(RECIPE.format(url=server.url, more=more, answer=answer), "utf-8")
    result = build(recipe, check=False, card=False)
    lines_of = {line.kind: line for line in result.report.verdict}
    assert (lines_of["reason_declined"].state, lines_of["reason_declined"].count) == ("warned", 1)
    assert ("rejected" in lines_of["reason_declined"].words) is not kept
    assert lines_of["label_doubted"].count == (0 if "reject" in more else 1)
