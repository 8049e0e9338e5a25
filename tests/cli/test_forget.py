"""`datakit cache forget`: a person has answers asked for again, knowing what that costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import Call, Loopback, Reply

Run = Callable[..., Any]
RECIPE = """\
llm: {{provider: openai, base_url: "{url}", model: gpt-4o-mini}}
name: shop
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
  - annotate.describe: {{template: ask.j2, banned: [可能], max_tries: 2}}
  - annotate.ask: {{template: ask.j2, into: seen}}
  - render.chat: {{prompt: shown.j2, answer: reply.j2}}
emit:
  - llamafactory: {{images: link}}
run: {{max_reject_rate: 1.0, concurrency: 4}}
"""


@pytest.fixture
def shop(project: Path, server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    from PIL import Image

    texts = {
        "ask": "什么？[id:{{ text }}]",
        "shown": "哪种？{% for _ in images %}<image>{% endfor %}",
        "reply": "{{ seen }}",
    }
    for name, text in texts.items():
        (project / "templates" / f"{name}.j2").write_text(text, encoding="utf-8")
    rows = []
    for number in range(4):
        Image.new("RGB", (40, 40 + number), (number * 50, 9, 9)).save(tmp_path / f"{number}.jpg")
        rows.append({"id": f"r{number}", "text": f"t{number}", "images": [str(tmp_path / f"{number}.jpg")]})
    (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = project / "recipes" / "shop.yaml"
    path.write_text(RECIPE.format(url=server.url))
    monkeypatch.chdir(project)
    return path


def forgotten(datakit: Run, *options: object) -> dict[str, Any]:
    done = datakit("cache", "forget", "--json", *options)
    assert (done.code, done.err) == (0, "")
    report: dict[str, Any] = json.loads(done.out)
    return report


def calls_of_a_build(datakit: Run, shop: Path, server: Loopback, code: int = 0) -> int:
    before = server.count
    done = datakit("build", shop, "--no-card", "--no-check")
    assert done.code == code, done.err
    return server.count - before


def test_whole_step_is_asked_again_and_no_other(datakit: Run, shop: Path, server: Loopback) -> None:
    assert calls_of_a_build(datakit, shop, server) == 8
    assert calls_of_a_build(datakit, shop, server) == 0
    seen = forgotten(datakit, "--step", "annotate.ask", "--dry-run")
    assert (seen["results"], seen["paid"], seen["removed"]) == (4, 4, False)
    assert seen["cost_usd"] > 0
    assert calls_of_a_build(datakit, shop, server) == 0
    assert forgotten(datakit, "--step", "annotate.ask", "--yes")["removed"]
    assert calls_of_a_build(datakit, shop, server) == 4
    assert calls_of_a_build(datakit, shop, server) == 0


def test_answers_that_were_paid_for_need_a_yes(datakit: Run, shop: Path, server: Loopback) -> None:
    calls_of_a_build(datakit, shop, server)
    done = datakit("cache", "forget", "--step", "annotate.ask")
    assert done.code == 2
    assert "4 of 4 results had cost $0.0" in done.err
    assert "--yes" in done.err
    assert calls_of_a_build(datakit, shop, server) == 0


def test_result_of_several_answers_goes_with_all_of_them(datakit: Run, shop: Path, server: Loopback) -> None:
    calls_of_a_build(datakit, shop, server)
    seen = forgotten(datakit, "--step", "annotate.describe", "--yes")
    assert seen["results"] == 8, "a result and its answer for each record"
    assert calls_of_a_build(datakit, shop, server) == 4


def test_only_the_named_records_are_asked_again(
    datakit: Run, shop: Path, server: Loopback, tmp_path: Path
) -> None:
    calls_of_a_build(datakit, shop, server)
    (tmp_path / "ids").write_text('r1\n{"id": "r3", "reason": "x"}\nr99\n')
    seen = forgotten(datakit, "--step", "annotate.describe", "--ids", tmp_path / "ids", "--yes")
    assert (seen["results"], seen["unknown_ids"]) == (4, ["r99"])
    before = server.count
    assert calls_of_a_build(datakit, shop, server) == 2
    assert sorted(server.ids()[before:]) == ["t1", "t3"]


@pytest.mark.parametrize("named", [False, True], ids=["by its build", "by its name"])
@pytest.mark.parametrize("place", ["shop.yaml", "mine/shop.yaml", "recipes/team/shop.yaml"])
def test_records_of_a_recipe_in_any_folder_are_found(
    datakit: Run, shop: Path, server: Loopback, project: Path, place: str, named: bool
) -> None:
    elsewhere = project / place
    elsewhere.parent.mkdir(exist_ok=True)
    text = shop.read_text().replace("../rows.jsonl", str(project / "rows.jsonl"))
    elsewhere.write_text(text)
    shop.unlink()
    out = ("--out", project / "elsewhere") if named else ()
    assert datakit("build", elsewhere, "--no-card", "--no-check", *out).code == 0
    (project / "ids").write_text("r1\nr3\n")
    options = ("--recipe", elsewhere) if named else ()
    done = datakit("cache", "forget", "--step", "annotate.ask", "--ids", project / "ids", "--yes", *options)
    assert done.out.startswith("Forgot 2 results of annotate.ask.\n")
    before = server.count
    assert datakit("build", elsewhere, "--no-card", "--no-check", *out).code == 0
    assert sorted(server.ids()[before:]) == ["t1", "t3"]


def test_ids_that_no_recipe_has_are_said_with_the_recipes_and_the_option(
    datakit: Run, shop: Path, server: Loopback, project: Path
) -> None:
    calls_of_a_build(datakit, shop, server)
    (project / "ids").write_text("r99\n")
    done = datakit("cache", "forget", "--step", "annotate.ask", "--ids", project / "ids", "--yes")
    assert "nothing to forget" in done.out
    assert "1 id does not reach the step (looked at: recipes/shop.yaml): r99" in done.out
    assert "--recipe" in done.out
    assert "Would" not in done.out


def test_refusals_of_one_reason_go_without_asking(datakit: Run, shop: Path, server: Loopback) -> None:
    def script(call: Call) -> Reply | None:
        if call.id == "t1" and "seen" in str(call.body["response_format"]):
            return Reply(400, "flagged", "content_filter")
        return Reply(refusal="不便") if call.id == "t2" else None

    server.script = script
    calls_of_a_build(datakit, shop, server)
    server.script = lambda call: None
    seen = forgotten(datakit, "--step", "annotate.ask", "--reason", "content_filter")
    assert (seen["results"], seen["rejected"], seen["paid"], seen["removed"]) == (1, 1, 0, True)
    assert calls_of_a_build(datakit, shop, server) == 1


def test_reason_that_is_read_from_answers_finds_them(datakit: Run, shop: Path, server: Loopback) -> None:
    server.script = lambda call: Reply(content='{"description": "可能是猫"}') if call.id == "t0" else None
    calls_of_a_build(datakit, shop, server)
    server.script = lambda call: None
    seen = forgotten(datakit, "--step", "annotate.describe", "--reason", "banned_word", "--yes")
    assert seen["results"] == 3, "the result and both its tries"
    assert calls_of_a_build(datakit, shop, server) == 2, "the description, and the question behind it"


def test_unknown_step_gets_a_hint(datakit: Run, shop: Path, server: Loopback) -> None:
    calls_of_a_build(datakit, shop, server)
    done = datakit("cache", "forget", "--step", "annotate.descrbe")
    assert done.code == 2
    assert "Did you mean `annotate.describe`?" in done.err


def test_nothing_that_fits_is_said(datakit: Run, shop: Path, server: Loopback) -> None:
    calls_of_a_build(datakit, shop, server)
    done = datakit("cache", "forget", "--step", "annotate.ask", "--reason", "refused")
    assert (done.code, done.out) == (
        0,
        "The store holds no such result of annotate.ask: nothing to forget.\n",
    )
    assert calls_of_a_build(datakit, shop, server) == 0
