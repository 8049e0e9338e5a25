"""A small build of the example screens with a base model that is a folder: fixtures of several folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.library import build
from tests.support.fake_trainer import install, write_base

ROOT = Path(__file__).resolve().parents[2]
RECIPE = f"""\
name: screens
labels: {ROOT}/templates/ecom/labels.yaml
steps:
  - read.jsonl: {{path: ../first.jsonl, image: image, label: label, image_root: {ROOT}/examples/ecom}}
  - curate.split: {{val: 0.25, stratify: label}}
  - render.chat: {{prompt: ecom/classify_v1.j2, answer: label_only}}
emit: [llamafactory]
run: {{max_reject_rate: 1.0}}
train: %s
"""


def build_screens(project: Path, section: dict[str, Any], *, records: int) -> Path:
    """A build of the first screens in a project, with this `train:` section."""
    recipe = project / "recipes" / "screens.yaml"
    recipe.parent.mkdir(parents=True, exist_ok=True)
    recipe.write_text(RECIPE % yaml.safe_dump(section, default_flow_style=True))
    write_first(project, records)
    return build(recipe, card=False).folder


def write_first(project: Path, records: int) -> None:
    """first.jsonl, which the recipe reads: the first screens of the example."""
    lines = (ROOT / "examples" / "ecom" / "train.jsonl").read_text("utf-8").splitlines(keepends=True)
    (project / "first.jsonl").write_text("".join(lines[:records]), "utf-8")


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake llamafactory-cli, first on the PATH, on a machine that nvidia-smi gives no GPU."""
    folder = tmp_path / "trainer"
    program = install(folder)
    (folder / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    for name in ("DATAKIT_TRAINER", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "FAKE_TRAINER"):
        monkeypatch.delenv(name, raising=False)
    return program


@pytest.fixture(scope="session")
def _builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def make_build(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, _builds: dict[str, Path]
) -> Callable[..., Path]:
    """Builds eight screens with a `train:` section; equal sections are built once and copied."""

    def make(**section: Any) -> Path:
        base = tmp_path / "base"
        if not base.exists():
            write_base(base)
        full = {"model": "./base", "method": "lora", **section}
        key = repr(sorted(full.items()))
        if key not in _builds:
            project = tmp_path_factory.mktemp("project")
            write_base(project / "recipes" / "base")
            _builds[key] = build_screens(project, full, records=8)
        target = tmp_path / "build" / "screens"
        shutil.copytree(_builds[key], target)
        return target

    return make
