"""The driver's answers: of the GPUs that may be used, and why there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.core.nvidia_driver import NoDriver, gpu_lines

TWO = """#!/bin/sh
case "$1" in
  --query-gpu=index,*) printf '0, H100, 1\\n1, H200, 2\\n';;
  *) printf 'H100, 1\\nH200, 2\\n';;
esac
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program = tmp_path / "nvidia-smi"
    program.write_text(TWO, "ascii")
    program.chmod(0o755)
    return program


def test_each_gpu_has_a_line(driver: Path) -> None:
    assert gpu_lines("name", "memory.total") == ["H100, 1", "H200, 2"]


@pytest.mark.parametrize(
    ("visible", "seen"), [("1", ["H200, 2"]), ("1, 0", ["H100, 1", "H200, 2"]), ("", [])]
)
def test_gpus_that_are_hidden_by_number_are_left_out(
    visible: str, seen: list[str], driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_lines("name", "memory.total") == seen
    assert [line.partition(", ")[2] for line in gpu_lines("index", "name", "memory.total")] == seen


def test_gpus_named_by_uuid_are_all_told(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f3a")
    assert len(gpu_lines("name", "memory.total")) == 2


def test_driver_that_fails_is_told_from_none_at_all(driver: Path) -> None:
    driver.write_text("#!/bin/sh\necho NVML: Driver/library version mismatch\nexit 18\n", "ascii")
    with pytest.raises(NoDriver, match="version mismatch") as failing:
        gpu_lines("name")
    driver.unlink()
    with pytest.raises(NoDriver, match="not here") as absent:
        gpu_lines("name")
    assert (failing.value.answered, absent.value.answered) == (True, False)
