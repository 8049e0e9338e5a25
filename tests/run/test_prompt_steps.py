"""What serving a picture takes is known when the data is built: which steps, which of them ask a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.library import load
from datakit.run.prompt_steps import serving_work

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("recipe", "calls", "given"),
    [
        ("ecom_v1", {}, []),
        ("ecom_v2", {"annotate.ocr": 0}, []),
        ("ecom_v3", {"annotate.image_facts": 0, "annotate.ocr": 0, "annotate.describe": 1}, []),
        ("ecom_serve", {"annotate.ocr": 0}, []),
        ("medical", {"annotate.image_facts": 0, "annotate.describe": 1}, ["text"]),
    ],
)
def test_shipped_recipes_say_what_serving_takes(recipe: str, calls: dict[str, int], given: list[str]) -> None:
    for provider in ("openai", "offline"):  # the offline writer is paid nothing
        found = load(ROOT / "recipes" / f"{recipe}.yaml", [f"llm.provider={provider}"])
        work = serving_work(found, found.context())
        assert work is not None
        paid = calls if provider == "openai" else dict.fromkeys(calls, 0)
        assert {step.name: step.calls for step in work.steps} == paid
        assert (work.given, work.fault) == (given, "")


def test_samples_and_a_referee_are_more_calls() -> None:
    found = load(
        ROOT / "recipes" / "ecom_v3.yaml",
        ["annotate.describe.samples=3", "annotate.describe.referee=ecom/referee.j2", "llm.provider=openai"],
    )
    work = serving_work(found, found.context())
    assert work is not None
    assert [step.calls for step in work.steps if step.name == "annotate.describe"] == [6]


def test_prompt_that_needs_the_label_cannot_be_served() -> None:
    found = load(ROOT / "recipes" / "ecom_v3.yaml", ["annotate.describe.template=ecom/reason.j2"])
    work = serving_work(found, found.context())
    assert work is not None
    assert "with the label in view" in work.fault
