"""Every build is checked: what was found lies in it, and errors keep it from its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datakit.library import build
from datakit.run.build import BuildFailed

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Path]]:
    """Builds a shipped recipe from few records; all share one result store."""
    project = tmp_path_factory.mktemp("project")
    for name in ("recipes", "templates", "examples"):
        shutil.copytree(ROOT / name, project / name)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
            patch.delenv(name, raising=False)

        def make(recipe: str, *overrides: str, check: bool = True) -> Path:
            path = project / "recipes" / f"{recipe}.yaml"
            return build(path, overrides=overrides, card=False, check=check).folder

        yield make


def test_there_are_recipes_to_build() -> None:
    assert {"ecom_v1", "ecom_v3", "medical"} <= set(RECIPES)


@pytest.mark.parametrize("recipe", ["ecom_v1", "medical"])
def test_build_of_a_shipped_recipe_is_clean(shipped: Callable[..., Path], recipe: str) -> None:
    folder = shipped(recipe)
    found = json.loads((folder / "check.json").read_bytes())
    assert (found["errors"], found["warnings"], found["findings"]) == (0, 0, [])
    assert found["settings"]["train_yaml"] == "train.yaml"
    assert found["settings"]["dataset_dir"] == "."
    assert found["data_sets"][0]["rows"] > 20
    assert found["proposal"]["fits_all"] > 0
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert "check.json" in manifest["artifacts"]


def test_error_keeps_the_build_from_its_place(shipped: Callable[..., Path]) -> None:
    folder = shipped("ecom_v1")
    before = (folder / "train.yaml").read_text()
    with pytest.raises(BuildFailed, match="`cutoff_len` cuts picture tokens") as caught:
        shipped("ecom_v1", "train.cutoff_len=300")
    assert "ecom_v1_train.json:2 screen-" in str(caught.value)
    assert "--no-check" in str(caught.value)
    assert (folder / "train.yaml").read_text() == before


def test_build_without_the_check_stands(shipped: Callable[..., Path]) -> None:
    folder = shipped("ecom_v1", "train.cutoff_len=300", check=False)
    assert not (folder / "check.json").exists()
    assert "cutoff_len: 300" in (folder / "train.yaml").read_text()


def test_warnings_stand_in_the_report(shipped: Callable[..., Path]) -> None:
    folder = shipped("medical", "train.packing=true")
    report = json.loads((folder / "report.json").read_bytes())
    (warning,) = [line for line in report["warnings"] if line.startswith("check, ")]
    assert warning.startswith("check, packing: ")
    assert "see each other" in warning
    assert json.loads((folder / "check.json").read_bytes())["warnings"] == 1
