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


FULL = ("train.preset=full_zero3_offload", "train.method=full", "train.model=Qwen/Qwen2-VL-7B-Instruct")
OFFLOADED = tuple(word for value in FULL for word in ("--set", value))


@pytest.mark.parametrize(
    ("host_gb", "word"), [("120", "barely"), ("112", "barely"), ("140", "yes"), ("100", "no")]
)
def test_machine_that_trained_7b_whole_is_not_refused_and_has_one_verdict(
    host_gb: str, word: str, planned: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Four 24 GB GPUs and about 120 GB (112 GiB) of host memory are known to work with this preset."""
    machine = ("--gpu-memory-gb", "24", "--host-memory-gb", host_gb)
    code, plan = planned(*OFFLOADED, *machine)
    row = next(row for row in plan["modes"] if row["chosen"])
    assert (row["mode"], plan["gpus"]) == ("z3_offload", 4)
    assert (code, row["fits"], bool(row["tight"])) == (int(word == "no"), word != "no", word == "barely")
    assert run(["plan", RECIPE, "--train", "--out", "/nowhere/at/all", *OFFLOADED, *machine]) == code
    out = capsys.readouterr().out
    assert next(line for line in out.splitlines() if line.startswith(">")).split()[-1] == word
    assert ("The recipe's mode `z3_offload` fits." in out) == (word != "no")
    assert ("Warning: the mode `z3_offload` leaves no host memory" in out) == (word == "barely")
    assert ("cannot be trained here" in out) == (word == "no")


def test_machine_of_nonsense_is_no_machine(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--gpu-memory-gb", "--host-memory-gb"):
        assert run(["plan", RECIPE, "--train", option, "1e300"]) == 2
        assert "not in the range" in capsys.readouterr().err


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
    assert "1 GPU of 80 GiB, " in out


def test_memory_that_a_machine_does_not_tell_is_of_unknown_size(
    trainer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["plan", RECIPE, "--train", "--gpus", "1"])
    out = capsys.readouterr().out
    assert "1 GPU of unknown size, " in out
    assert "of 0 GiB" not in out


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
