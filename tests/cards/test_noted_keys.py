"""What steps note down under a key has a Chinese word on a Chinese card; keys of plug-ins stay."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from datakit.artifacts.report import StepReport
from datakit.cards.overview import SHOWN_ELSEWHERE
from datakit.cards.write import write_card
from datakit.guard._findings import FLAGS
from tests.cards.test_language import NOTES, PACKAGE
from tests.support.card_builds import ecom

STAGES = ("annotate", "balance", "curate", "emit", "guard", "llm", "mix", "read", "render", "run")
"""Folders of what notes down facts."""
OWN_SECTIONS = {
    *("balance/resample.py", "balance/tasks.py", "guard/personal_data.py", "read/coco.py"),
    *("curate/overrides.py", "curate/suspects.py", "curate/_out_of_fold.py", "curate/_pseudo_account.py"),
}
"""Modules whose notes a section of their own tells, or their warnings."""


def keys_of_notes() -> set[str]:
    """Every key that the shipped steps may note down and that a card shows among the others."""
    keys = {"train", "val", "asked_before", *FLAGS}
    for path in (path for stage in STAGES for path in (PACKAGE / stage).rglob("*.py")):
        if path.relative_to(PACKAGE).as_posix() not in OWN_SECTIONS:
            keys |= {key for node in ast.walk(ast.parse(path.read_text("utf-8"))) for key in _keys(node)}
    return {key for key in keys if key != "warnings" and key not in SHOWN_ELSEWHERE}


def _keys(node: ast.AST) -> Iterator[str]:
    """Those of dicts in what is named notes, and those that are set in one."""
    if isinstance(node, ast.FunctionDef) and node.name in ("notes", "_notes", "numbers"):
        yield from _keys_of_dicts(node)
    elif isinstance(node, ast.FunctionDef) and node.name == "fault_of":
        yield from (one.value.value for one in ast.walk(node) if _returns_words(one))  # type: ignore[attr-defined]
    elif isinstance(node, ast.keyword) and node.arg == "notes":
        yield from _keys_of_dicts(node.value)
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if getattr(target, "id", "") in ("notes", "counts"):
            yield from _keys_of_dicts(node.value)
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            holder = getattr(target.value, "id", getattr(target.value, "attr", ""))
            yield from (str(target.slice.value),) if holder in ("notes", "counts") else ()


def _keys_of_dicts(node: ast.AST) -> Iterator[str]:
    for one in ast.walk(node):
        if isinstance(one, ast.Dict):
            yield from (key.value for key in one.keys if isinstance(key, ast.Constant))


def _returns_words(node: ast.AST) -> bool:
    return isinstance(node, ast.Return) and isinstance(getattr(node.value, "value", None), str)


def test_every_key_that_a_step_may_note_down_has_a_chinese_word_and_none_is_left_over() -> None:
    keys = keys_of_notes()
    assert len(keys) > 60
    assert keys - NOTES.keys() == set()
    assert NOTES.keys() - keys == set()


def test_a_key_of_a_plug_in_stays_as_it_is_on_a_chinese_card(tmp_path: Path) -> None:
    draft = ecom(tmp_path)
    draft.language = "zh"
    notes = {"left_out": {"too_long": 2}, "source": "nobody doubts"}
    draft.steps = [*draft.steps, StepReport(number=99, name="shop.prices", records_in=3, records_out=3)]
    draft.steps[-1].notes.update(notes)
    text = write_card(draft.write(), tmp_path / "data_cards")[0].read_text("utf-8")
    assert "- shop.prices: left out：too long 2；source：nobody doubts" in text
    assert "- mix.general: 来源：read.alpaca；加入：20；未采用：过长 3" in text
