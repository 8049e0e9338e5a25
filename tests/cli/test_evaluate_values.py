"""`datakit evaluate` on several labels, numbers and free text, and a referee that is paid once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.value_builds import make_value_build, truths_in, write_values

Run = Callable[..., Any]
FIELD = {"labels": "found", "number": "price", "text": "caption"}
PRICES = ("--set", "llm.price_in=1000", "--set", "llm.price_out=1000")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Loopback() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield server


def verdict(call: Call) -> Reply:
    """Full marks for a cat; the half of them for anything else."""
    said = call.text.split("<candidate>\n")[1].splitlines()[0]
    return Reply(content=json.dumps({"why": f"说的是{said}", "score": 1.0 if "猫" in said else 0.5}))


def answered(folder: Path, kind: str, name: str = "a", *, change: Any = None) -> Path:
    """Answers to the validation records, every third of them changed."""
    truth = truths_in(BuildFolder.open(folder), FIELD[kind])
    values = {id_: change if at % 3 == 1 else value for at, (id_, value) in enumerate(truth.items())}
    return write_values(folder.with_name(f"{kind}-runs") / name / "predictions.jsonl", values, FIELD[kind])


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("labels", ["cat", "dog", "bird"], ("subset accuracy", "Hamming loss", "class, weakest first")),
        ("number", "viel", ("mean absolute error", "Spearman", "4 answers are no number", "not_a_number")),
        ("text", "狗", ("character F1", "ANLS", "exact match")),
    ],
)
def test_every_task_has_its_figures_in_terminal_json_page_ledger_and_card(
    datakit: Run, tmp_path: Path, kind: str, change: Any, words: tuple[str, ...]
) -> None:
    folder = make_value_build(tmp_path, kind)
    path = answered(folder, kind, change=change)
    done = datakit("evaluate", folder, "--predictions", path)
    assert (done.code, done.err) == (0, "")
    for word in (*words, "worst answers", "evaluation.html", "1 added"):
        assert word in done.out, word
    found = json.loads((path.parent / "evaluation.json").read_text("utf-8"))
    assert (found["task"], found["field"], found["records"]) == (kind, FIELD[kind], 12)
    line = json.loads((folder.parent.parent / "data_cards" / "scores.jsonl").read_text("utf-8"))
    assert (line["task"], list(line["metrics"])) == (kind, list(found["metrics"]))
    card = (folder.parent.parent / "data_cards" / f"{kind}.md").read_text("utf-8")
    assert words[0] in card.split("## Scores")[1]
    shown = datakit("scores", "--project", folder.parent.parent)
    assert (shown.code, words[0] in shown.out) == (0, True)
    better = answered(
        folder, kind, "b", change=next(iter(truths_in(BuildFolder.open(folder), FIELD[kind]).values()))
    )
    done = datakit("evaluate", folder, "--predictions", path, "--predictions", better)
    assert (done.code, "McNemar's exact test" in done.out) == (0, True)
    shown = datakit("scores", "--project", folder.parent.parent)
    assert f"  {words[0][0].upper()}{words[0][1:]} " in shown.out


def test_tolerance_says_what_is_near_enough(datakit: Run, tmp_path: Path) -> None:
    folder = make_value_build(tmp_path, "number")
    truth = truths_in(BuildFolder.open(folder), "price")
    path = write_values(tmp_path / "p.jsonl", {id_: value + 0.1 for id_, value in truth.items()}, "price")
    for options, share in (((), 0.0), (("--tolerance", "0.1"), 1.0)):
        done = datakit("evaluate", folder, "--predictions", path, "--json", *options)
        found = json.loads(done.out)["evaluations"][0]
        assert found["metrics"]["within_tolerance"]["value"] == share


def test_referee_is_planned_paid_once_and_shown(datakit: Run, tmp_path: Path, server: Loopback) -> None:
    server.script = verdict
    folder = make_value_build(tmp_path, "text")
    path = answered(folder, "text", change="狗")
    judge = ("evaluate", folder, "--predictions", path, "--referee", "referee/judge_text.j2")
    done = datakit(*judge, "--plan")
    assert (done.code, "12 answers, 9 calls" in done.out, server.count) == (0, False, 0), done.out
    assert "Referee: 12 answers, 12 calls of gpt-4o-mini for about $" in done.out
    done = datakit(*judge)
    assert (done.code, server.count) == (0, 12), done.err
    assert "referee" in done.out
    assert len(server.calls[0].images) == 1  # it sees the picture
    found = json.loads((path.parent / "evaluation.json").read_text("utf-8"))
    assert found["metrics"]["referee"]["value"] == pytest.approx((8 + 4 * 0.5) / 12)
    assert found["referee"]["judged"] == 12
    assert "说的是狗" in (path.parent / "evaluation.html").read_text("utf-8")
    done = datakit(*judge)
    assert (done.code, server.count) == (0, 12)
    assert "0 calls; the others were judged before" in done.out
    other = answered(folder, "text", "b", change="一只鸟")  # its other answers are the same ones
    datakit("evaluate", folder, "--predictions", other, "--referee", "referee/judge_text.j2")
    assert server.count == 16


def test_referee_keeps_to_the_budget_and_goes_on_later(
    datakit: Run, tmp_path: Path, server: Loopback
) -> None:
    server.script = verdict
    folder = make_value_build(tmp_path, "text")
    path = answered(folder, "text", change="狗")
    judge = ("evaluate", folder, "--predictions", path, "--referee", "referee/judge_text.j2", *PRICES)
    done = datakit(*judge, "--set", "run.budget_usd=9.3", "--set", "run.concurrency=1", "--json")
    assert (done.code, "run.budget_usd (9.3) is used up" in done.err) == (4, True)
    paid = server.count
    assert 0 < paid < 12, done.err
    facts = json.loads(done.out)["evaluations"][0]["referee"]
    assert (facts["judged"], facts["open"]) == (paid, 12 - paid)
    assert datakit(*judge).code == 0
    assert server.count == 12


def test_verdict_outside_0_to_1_is_none(datakit: Run, tmp_path: Path, server: Loopback) -> None:
    server.script = lambda call: Reply(content='{"why": "good", "score": 85}')
    folder = make_value_build(tmp_path, "text")
    path = answered(folder, "text", change="狗")
    done = datakit("evaluate", folder, "--predictions", path, "--referee", "referee/judge_text.j2", "--json")
    found = json.loads(done.out)["evaluations"][0]
    assert (found["referee"]["judged"], found["referee"]["open"]) == (0, 12)
    assert "referee" not in found["metrics"]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("number", ("--referee", "referee/judge_text.j2"), "a referee judges free text"),
        ("text", ("--referee", "referee/judge_text.j2"), "the offline writer cannot judge"),
        ("text", ("--plan",), "belong to --referee"),
    ],
)
def test_referee_that_cannot_judge_is_refused(
    datakit: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = make_value_build(tmp_path, kind)
    path = answered(folder, kind)
    done = datakit("evaluate", folder, "--predictions", path, *options)
    assert (done.code, words in done.err) == (2, True), done.err


@pytest.mark.parametrize("kind", ["labels", "number", "text"])
def test_json_of_values_has_chance_and_next_steps_too(
    datakit: Run, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_value_build(tmp_path, kind)
    path = answered(folder, kind)
    (evaluation,) = json.loads(datakit("evaluate", folder, "--predictions", path, "--json").out)[
        "evaluations"
    ]
    assert evaluation["chance"]["metrics"].keys() <= evaluation["metrics"].keys()
    assert evaluation["chance"]["metrics"]
    assert all(step["text"] for step in evaluation["next_steps"])
