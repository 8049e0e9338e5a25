"""What commands say at a terminal: each thing once, wrapped at its width, commands whole."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import datakit as datakit_package
from datakit.cli.tables import wrapped
from datakit.core.registry import find
from datakit.core.step_context import StepContext
from datakit.library import build
from datakit.run.guard_figures import guard_figures
from tests.support.evaluated_builds import ROOT, make_project

Run = Callable[..., Any]
RECIPE = """\
name: small
labels: ../templates/ecom/labels.yaml
llm: {{provider: offline}}
steps:
  - read.jsonl: {{path: {source}, image: image, label: label, image_root: {root}}}
  - guard.image: {{min_side_px: 28}}
  - annotate.ocr: {{}}
  - annotate.describe: {{template: ecom/describe.j2}}
  - render.chat: {{prompt: ecom/classify_v1.j2, answer: label_only}}
emit: [llamafactory]
train: {{model: Qwen/Qwen2.5-VL-7B-Instruct, method: lora}}
serve: {{gpu_memory_gb: 48}}
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three pictures."""
    project, root = make_project(tmp_path), ROOT / "examples" / "ecom"
    lines = (root / "train.jsonl").read_text("utf-8").splitlines()[:3]
    (project / "three.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    text = RECIPE.format(source="../three.jsonl", root=root)
    (project / "recipes" / "small.yaml").write_text(text, "utf-8")
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 40 columns."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        (
            "Note: words that go on and on beyond the width of it",
            ["Note: words that go on and on beyond", "  the width of it"],
        ),
        (
            "  2 more: datakit verdict build/a_name_that_is_long --kind label_conflict",
            [
                "  2 more:",
                "    datakit verdict build/a_name_that_is_long --kind label_conflict",
            ],
        ),
        (
            '        pip install "datakit[train]" --with-more-words-than-fit',
            ['        pip install "datakit[train]" --with-more-words-than-fit'],
        ),
    ],
)
def test_prose_is_wrapped_and_commands_stay_whole(narrow: None, text: str, lines: list[str]) -> None:
    assert wrapped(text) == lines


def test_chinese_takes_two_columns_a_sign(narrow: None) -> None:
    lines = wrapped("说明：" + "图" * 60)
    assert all(len(line.strip()) <= 20 for line in lines)
    assert "".join(line.strip() for line in lines) == "说明：" + "图" * 60


def test_a_pipe_gets_one_line() -> None:
    assert len(wrapped("words " * 100)) == 1


def test_build_says_once_that_no_model_wrote_and_what_it_waits_for(datakit: Run, small: Path) -> None:
    done = datakit("build")
    assert done.out.count("offline writer") == 1
    assert "offline_texts" in done.out
    assert "annotate.ocr: loading OCR models" in done.err
    again = datakit("build")
    assert again.out.count("offline writer") == 1
    assert "loading" not in again.err


def test_plan_tells_the_time_by_what_was_measured(datakit: Run, small: Path) -> None:
    assert "annotate.ocr about" not in datakit("plan").out
    datakit("build")
    planned = datakit("plan", "--set", "annotate.ocr.long_side_px=800")
    assert re.search(r"\(annotate\.ocr about \d+ s\)", planned.out)
    steps = json.loads(datakit("plan", "--set", "annotate.ocr.long_side_px=800", "--json").out)["steps"]
    step = next(step for step in steps if step["name"] == "annotate.ocr")
    assert step["seconds"] > 0
    assert 0 < step["wall_s"] <= step["seconds"]


def test_plan_of_a_training_without_a_gpu_reckons_with_that_of_the_recipe(
    datakit: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(small))  # no nvidia-smi
    planned = datakit("plan", "--train")
    assert planned.code == 0
    assert "1 GPU of 48 GiB" in planned.out
    assert "serve.gpu_memory_gb 48" in planned.out
    other = datakit("plan", "--train", "--gpu-memory-gb", "24")
    assert ("1 GPU of 24 GiB" in other.out, "serve.gpu_memory_gb" in other.out) == (True, False)
    assert datakit("plan", "--train", "--set", "serve.gpu_memory_gb=8").code == 0


def test_bundle_is_called_as_the_build_where_no_name_is_given(
    datakit: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datakit("build")
    (small / "here").mkdir()
    monkeypatch.chdir(small / "here")
    done = datakit("bundle", small / "build" / "small")
    assert (done.code, "tar xf small.tar" in done.out) == (0, True), done.err
    assert [path.name for path in Path().iterdir()] == ["small.tar"]


def test_why_tells_what_a_guard_held_the_record_to(datakit: Run, small: Path) -> None:
    datakit("build")
    told = datakit("why", "build/small", "screen-0001").out
    assert "min_side_px 28, " in told, told
    assert ", images 720 x 1560" in told
    steps = json.loads(datakit("why", "build/small", "screen-0001", "--json").out)["steps"]
    assert [step["name"] for step in steps if step["figures"]] == ["guard.image"]


def test_what_guards_nothing_has_no_figures(tmp_path: Path) -> None:
    context = StepContext(base=tmp_path, project=tmp_path)
    assert guard_figures(find("annotate.image_facts")(), {"images": []}, context) == {}
    gone = {"images": [str(tmp_path / "gone.png")], "id": "a"}
    assert "images" not in guard_figures(find("guard.image")(), gone, context)


def test_doctor_tells_each_purpose_once_and_commands_that_can_be_copied(
    datakit: Run, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    checks = json.loads(datakit("doctor", "--json").out)["checks"]
    names = [check["name"] for check in checks]
    assert len(names) == len(set(names))
    assert not ({"ocr", "extra ocr"} <= set(names))
    told = datakit("doctor").out.splitlines()
    assert "        export OPENAI_API_KEY=KEY" in told


def test_examples_of_transforms_name_the_recipe_that_they_are_of(datakit: Run) -> None:
    told = datakit("transforms", "guard.image").out
    recipe = told.partition("Example of ")[2].partition(":")[0]
    assert "guard.image" in (ROOT / recipe).read_text("utf-8")


def test_differences_are_coloured_on_a_terminal_alone(small: Path) -> None:
    build("recipes/small.yaml", card=False)
    old = small / "build" / "old"
    (small / "build" / "small").rename(old)
    prompt = small / "templates" / "ecom" / "classify_v1.j2"
    prompt.write_text(prompt.read_text("utf-8").replace("图", "画", 1), "utf-8")
    build("recipes/small.yaml", card=False)
    coloured = at_terminal("diff", "build/old", "build/small")
    assert "\x1b[9;31m[-图-]" in coloured
    assert "\x1b[" not in at_terminal("diff", "build/old", "build/small", NO_COLOR="1")
    assert len(coloured.splitlines()) < 24


def test_lines_of_why_and_check_fit_a_terminal_of_80_columns_without_colour(small: Path) -> None:
    from rich.cells import cell_len

    build("recipes/small.yaml", card=False)
    id_ = json.loads((small / "three.jsonl").read_text("utf-8").splitlines()[0])["id"]
    for words in (("why", "build/small", id_), ("check", "build/small"), ("plan", "recipes/small.yaml")):
        text = at_terminal(*words, NO_COLOR="1")
        assert "\x1b[" not in text
        tables = ("data set", " " * 60, "small_")  # ten columns of figures need more
        wide = [line for line in text.splitlines() if cell_len(line) > 80 and not line.startswith(tables)]
        assert wide == []
    whole = at_terminal("why", "build/small", id_, "--full", NO_COLOR="1")
    assert any(cell_len(line) > 80 for line in whole.splitlines())


def at_terminal(*words: str, **environment: str) -> str:
    """What a command prints on a terminal of 80 by 24."""
    ours, theirs = pty.openpty()
    package = str(Path(datakit_package.__file__).parent.parent)
    known = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    known |= {"PYTHONPATH": package, "COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "datakit.cli", *words]
    process = subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL, env=known)
    os.close(theirs)
    parts = []
    try:
        while data := os.read(ours, 1 << 16):
            parts.append(data)
    except OSError:  # how Linux says that the other end is closed
        pass
    process.wait()
    os.close(ours)
    return b"".join(parts).decode()
