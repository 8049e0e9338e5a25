"""Formats of a build's files: those of datakit 0.1.0 are read, newer ones are refused with the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.checked import CheckReport
from datakit.artifacts.document import Document
from datakit.artifacts.emitted import Emitted
from datakit.artifacts.format_version import NewerFormat
from datakit.artifacts.ledger import Score, add_score, read_scores
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.predictions import Prediction
from datakit.artifacts.report import BuildReport
from datakit.artifacts.serving import Serving
from datakit.core.answer_forms import NEWEST
from datakit.core.errors import UserError

OLD: dict[str, tuple[type[Document], dict[str, Any]]] = {
    "manifest.json": (Manifest, {"datakit": "0.1.0", "name": "a", "settings": "00", "content": "c0ffee"}),
    "report.json": (BuildReport, {"name": "a", "recipe": "recipes/a.yaml", "steps": []}),
    "emitted.json": (Emitted, {"trainer": "llamafactory", "image_max_pixels": None, "files": {}}),
    "check.json": (CheckReport, {"errors": 0, "warnings": 1, "notes": 0, "steps": 12}),
    "serve.json": (
        Serving,
        {
            "model": "MODEL",
            "name": "a",
            "port": 8000,
            "tensor_parallel": 1,
            "max_model_len": 2048,
            "max_answer_tokens": 64,
        },
    ),
}
"""What datakit 0.1.0 wrote, in short."""
READERS: dict[str, Callable[[BuildFolder], Any]] = {
    "manifest.json": lambda build: build.manifest,
    "report.json": lambda build: build.report,
    "emitted.json": lambda build: build.emitted,
    "check.json": lambda build: build.check,
    "serve.json": lambda build: build.serving,
    "answer.json": lambda build: build.answer_format,
}
ANSWER = {"turns": [{"variables": ["label"], "constants": ["", ""]}]}


@pytest.mark.parametrize("name", OLD)
def test_file_without_a_version_has_format_1(name: str, tmp_path: Path) -> None:
    model, document = OLD[name]
    (tmp_path / name).write_bytes(orjson.dumps(document))
    found = READERS[name](BuildFolder(tmp_path))
    assert isinstance(found, model)
    assert found.version == 1
    assert found.model_dump(include=set(document)) == document


@pytest.mark.parametrize("name", OLD)
def test_written_file_says_its_format(name: str) -> None:
    model, document = OLD[name]
    assert orjson.loads(model.model_validate(document).to_json())["version"] == model.FORMAT


@pytest.mark.parametrize("name", READERS)
def test_newer_format_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    document, newest = (ANSWER, NEWEST) if name == "answer.json" else (OLD[name][1], 1)
    (tmp_path / name).write_bytes(orjson.dumps({**document, "version": newest + 1, "unheard_of": []}))
    with pytest.raises(NewerFormat, match=f"{name} has format {newest + 1}") as caught:
        READERS[name](BuildFolder(tmp_path))
    assert "Upgrade datakit" in caught.value.remedy
    assert "build again" in caught.value.remedy


@pytest.mark.fault(
    "a file of a build is damaged, or is something else", "an error in words with its name", kind="bounds"
)
@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("data", [b'{"version": 1', b"[]", b'{"version": "x"}'])
def test_damaged_file_is_an_error_in_words(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=name) as caught:
        READERS[name](BuildFolder(tmp_path))
    assert "Build again" in caught.value.remedy


def test_newer_prediction_is_refused_although_its_fields_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    lines = [{"id": "a", "predicted": "x"}, {"id": "b", "predicted": "x", "version": 2, "votes": 3}]
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    with pytest.raises(NewerFormat, match=r"predictions.jsonl:2 has format 2"):
        list(predictions.read(path))


def test_lines_of_format_1_name_no_version(tmp_path: Path) -> None:
    predictions.write(tmp_path / "predictions.jsonl", [Prediction(id="a", predicted="x")])
    assert (tmp_path / "predictions.jsonl").read_bytes() == b'{"id":"a","predicted":"x"}\n'
    score = Score(
        date="2026-11-26",
        name="a",
        content="c",
        split="val",
        records=1,
        metrics={},
        run="r",
        predictions_sha256="s",
    )
    add_score(tmp_path / "scores.jsonl", score)
    assert b"version" not in (tmp_path / "scores.jsonl").read_bytes()


def test_newer_line_of_the_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_bytes(orjson.dumps({"version": 2, "accuracy": 1.0}))
    with pytest.raises(NewerFormat, match=r"scores.jsonl:1 has format 2"):
        read_scores(tmp_path / "scores.jsonl")
