"""The recipe's `language:` chooses the shipped prompts, in its build and where the build is served."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from datakit.core.errors import RecipeErrors
from datakit.core.templates import Templates
from datakit.core.transform import Annotator, PromptRenderer
from datakit.library import load

ROOT = Path(__file__).resolve().parents[2]


def recipe(folder: Path, language: object, name: str = "ecom_v3") -> Path:
    text = (ROOT / "recipes" / f"{name}.yaml").read_text("utf-8").replace("../", f"{ROOT.as_posix()}/")
    data = yaml.safe_load(text) | ({} if language is None else {"language": language})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), "utf-8")
    return path


@pytest.mark.parametrize("name", ["ecom_v1", "ecom_v2", "ecom_v3", "ecom_serve", "medical", "ecom_grounded"])
@pytest.mark.parametrize(("language", "english"), [(None, False), ("zh", False), ("en", True)])
def test_every_shipped_recipe_is_right_in_both_languages(
    tmp_path: Path, name: str, language: str | None, english: bool
) -> None:
    loaded = load(recipe(tmp_path, language, name))
    context = loaded.context()
    for step in loaded.steps:
        if isinstance(step.transform, Annotator | PromptRenderer):
            step.transform.inputs(context)
        for template in step.transform.templates():
            digest = context.templates.digest(template)
            alike = template.startswith(("answer/label_only", "answer/two_turn"))
            chinese = Templates([ROOT / "templates"]).digest(template)
            assert (digest != chinese) == (english and not alike), template


@pytest.mark.parametrize("language", ["fr", "english", 1, ["en"], True])
def test_another_language_is_told_with_its_place(tmp_path: Path, language: object) -> None:
    with pytest.raises(RecipeErrors, match="no prompts in the language") as caught:
        load(recipe(tmp_path, language))
    assert "ecom_v3.yaml:" in str(caught.value)


def test_a_build_that_keeps_its_templates_needs_no_twin(tmp_path: Path) -> None:
    shipped = Templates([ROOT / "templates"], "en")
    (tmp_path / "ecom").mkdir()
    (tmp_path / "ecom" / "reason.j2").write_text(shipped.source("ecom/reason.j2"), "utf-8")
    kept = Templates([tmp_path, ROOT / "templates"], "en")
    assert kept.source("ecom/reason.j2") == shipped.source("ecom/reason_en.j2")
    assert kept.pinned().source("ecom/reason.j2") == shipped.source("ecom/reason_en.j2")
