"""`datakit plan --train`: the table for a described machine, and what happens without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit.cli import run
from datakit.training.machine import gpu_memories

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPE = str(ROOT / "recipes" / "ecom_v1.yaml")


@pytest.fixture
def planned(
    capsys: pytest.CaptureFixture[str], trainer: Path, tmp_path: Path
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Exit code and JSON of `datakit plan RECIPE --train …`, with nothing built."""

    def go(*words: str) -> tuple[int, dict[str, Any]]:
        code = run(["plan", RECIPE, "--train", "--json", "--out", str(tmp_path / "no"), *words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, json.loads(captured.out) if captured.out else {"error": captured.err}

    return go


def test_fitting_mode_ends_with_0_and_others_are_told(planned: Callable[..., Any]) -> None:
    code, plan = planned("--gpus", "1", "--gpu-memory-gb", "80", "--host-memory-gb", "100")
    assert (code, plan["chosen"], plan["parameters"]) == (0, "none", 8_292_166_656)
    assert [row["mode"] for row in plan["modes"] if row["chosen"]] == ["none"]
    assert plan["tokens_from"].startswith("cutoff_len")


def test_mode_that_does_not_fit_ends_with_1_and_names_what_is_missing(planned: Callable[..., Any]) -> None:
    full = ("--set", "train.method=full", "--set", "train.gpus=4")
    code, plan = planned(*full, "--gpu-memory-gb", "24", "--host-memory-gb", "256")
    by_mode = {row["mode"]: row for row in plan["modes"]}
    assert code == 1
    assert "GiB on each GPU of 24" in by_mode["none"]["short_of"]
    assert by_mode["z3_offload"]["fits"]
    assert plan["gpus"] == 4


def test_machine_without_gpu_gets_the_table_without_a_verdict(planned: Callable[..., Any]) -> None:
    code, plan = planned()
    assert (code, plan["gpu_memory_gb"]) == (0, 0)
    assert any("--gpu-memory-gb" in note for note in plan["notes"])


def test_longest_row_of_a_build_replaces_cutoff_len(
    make_build: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    build = make_build()
    assert run(["plan", RECIPE, "--train", "--json", "--out", str(build), "--gpu-memory-gb", "80"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tokens_from"] == "the longest row of the build"
    assert 900 < plan["tokens"] < 1100  # 753 of the largest picture, two hundred of the prompt


def test_table_is_printed_with_its_verdict(trainer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", RECIPE, "--train", "--gpus", "1", "--gpu-memory-gb", "80"])
    out = capsys.readouterr().out
    assert "z3_offload_optimizer" in out
    assert "The recipe's mode `none` fits." in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--gpus", "2"), "belong to --train"),
        (("--train", "--set", "train.model=Qwen/Qwen2.5-VL-8B-Instruct"), "not known"),
        (("--train", "--set", "train=null"), "`train:`"),
    ],
)
def test_wrong_calls_end_with_2(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", RECIPE, *words]) == 2
    assert said in capsys.readouterr().err


def test_gpus_are_those_that_nvidia_smi_lists(trainer: Path) -> None:
    assert gpu_memories() == []
    (trainer.parent / "nvidia-smi").write_text("#!/bin/sh\nprintf '24564\\n81559\\n[N/A]\\n'\n")
    assert gpu_memories() == [24_564 << 20, 81_559 << 20]
