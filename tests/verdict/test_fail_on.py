"""`run.fail_on`: a finding makes the build fail, the build before stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from datakit.cli import run

LINES = [{"id": f"r{n}", "text": f"第{n}条记录", "label": "甲乙"[n % 2]} for n in range(40)]
RECIPE = """
name: toy
card: {{language: en}}
steps:
  - read.jsonl: {{path: data.jsonl}}
  - curate.split: {{val: 0.2, stratify: label}}
  - render.chat: {{prompt: ask.j2, answer: label_only}}
emit:
  - llamafactory: {{}}
run: {{fail_on: {fail_on}}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "ask.j2").write_text("{{ text }}\n类别？", "utf-8")
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(line) for line in LINES), "utf-8")
    return tmp_path


@dataclass(frozen=True)
class Done:
    exit_code: int
    output: str


Command = Callable[..., Done]


@pytest.fixture
def datakit(project: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*words: str) -> Done:
        capsys.readouterr()
        code = run(list(words))
        return Done(code, "".join(capsys.readouterr()))

    return command


@pytest.fixture
def build(project: Path, datakit: Command) -> Command:
    """Builds the toy recipe with some `run.fail_on`."""

    def command(fail_on: str, *options: str) -> Done:
        (project / "toy.yaml").write_text(RECIPE.format(fail_on=fail_on), "utf-8")
        return datakit("build", "toy.yaml", *options)

    return command


def test_build_with_a_named_finding_fails_and_the_build_before_stays(project: Path, build: Command) -> None:
    assert build("[]").exit_code == 0
    before = (project / "build" / "toy" / "toy_train.json").read_bytes()
    lines = [*LINES, {"id": "again", "text": LINES[0]["text"], "label": "甲"}]
    lines += [{**LINES[number], "id": f"copy{number}"} for number in range(40)]
    (project / "data.jsonl").write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    done = build("[text_leak]")
    assert done.exit_code == 1
    assert "text_leak" in done.output
    again = build("[text_leak]", "--json", "--force")
    assert '"kind": "text_leak"' in again.output
    assert ".toy.failed" in done.output
    assert (project / "build" / "toy" / "toy_train.json").read_bytes() == before
    assert (project / "build" / ".toy.failed" / "toy_train.json").is_file()
    assert build("[]").exit_code == 0  # takes the place, and the failed one is gone
    assert not (project / "build" / ".toy.failed").exists()


def test_unchanged_build_fails_too_when_the_finding_is_named_later(project: Path, build: Command) -> None:
    done = build("[]")
    assert "few_records" not in done.output
    (project / "data.jsonl").write_text("\n".join(json.dumps(line) for line in LINES[:12]), "utf-8")
    done = build("[]")
    assert done.exit_code == 0
    assert "warned few_records" in done.output
    assert "datakit verdict build/toy --kind few_records" in done.output
    assert build("[few_records]").exit_code == 1
    assert build("[label_conflict]").exit_code == 0


def test_verdict_stands_in_json_and_on_the_card(project: Path, build: Command, datakit: Command) -> None:
    (project / "data.jsonl").write_text("\n".join(json.dumps(line) for line in LINES[:12]), "utf-8")
    said = json.loads(build("[]", "--json", "--quiet").output)
    (few,) = [line for line in said["verdict"] if line["kind"] == "few_records"]
    assert few["state"] == "warned"
    assert few["command"] == "datakit verdict build/toy --kind few_records"
    card = (project / "data_cards" / "toy.md").read_text("utf-8")
    assert f"| {few['statement']} | WARNED | {few['words']} | `{few['command']}` |" in card
    shown = json.loads(datakit("verdict", "build/toy", "--kind", "few_records", "--json").output)
    assert [row["label"] for row in shown["records"]] == ["乙", "甲"]


def test_name_that_is_no_finding_is_refused(project: Path, build: Command) -> None:
    done = build("[label_conflit]")
    assert done.exit_code == 2
    assert "fail_on" in done.output
