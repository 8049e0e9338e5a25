"""`datakit train`, `export` on the command line: what is printed, in words and as JSON, and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.cli import run
from tests.support.fake_trainer import calls

Make = Callable[..., Path]
Captured = pytest.CaptureFixture[str]


def test_dry_run_prints_a_line_for_the_shell_and_starts_nothing(
    make_build: Make, trainer: Path, capsys: Captured
) -> None:
    build = make_build(deepspeed="z3", gpus=4, method="full")
    assert run(["train", str(build), "--dry-run"]) == 0
    line = capsys.readouterr().out.strip()
    assert line == f"cd {build} && FORCE_TORCHRUN=1 NPROC_PER_NODE=4 {trainer} train train.yaml"
    assert run(["export", str(build), "--dry-run"]) == 0
    assert capsys.readouterr().out.strip() == f"cd {build} && {trainer} export export.yaml"
    assert calls(trainer.parent) == []


def test_dry_run_needs_neither_trainer_nor_model(
    make_build: Make, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build = make_build(deepspeed="z2", gpus=2, model="Qwen/Qwen2.5-VL-7B-Instruct")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DATAKIT_TRAINER", raising=False)
    assert run(["train", str(build), "--dry-run"]) == 0
    line = "FORCE_TORCHRUN=1 NPROC_PER_NODE=2 llamafactory-cli train train.yaml"
    assert capsys.readouterr().out.strip() == f"cd {build} && {line}"
    assert run(["export", str(build), "--dry-run"]) == 0
    assert capsys.readouterr().out.strip() == f"cd {build} && llamafactory-cli export export.yaml"
    elsewhere = "/gpu/env/bin/python"
    assert run(["train", str(build), "--dry-run", "--python", elsewhere, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"][0] == "/gpu/env/bin/llamafactory-cli"
    assert run(["train", str(build), "--cpu"]) == 2  # without --dry-run it must be there
    assert "not on the PATH" in capsys.readouterr().err


def test_json_is_one_document_and_progress_goes_to_stderr(
    make_build: Make, trainer: Path, capsys: Captured
) -> None:
    build = str(make_build())
    assert run(["train", build, "--cpu", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["steps"] == 4
    assert "Log:" in captured.err
    assert run(["export", build, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["tensors"], made["already"]) == (3, False)
    for command in ("train", "export"):
        assert run([command, build, "--dry-run", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["command"][1] == command


def test_words_name_the_folder_the_steps_and_the_size(
    make_build: Make, trainer: Path, capsys: Captured
) -> None:
    build = str(make_build())
    run(["train", build, "--cpu"])
    assert "(4 steps, loss 0.2500)" in capsys.readouterr().out
    run(["export", build])
    assert "/served (3 tensors" in capsys.readouterr().out


def test_failed_training_ends_with_1_and_wrong_calls_with_2(
    make_build: Make, trainer: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build = str(make_build())
    assert run(["export", build]) == 2
    assert "Train first" in capsys.readouterr().err
    monkeypatch.setenv("FAKE_TRAINER", "oom")
    assert run(["train", build, "--cpu"]) == 1
    assert "memory is full" in capsys.readouterr().err
    assert run(["train", str(tmp_path / "no")]) == 2
    assert "there is no build" in capsys.readouterr().err
    assert run(["train", build, "--gpus", "0"]) == 2
    assert run(["train", build, "--python", "nowhere", "--cpu"]) == 2
    assert "nowhere" in capsys.readouterr().err
