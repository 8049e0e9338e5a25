from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import datakit
from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import UserError
from datakit.guard.personal_data import PersonalData
from datakit.serving.prompting import BuildPrompts, Prompter
from datakit.verdict.kinds import records_of

RECIPE = """
version: 1
name: masked
steps:
  - read.jsonl: {{path: ../notes.jsonl}}
  - guard.personal_data: {{{parameters}}}
  - curate.split: {{val: 0.25}}
  - render.chat: {{prompt: ask.j2, answer: {{fields: [{{name: answer}}]}}}}
emit:
  - llamafactory: {{}}
"""
PERSON = "收件人：张伟 13800138000"


def built(folder: Path, parameters: str) -> BuildFolder:
    """A build of eight notes, of which every other one holds a name and a number."""
    for name in ("recipes", "templates"):
        (folder / name).mkdir()
    rows = [
        {"id": f"n{at}", "text": f"{PERSON} 第{at}条" if at % 2 else f"第{at}条", "answer": f"张伟要第{at}件"}
        for at in range(8)
    ]
    (folder / "notes.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    (folder / "templates" / "ask.j2").write_text("{{ text }}\n{{ answer_format }}", "utf-8")
    recipe = folder / "recipes" / "masked.yaml"
    recipe.write_text(RECIPE.format(parameters=parameters), "utf-8")
    datakit.build(str(recipe))
    return BuildFolder.open(folder / "build" / "masked")


def served(build: BuildFolder, row: dict[str, Any]) -> str:
    """The prompt of a record as the classifier would send it."""

    async def asked() -> str:
        with ThreadPoolExecutor(1) as pool:
            prompter = Prompter(BuildPrompts.load(build), pool)
            prompt, _ = await prompter.turns(row)
            await prompter.close()
            return prompt.users[0]

    return asyncio.run(asked())


def test_served_prompt_is_masked_as_the_trained_one(tmp_path: Path) -> None:
    build = built(tmp_path, "fields: [text, answer]")
    rows = {row["id"]: row["messages"] for split in ("train", "val") for row in build.rows(split)}
    assert "张伟" not in json.dumps(rows["n1"], ensure_ascii=False)
    assert "张*要第1件" in rows["n1"][-1]["content"]
    prompt = served(build, {"id": "n1", "images": [], "text": f"{PERSON} 第1条"})
    assert prompt == rows["n1"][-2]["content"]


def test_another_version_of_the_guard_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = built(tmp_path, "fields: [text]")
    monkeypatch.setattr(PersonalData, "version", 99)
    with pytest.raises(UserError, match=r"guard\.personal_data would not change texts as it did"):
        BuildPrompts.load(build)


def test_what_was_left_is_told_and_listed(tmp_path: Path) -> None:
    build = built(tmp_path, "fields: [text, answer], mode: report")
    finding, records = records_of(build, "personal_data")
    assert records is not None
    assert (finding.state, finding.count, records.collect().height) == ("warned", 4, 4)
    assert finding.words == "name in 4 records, telephone number in 4 records, and was left (`mode: report`)"


def test_masked_texts_pass_and_no_page_holds_a_number(tmp_path: Path) -> None:
    build = built(tmp_path, "fields: [text, answer]")
    assert records_of(build, "personal_data")[0].state == "passed"
    pages = [*(tmp_path / "data_cards").rglob("*"), *build.path.glob("*.json*")]
    texts = [path.read_text("utf-8", errors="replace") for path in pages if path.is_file()]
    assert texts
    assert not any("13800138000" in text for text in texts)


def test_column_of_the_answer_that_nobody_looks_at_is_told(tmp_path: Path) -> None:
    finding, _ = records_of(built(tmp_path, "fields: [text]"), "personal_data")
    assert finding.state == "warned"
    assert finding.words == "in nothing that was looked at; not looked at: answer"
