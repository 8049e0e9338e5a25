"""`vllm run-batch` answers the files that a build wrote, and the next build takes the answers up."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from datakit.core.errors import Exit

pytestmark = pytest.mark.vllm

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """\
version: 1
name: batched
llm: {provider: openai, model: small, max_image_pixels: 50176, price_in: 0, price_out: 0}
steps:
  - read.jsonl: {path: ../data.jsonl}
  - annotate.ask: {template: ask.j2, answer: {kind: [截图, 照片]}, temperature: 0, max_tokens: 64}
  - render.chat: {prompt: prompt.j2, answer: answer.j2}
emit: [llamafactory]
run: {mode: batch_files}
"""
FLAGS = {
    "--served-model-name": "small",
    "--dtype": "float32",
    "--kv-cache-memory-bytes": "16M",
    "--max-model-len": "2048",
    "--limit-mm-per-prompt": '{"image": 2}',
    "--mm-processor-kwargs": '{"max_pixels": 50176}',
    "--generation-config": "vllm",
    # A random model would write white space between the parts of a JSON object for ever.
    "--structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
}


def built(project: Path) -> tuple[int, str]:
    """Exit code and words of a build without a key."""
    command = [sys.executable, "-m", "datakit.cli", "build", "recipes/batched.yaml", "--no-card"]
    done = subprocess.run([*command, "--no-check"], cwd=project, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_files_of_a_build_are_answered_and_taken_up(project: Path) -> None:
    (project / "recipes" / "batched.yaml").write_text(RECIPE, "utf-8")
    for name, text in (("ask", "这是什么图？"), ("prompt", "<image>哪种？"), ("answer", "{{ kind }}")):
        (project / "templates" / f"{name}.j2").write_text(text, "utf-8")
    screens = sorted((ROOT / "examples" / "ecom" / "images").glob("*.jpg"))[:4]
    with open(project / "data.jsonl", "w", encoding="utf-8") as lines:
        for screen in screens:
            (project / screen.name).write_bytes(screen.read_bytes())
            lines.write(json.dumps({"id": screen.stem, "image": screen.name, "label": "甲"}) + "\n")
    code, told = built(project)
    assert code == Exit.PARTIAL, told
    (command,) = (line.strip() for line in told.splitlines() if "vllm run-batch" in line)
    program, *words = shlex.split(command)
    assert program == "vllm"
    words[words.index("--model") + 1] = os.environ["DATAKIT_TINY_MODEL"]
    words += [word for pair in FLAGS.items() for word in pair]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [os.environ["DATAKIT_VLLM"], *words, "--enforce-eager", "--skip-mm-profiling"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    code, told = built(project)
    assert code == Exit.FINE, told
    records = pl.read_parquet(project / "build" / "batched" / "records.parquet")
    assert len(records) == len(screens)
    assert set(records["kind"]) <= {"截图", "照片"}
    report = json.loads((project / "build" / "batched" / "report.json").read_bytes())
    step = next(step for step in report["steps"] if step["name"] == "annotate.ask")
    assert step["tokens_in"] > 64 * len(screens), "the pictures were read"
    assert list((project / ".datakit" / "batches").glob("*/*.jsonl")) == []
