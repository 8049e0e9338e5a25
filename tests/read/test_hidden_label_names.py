"""A label file whose names hold signs that nobody sees: the model would learn them, so that it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datakit.library import build

RECIPE = """\
version: 1
name: r
labels: labels.yaml
steps:
- read.jsonl: {path: d.jsonl}
- guard.label: {}
- render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
"""


def warnings(folder: Path, name: str) -> list[str]:
    """What the reader says of a label file with this name, of which the data has the plain form."""
    (folder / "labels.yaml").write_text(json.dumps({"labels": [name, "换货"]}, ensure_ascii=False), "utf-8")
    rows = [{"id": f"r{at}", "text": f"t{at}", "label": "退款" if at % 2 else "换货"} for at in range(4)]
    (folder / "d.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    (folder / "templates").mkdir()
    (folder / "templates" / "ask.j2").write_text("{{ text }}{{ label_json }}", "utf-8")
    (folder / "r.yaml").write_text(RECIPE, "utf-8")
    report = build(folder / "r.yaml", card=False, check=False).report
    found: list[str] = report.steps[0].notes.get("warnings", [])
    return found


@pytest.mark.fault(
    "the label file has zero-width signs, a byte order mark or no-break spaces in a name",
    "the build warns of the names, with the signs written out",
    kind="answers",
)
@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("退\u200b款", "退\\u200b款"),
        ("\ufeff退款", "\\ufeff退款"),
        ("退款\u00a0", "退款\\u00a0"),
        ("退\u2060款", "退\\u2060款"),
        ("退\u00ad款", "退\\u00ad款"),
        ("退款\u3000", "退款\\u3000"),
    ],
)
def test_hidden_signs_in_the_label_file_are_told(tmp_path: Path, name: str, written: str) -> None:
    (line,) = warnings(tmp_path, name)
    assert line == (
        f"the label file has signs that nobody sees, or odd blanks, in `{written}`: answers are learnt with "
        "them. Take them out there"
    )


@pytest.mark.parametrize("name", ["退款", "退 款"])
def test_a_plain_name_is_no_fault(tmp_path: Path, name: str) -> None:
    assert warnings(tmp_path, name) == []
