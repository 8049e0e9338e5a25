"""`datakit plan`: what a build would do and why, without doing it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.emitter_records import picture
from tests.support.loopback import KEY, Loopback

Run = Callable[..., Any]


def plan_of(datakit: Run, recipe: Path, *options: str) -> dict[str, Any]:
    done = datakit("plan", recipe, "--json", *options)
    plan: dict[str, Any] = json.loads(done.out)
    assert (done.code, done.err) == (int(bool(plan["stops"])), "")
    plan["by_name"] = {step["name"]: step for step in plan["steps"]}
    return plan


def log_of(recipe: Path) -> Path:
    return recipe.parent.parent / "log"


def test_plan_of_a_fresh_project_counts_calls_and_makes_none(datakit: Run, recipe: Path) -> None:
    plan = plan_of(datakit, recipe)
    assert (plan["unchanged"], plan["calls"]) == (False, 6)
    work, again = plan["by_name"]["toy.work"], plan["by_name"]["toy.process_work"]
    assert (work["records"], work["cached"], work["to_do"], work["at_most"]) == (3, 0, 3, False)
    assert (again["calls"], again["at_most"]) == (3, True)
    assert plan["by_name"]["toy.only_odd"]["rejected"] == 3
    assert work["why"] == ["never built"]
    assert not log_of(recipe).exists()
    assert not (recipe.parent.parent / "build").exists()


def test_plan_agrees_with_the_build_that_follows(datakit: Run, recipe: Path) -> None:
    calls = plan_of(datakit, recipe)["calls"]
    assert datakit("build", recipe, "--no-card").code == 0
    assert len(log_of(recipe).read_text().split()) == calls
    after = plan_of(datakit, recipe)
    assert (after["unchanged"], after["calls"]) == (True, 0)
    assert after["by_name"]["toy.work"]["cached"] == 3
    assert "keep build/toy as it is" in datakit("plan", recipe).out


def test_table_says_what_its_columns_count_where_there_is_work(datakit: Run, recipe: Path) -> None:
    legend = "those `cached` have a result and those `to do` have none"
    assert legend in datakit("plan", recipe).out
    assert datakit("build", recipe, "--no-card").code == 0
    assert legend not in datakit("plan", recipe).out


def test_plan_says_that_a_build_would_stop_at_too_many_rejects(datakit: Run, recipe: Path) -> None:
    plan = plan_of(datakit, recipe, "--set", "run.max_reject_rate=0.1")
    assert "3 of 6 records were rejected" in plan["stops"]
    assert "For example" in plan["stops"]
    done = datakit("plan", recipe, "--set", "run.max_reject_rate=0.1")
    assert (done.code, "A build would make nothing" in done.out) == (1, True)
    assert datakit("build", recipe, "--no-card", "--set", "run.max_reject_rate=0.1").code == 1
    assert plan_of(datakit, recipe)["stops"] == ""


def test_changed_parameter_is_named_with_its_cost(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    plan = plan_of(datakit, recipe, "--set", "toy.work.times=3")
    work = plan["by_name"]["toy.work"]
    assert work["why"] == ["times: 1 -> 3"]
    assert (work["calls"], work["cost_usd"]) == (3, 1.5)  # each stored result cost 0.5
    assert plan["by_name"]["toy.process_work"]["calls"] == 0
    assert plan["changed"] == ["recipe: toy.work.times: 3 added"]


def test_new_records_are_told_from_changed_ones(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    work = plan_of(datakit, recipe, "--set", "toy.numbers.count=10")["by_name"]["toy.work"]
    assert (work["cached"], work["to_do"], work["why"]) == (3, 2, ["2 records are new"])


def test_parameter_outside_the_key_changes_the_build_and_costs_nothing(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    done = datakit("plan", recipe, "--set", "toy.work.suffix=ab")
    assert "Changed: recipe: toy.work.suffix: ab added" in done.out
    assert "anew without a call" in done.out


def test_results_that_left_the_store_are_named(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    (recipe.parent.parent / ".datakit" / "results.sqlite").unlink()
    (recipe.parent.parent / "build" / "toy" / "ids.txt").unlink()
    plan = plan_of(datakit, recipe)
    assert "missing in the store" in plan["by_name"]["toy.work"]["why"][0]
    assert plan["changed"] == ["ids.txt of the build is missing or was edited"]


def test_inserted_step_moves_no_other(datakit: Run, recipe: Path) -> None:
    datakit("build", recipe, "--no-card")
    recipe.write_text(recipe.read_text().replace("  - toy.only_odd\n", "  - toy.only_odd\n  - toy.shout\n"))
    plan = plan_of(datakit, recipe)
    assert (plan["calls"], plan["changed"]) == (0, ["recipe: toy.shout: {} added"])


def test_wrong_recipe_ends_with_code_2_and_its_line(datakit: Run, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("count: 6", "cuont: 6"))
    done = datakit("plan", recipe)
    assert done.code == 2
    assert "recipes/toy.yaml:3:" in done.err
    assert "Did you mean `count`?" in done.err


def test_missing_recipe_names_those_that_are_there(datakit: Run, recipe: Path) -> None:
    done = datakit("plan", "recipes/toi.yaml")
    assert done.code == 2
    assert "toy.yaml" in done.err


def test_records_that_a_stored_result_rejects_are_cached_neither_before_a_change_nor_after_it(
    datakit: Run, project: Path
) -> None:
    sides = {"a": (40, 40), "b": (60, 60), "tiny": (4, 4)}
    for name, size in sides.items():
        picture(project / f"{name}.png", size=size)
    rows = [{"id": name, "images": [f"{name}.png"], "label": "甲"} for name in sides]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "templates" / "chat.j2").write_text("<image>?")
    recipe = project / "recipes" / "shop.yaml"
    recipe.write_text(
        "name: shop\nsteps:\n  - read.jsonl: {path: ../rows.jsonl}\n  - guard.image: {min_side_px: 28}\n"
        "  - render.chat: {prompt: chat.j2, answer: label_only}\nemit: [parquet]\n"
        "run: {max_reject_rate: 1.0}\n"
    )
    assert datakit("build", recipe, "--no-card").code == 0
    for options in ((), ("--set", "seed=8")):
        step = plan_of(datakit, recipe, *options)["by_name"]["guard.image"]
        counts = [step[name] for name in ("records", "rejected", "cached", "to_do")]
        assert counts == [3, 1, 2, 0], options


def test_help_shows_examples(datakit: Run) -> None:
    assert "Examples:" in datakit("plan", "--help").out


def test_labels_that_were_edited_and_pictures_that_are_gone_are_named(
    datakit: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(project)
    for name in "ab":
        picture(project / f"{name}.png")
    rows = [{"id": name, "images": [f"{name}.png"], "label": "甲"} for name in "ab"]
    (project / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "templates" / "ask.j2").write_text("{{ label_json }}[id:{{ id }}]", encoding="utf-8")
    (project / "templates" / "chat.j2").write_text("<image>{{ label_json }}", encoding="utf-8")
    (project / "templates" / "reply.j2").write_text("{{ answer }}", encoding="utf-8")
    labels = project / "templates" / "labels.yaml"
    labels.write_text("labels: [{name: 甲, description: 一}, {name: 乙, description: 二}]", encoding="utf-8")
    with Loopback() as server:
        (project / "recipes" / "shop.yaml").write_text(
            "name: shop\nlabels: ../templates/labels.yaml\n"
            f'llm: {{provider: openai, base_url: "{server.url}", price_in: 1.0, price_out: 1.0}}\n'
            "steps:\n  - read.jsonl: {path: ../rows.jsonl}\n"
            "  - annotate.ask: {template: ask.j2, into: answer}\n"
            "  - render.chat: {prompt: chat.j2, answer: reply.j2}\n"
            "emit: [llamafactory]\nrun: {max_reject_rate: 1.0}\n"
        )
        assert datakit("build", "recipes/shop.yaml", "--no-card").code == 0
        picture(project / "a.png", colour=(1, 2, 3))
        assert "1 record has another picture content" in datakit("plan", "recipes/shop.yaml").out
        (project / "a.png").unlink()
        gone = datakit("plan", "recipes/shop.yaml").out
        labels.write_text(labels.read_text("utf-8").replace("一", "一二"), "utf-8")
        edited = datakit("plan", "recipes/shop.yaml").out
    assert "the label file was edited" in edited
    assert "picture content" not in edited
    assert "are gone, such as" in gone
