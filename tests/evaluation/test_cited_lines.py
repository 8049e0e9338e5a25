"""How much of what answers cite stands in their pictures, as an evaluation says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction
from datakit.evaluation.cited_lines import CitedLines
from datakit.evaluation.evaluation import Options, score
from datakit.evaluation.from_build import BuildSource
from datakit.evaluation.page import notices
from tests.support.evaluated_builds import answers, right, write_answers


def cites(id_: str, *verdicts: bool | None) -> dict[str, Any]:
    lines = [
        {"image": 0, "box": [1, 2, 3, 4], "label": "结算", "text": None, "holds": holds} for holds in verdicts
    ]
    return {"id": id_, "predicted": "购物车页面", "evidence": lines or None}


def test_lines_are_counted_by_what_ocr_says_of_them() -> None:
    own = [
        Prediction(**cites("a", True, True, False)),
        Prediction(**cites("b", None)),
        Prediction(**cites("c")),
    ]
    lines = CitedLines.of(own)
    assert lines == CitedLines(hold=2, lack=1, unread=1)
    assert str(lines) == (
        "Of 3 lines cited as evidence OCR reads 2 (67%) in place; of 1 more the picture was not read."
    )
    assert CitedLines.of(own[2:]) is None


def test_an_evaluation_says_how_much_of_the_evidence_holds(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "with.jsonl"
    rows = [answer.model_dump(exclude_defaults=True) for answer in answers(folder, right)]
    rows[0]["evidence"] = cites("a", True, False)["evidence"]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain = write_answers(folder, tmp_path / "without.jsonl", right)
    source = BuildSource(BuildFolder.open(folder))
    cited, silent = (score(source, [path], Options(resamples=20))[0].evaluation for path in (own, plain))
    assert cited.evidence == CitedLines(hold=1, lack=1, unread=0)
    assert str(cited.evidence) in notices(cited)
    assert cited.document()["evidence"] == {"hold": 1, "lack": 1, "unread": 0}
    assert "evidence" not in silent.document()
