"""Names that are no text, and models that say odd things: told in words, never by a traceback."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.artifacts.predictions import read
from datakit.artifacts.run_ids import run_id
from datakit.cli import run
from datakit.handoff.answering import who_answers
from datakit.library import build
from datakit.run.build import Options
from tests.support.fake_trainer import write_base
from tests.support.loopback import Loopback
from tests.support.served import ROOT

PICTURE = next((ROOT / "examples" / "ecom").rglob("*.jpg"))


def test_picture_whose_name_is_no_text_is_told_and_the_others_are_asked(
    small: Path, server: Loopback, tmp_path: Path
) -> None:
    folder, out = tmp_path / "new", tmp_path / "answers.jsonl"
    folder.mkdir()
    shutil.copy(PICTURE, folder / "good.jpg")
    shutil.copy(PICTURE, os.fsdecode(os.fsencode(folder) + b"/bad\xff.jpg"))
    words = ["predict", str(small), "--split", str(folder), "--base-url", f"{server.url}/v1"]
    assert run([*words, "--out", str(out)]) == 0
    found = {answer.id: answer for answer in read(out)}
    assert found["good.jpg"].predicted
    assert found["bad\\udcff.jpg"].problem == "image_missing"


def test_build_at_a_place_that_is_no_text_is_an_error_of_the_user(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")
    shutil.copytree(small, place)
    assert run(["predict", place]) == 2
    assert "bad\\udcff is not in UTF-8" in capsys.readouterr().err


class _Brackets(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[" * 20_000)

    def log_message(self, *_: object) -> None:
        pass


def test_server_that_lists_brackets_in_brackets_is_another_one(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Brackets) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert who_answers(server.server_address[1], tmp_path).kind == "other"
        server.shutdown()


def test_weights_at_a_place_that_no_folder_can_have_still_have_an_id(tmp_path: Path) -> None:
    assert run_id(tmp_path, "served", "/a\0b", "http://127.0.0.1:1").startswith("served-")


def recipe_with(folder: Path, **serving: str) -> Path:
    """A recipe with a local base model beside it, `base`."""
    (folder / "recipes").mkdir()
    write_base(folder / "recipes" / "base")
    steps = [
        {"read.jsonl": {"path": f"{ROOT}/examples/ecom/train.jsonl", "image": "image", "label": "label"}},
        {"curate.split": {"val": 0.25}},
        {"render.chat": {"prompt": "ecom/classify_v1.j2", "answer": "label_only"}},
    ]
    recipe: dict[str, Any] = {
        "name": "screens",
        "labels": f"{ROOT}/templates/ecom/labels.yaml",
        "steps": steps,
    }
    recipe |= {"emit": ["llamafactory"], "run": {"max_reject_rate": 1.0}}
    recipe |= {"train": {"model": "./base", "method": "lora"}, "serve": {"gpu_memory_gb": 24, **serving}}
    path = folder / "recipes" / "screens.yaml"
    path.write_text(yaml.safe_dump(recipe), "utf-8")
    return path


@pytest.mark.parametrize("serving", [{}, {"model": "./base"}])
def test_serving_is_planned_for_a_model_beside_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    built = build(recipe_with(tmp_path, **serving), options=Options(limit=8), card=False)
    assert (built.folder / "serve.json").is_file()
    assert built.report.warnings == []


def test_build_without_a_serving_plan_warns_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["build", str(recipe_with(tmp_path, model="./nowhere")), "--limit", "8", "--no-card"]) == 0
    assert "Warning: No serving plan: " in capsys.readouterr().out
