"""`datakit predict` and a bundle ask alike, read alike and score alike: they are one code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.serving.asking import contents
from datakit.serving.records import split_items
from datakit.serving.requirements import AskedTokens, longest_prompt, trained_rooms
from tests.support.evaluated_builds import as_packed
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.roads import LABELS, SAY, Roads, answering, completion, make_build, place, rows

Get = Callable[[str], Roads]


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Get:
    """Both roads of a form; each build is made once."""
    known: dict[str, Roads] = {}

    def get(form: str) -> Roads:
        if form not in known:
            folder = tmp_path_factory.mktemp(form)
            known[form] = Roads.of(make_build(folder / "project", form), folder / "there")
        return known[form]

    return get


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with Loopback(models=("small",)) as found:
        yield found


def asked(calls: list[Call]) -> list[tuple[str, int]]:
    """The bodies of requests and their bytes, in an order of their own."""
    return sorted((json.dumps(call.body, sort_keys=True), call.size) for call in calls)


def by_both(road: Roads, server: Loopback, folder: Path, *words: str) -> tuple[Path, Path]:
    """The predictions of both roads, which sent the same requests."""
    folder.mkdir(exist_ok=True)
    first, second = folder / "datakit.jsonl", folder / "bundle.jsonl"
    road.by_datakit(server, first, *words)
    before = list(server.calls)
    done = road.by_bundle(server, second, *words)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert asked(server.calls[len(before) :]) == asked(before)
    assert before
    assert rows(second) == rows(first)
    return first, second


@pytest.mark.parametrize("form", SAY)
def test_both_roads_send_the_same_bytes_and_score_the_same(
    roads: Get, server: Loopback, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    road = roads(form)
    server.script = answering(form)
    _, second = by_both(road, server, tmp_path)
    found = rows(second)
    assert len(found) == 14
    assert any("problem" in row for row in found.values())
    assert any("problem" not in row for row in found.values())
    images = {url for call in server.calls for url in call.images}
    assert len(images) == 14
    assert all(url.startswith("data:image/png;base64,") for url in images)
    assert scored_by_bundle(road, second) == scored_by_datakit(road, second, capsys)


def scored_by_datakit(road: Roads, answers: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    words = ["evaluate", str(road.build), "--predictions", str(answers), "--no-ledger", "--json"]
    assert run([*words, "--out", str(answers.parent / "page")]) == 0
    return without_place(json.loads(capsys.readouterr().out)["evaluations"][0])


def scored_by_bundle(road: Roads, answers: Path) -> dict[str, Any]:
    out = answers.with_name("evaluation.json")
    done = road.script("evaluate.py", str(answers), "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    evaluation = json.loads(out.read_text("utf-8"))
    assert evaluation["metrics"]
    for figure in evaluation["metrics"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]
    return without_place(evaluation)


def without_place(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Without when and where it was made, and without entries for the label file, which need the records."""
    assert {"date", "run", "proposals"} <= evaluation.keys()
    own = ("date", "run", "proposals", "chance", "before", "next_steps")
    packed = [as_packed(pair) for pair in evaluation["pairs"]]
    return {**{name: value for name, value in evaluation.items() if name not in own}, "pairs": packed}


@pytest.mark.parametrize("form", ["label_first", "two_turn", "number"])
def test_run_sh_asks_and_scores_as_datakit_does(
    roads: Get, server: Loopback, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    road = roads(form)
    server.script = answering(form)
    first = tmp_path / "datakit.jsonl"
    road.by_datakit(server, first)
    before = list(server.calls)
    done = road.run_sh(server, "predict", "evaluate")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert asked(server.calls[len(before) :]) == asked(before)
    (answers,) = (road.there / f"{form}-runs").glob("small-*/predictions_val_small-*.jsonl")
    assert rows(answers) == rows(first)
    (scores,) = answers.parent.glob("evaluation-val_small-*.json")
    evaluation = without_place(json.loads(scores.read_text("utf-8")))
    assert evaluation == scored_by_datakit(road, answers, capsys)
    assert (road.there / "results.tar").is_file()


TOKEN = {"token": "购", "logprob": -0.1, "top_logprobs": [{"token": "购", "logprob": -0.1}]}
SAID = {"content": "购物车页面"}
ODD: list[tuple[Reply, str | None, str]] = [
    (
        completion({"content": [{"type": "text", "text": "购物"}, {"type": "text", "text": "车页面"}]}),
        LABELS[0],
        "",
    ),
    (completion({"content": None, "reasoning_content": "购物车页面"}), LABELS[0], ""),
    (completion({"content": "购物车页面", "reasoning": "像退款页面"}), LABELS[0], ""),
    (completion({"content": "<think>\n退款页面\n</think>\n\n购物车页面"}), LABELS[0], ""),
    (completion({"content": "像\n退款页面\n</think>购物车页面"}), LABELS[0], ""),
    (completion({"content": [{"type": "thinking", "thinking": "退款"}, "购物车页面"]}), LABELS[0], ""),
    (completion(SAID, usage={"prompt_tokens": "90", "completion_tokens": "7"}), LABELS[0], ""),
    (completion(SAID, usage=None), LABELS[0], ""),
    (completion(SAID, usage=["?"], choice={"logprobs": [{"token": "购"}]}), LABELS[0], ""),
    (completion(SAID, choice={"logprobs": {"content": [{"token": "购", "logprob": None}]}}), LABELS[0], ""),
    (completion(SAID, choice={"logprobs": {"content": [TOKEN]}}), LABELS[0], ""),
    (Reply(raw=json.dumps(completion(SAID).raw.decode()).encode()), LABELS[0], ""),  # type: ignore[union-attr]
    (completion({"content": "<think>还在想"}, choice={"finish_reason": "MAX_TOKENS"}), None, "thinking_cut"),
    (completion({"content": "购物车"}, choice={"finish_reason": "MAX_TOKENS"}), None, "label_unknown"),
]


def test_odd_answers_give_the_same_row_by_both_roads(roads: Get, server: Loopback, tmp_path: Path) -> None:
    road = roads("label_only")
    numbers = sorted(int(row["id"][1:]) for row in BuildFolder(road.build).rows("val"))
    assert len(numbers) == len(ODD)
    server.script = lambda call: ODD[numbers.index(place(call))][0]
    _, second = by_both(road, server, tmp_path)
    found = rows(second)
    for number, (_, label, problem) in zip(numbers, ODD, strict=True):
        row = found[f"r{number:02d}"]
        assert (row.get("predicted"), row.get("problem", "")) == (label, problem), row
    confident = [row["confidence"] for row in found.values() if "confidence" in row]
    assert len(confident) == 1
    assert 0.9 < confident[0] <= 1.0
    assert "cut off" in found[f"r{numbers[-1]:02d}"]["detail"]


@pytest.mark.fault("a bundle asks a server that wants a key", "the key is written nowhere", kind="secrets")
def test_key_of_the_server_is_used_and_written_nowhere(roads: Get, server: Loopback, tmp_path: Path) -> None:
    road = roads("label_only")
    server.script = lambda call: Reply(400, f"no, Bearer {KEY}") if place(call) % 2 else completion(SAID)
    done = road.by_bundle(server, tmp_path / "out.jsonl")
    assert done.returncode == 0, "refused each time in the same words while others are answered: final"
    assert all(call.headers["authorization"] == f"Bearer {KEY}" for call in server.calls)
    places = [*tmp_path.rglob("*"), *road.there.parent.rglob("*")]
    assert not [path for path in places if path.is_file() and KEY.encode() in path.read_bytes()]
    assert KEY not in done.stdout + done.stderr
    refused = [
        row for row in rows(tmp_path / "out.jsonl").values() if row.get("problem") == "request_refused"
    ]
    assert len(refused) == len({place(call) for call in server.calls if place(call) % 2}) > 0
    assert all("***" in row["detail"] for row in refused)


def test_server_that_wants_a_key_says_which_one(
    roads: Get, server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_API_KEY")
    done = roads("label_only").by_bundle(server, tmp_path / "out.jsonl")
    assert done.returncode == 5
    assert "Put the server's key into VLLM_API_KEY" in done.stderr


def test_room_for_answers_follows_the_trained_ones_and_the_context(
    roads: Get, server: Loopback, tmp_path: Path
) -> None:
    road = roads("free_text")
    build = BuildFolder(road.build)
    (trained,), prompt = trained_rooms(build), longest_prompt(build)
    server.script = lambda call: completion({"content": "猫"})
    for context, room in ((None, trained), (prompt + 100_000, trained)):
        assert set(rooms_asked_for(road, server, tmp_path / str(context), context)) == {room}


def test_context_that_is_short_leaves_each_record_what_its_own_prompt_does(
    roads: Get, server: Loopback, tmp_path: Path
) -> None:
    road = roads("free_text")
    build = BuildFolder(road.build)
    server.script = lambda call: completion({"content": "猫"})
    context, (trained,) = longest_prompt(build) + 9, trained_rooms(build)
    count = AskedTokens(build)
    expected = sorted(
        min(
            trained,
            context - (count(str(item.id), *contents(item.messages), list(map(str, item.images))) or 0),
        )
        for item in split_items(build, "val")
    )
    assert expected[0] < trained
    assert sorted(rooms_asked_for(road, server, tmp_path / "out", context)) == sorted(expected * 2)


def rooms_asked_for(road: Roads, server: Loopback, out: Path, context: int | None) -> list[int]:
    """`max_tokens` of every request of both roads, at a server of this context."""
    listed = {"id": "small", "max_model_len": context}
    server.list_page = Reply(raw=json.dumps({"data": [listed]}).encode())
    server.calls.clear()
    by_both(road, server, out)
    return [call.body["max_tokens"] for call in server.calls]


REFUSALS = (
    "This model's maximum context length is 500 tokens. However, you requested 516 tokens (490 in the "
    "messages, 26 in the completion). Please reduce the length of the messages or completion.",
    "'max_tokens' or 'max_completion_tokens' is too large: 26. This model's maximum context length is 500 "
    "tokens and your request has 490 input tokens (26 > 500 - 490).",
    "You passed 490 input tokens and requested 26 output tokens. However, the model's context length is only "
    "500 tokens, resulting in a maximum input length of 474 tokens.",
)
"""In the words of three versions of vLLM."""


@pytest.mark.parametrize("words", REFUSALS)
def test_server_that_has_less_room_is_asked_for_what_it_has(
    roads: Get, server: Loopback, tmp_path: Path, words: str
) -> None:
    def answer(call: Call) -> Reply:
        return Reply(400, words) if call.body["max_tokens"] > 10 else completion({"content": "猫"})

    server.script = answer
    _, second = by_both(roads("free_text"), server, tmp_path)
    assert {row["values"]["answer"] for row in rows(second).values()} == {"猫"}
    assert {call.body["max_tokens"] for call in server.calls} == {
        trained_rooms(BuildFolder(roads("free_text").build))[0],
        10,
    }


def test_closed_answers_are_asked_for_alike(roads: Get, server: Loopback, tmp_path: Path) -> None:
    server.script = answering("label_first")
    by_both(roads("label_first"), server, tmp_path, "--closed")
    assert all("regex" in call.body["structured_outputs"] for call in server.calls)


def test_server_without_log_probabilities_is_asked_without_them(
    roads: Get, server: Loopback, tmp_path: Path
) -> None:
    def answer(call: Call) -> Reply:
        return Reply(400, "logprobs are not supported") if "logprobs" in call.body else completion(SAID)

    server.script = answer
    done = roads("label_only").by_bundle(server, tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert {row["predicted"] for row in rows(tmp_path / "out.jsonl").values()} == {LABELS[0]}


def test_faults_that_pass_are_waited_for_by_the_bundle_too(
    roads: Get, server: Loopback, tmp_path: Path
) -> None:
    faults = [Reply(503), Reply(reset=True), Reply(cut=True), Reply(429, headers={"Retry-After": "0.1"})]
    server.script = lambda call: completion(SAID) if call.attempt else faults[place(call) % 4]
    done = roads("label_only").by_bundle(server, tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["predicted"] for row in rows(tmp_path / "out.jsonl").values()} == {LABELS[0]}
    assert len(server.calls) == 28


def test_no_server_wrong_splits_and_foreign_files_are_told(
    roads: Get, server: Loopback, tmp_path: Path
) -> None:
    road = roads("label_only")
    out = str(tmp_path / "out.jsonl")
    gone = road.script("predict.py", str(road.data), "--url", "http://127.0.0.1:9/v1", "--out", out)
    assert (gone.returncode, "nothing answers at" in gone.stderr) == (5, True)
    none = road.by_bundle(server, tmp_path / "out.jsonl", "--split", "test")
    assert (none.returncode, "has no records" in none.stderr) == (2, True)
    foreign = tmp_path / "mine.json"
    foreign.write_text('{"mine": 1}')
    again = road.by_bundle(server, foreign)
    assert (again.returncode, "would be written over" in again.stderr) == (2, True)
    server.script = answering("label_only")
    assert road.by_bundle(server, tmp_path / "out.jsonl").returncode == 0
    lost = road.script("evaluate.py", out, "--out", str(foreign))
    assert (lost.returncode, "would be written over" in lost.stderr) == (2, True)
    other = road.script("evaluate.py", out, "--split", "train")
    assert (other.returncode, "none of the answers is for the split" in other.stderr) == (2, True)
    for done in (gone, none, again, lost, other):
        assert "Traceback" not in done.stderr
    assert foreign.read_text() == '{"mine": 1}'


@pytest.mark.clean_install
def test_bundle_asks_and_scores_alike_on_python_3_10_with_four_packages(
    roads: Get,
    server: Loopback,
    tmp_path: Path,
    bare_python_3_10: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for form in ("label_first", "multi_label", "number", "free_text", "two_turn"):
        road = Roads(roads(form).build, roads(form).there, bare_python_3_10)
        server.script = answering(form)
        server.calls.clear()
        (tmp_path / form).mkdir()
        first, second = tmp_path / form / "datakit.jsonl", tmp_path / form / "bundle.jsonl"
        assert road.by_datakit(server, first) == 0
        done = road.by_bundle(server, second)
        assert done.returncode == 0, done.stdout + done.stderr
        assert rows(second) == rows(first)
        assert scored_by_bundle(road, second) == scored_by_datakit(road, second, capsys)


def cutting(call: Call) -> Reply:
    """Turn 1 is cut for every second record, turn 2 for every third: alone, both, or neither."""
    number = place(call)
    turn = sum(entry["role"] == "user" for entry in call.body["messages"])
    cut = number % (turn + 1) == 0
    said = f"第{number}张" if turn == 1 else LABELS[number % 4]
    said = said[: len(said) // 2] if cut and turn == 2 else said
    return completion({"content": said}, choice={"finish_reason": "length" if cut else "stop"})


@pytest.mark.fault(
    "answers of two turns are cut off in the first, in the second or in both, also in a resumed run",
    "each turn is recorded, counted and told by both roads; half a label counts as wrong in both",
    kind="answers",
)
def test_cut_turns_are_recorded_told_and_scored_alike_by_both_roads(
    roads: Get, server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    road = roads("two_turn")

    def losing(call: Call) -> Reply:
        return Reply(503) if place(call) % 5 == 0 else cutting(call)

    outs = tmp_path / "datakit.jsonl", tmp_path / "bundle.jsonl"
    server.script = losing
    first = road.by_datakit(server, outs[0], "--split", "val"), road.by_bundle(server, outs[1])
    assert (first[0], first[1].returncode) == (3, 3), first[1].stderr
    server.script = cutting
    assert road.by_datakit(server, outs[0], "--split", "val") == 0
    done = road.by_bundle(server, outs[1])
    assert done.returncode == 0, done.stderr
    answers = rows(outs[0])
    assert rows(outs[1]) == answers
    numbers = {id_: int(id_[1:]) for id_ in answers}
    for id_, row in answers.items():
        wanted = [number for number in (1, 2) if numbers[id_] % (number + 1) == 0]
        cut = [at for at, turn in enumerate(row.get("turns", ()), 1) if turn.get("finish") == "length"]
        assert cut == wanted, id_
        assert ("turn 1 of 2 was cut off" in row.get("detail", "")) == (1 in cut)
        assert ("cut off" in row.get("detail", "").replace("turn 1 of 2 was cut off", "")) == (2 in cut)
        assert ("predicted" in row) != (2 in cut), "half a label is none"
    told = capsys.readouterr().out
    for turn in (1, 2):
        count = sum(number % (turn + 1) == 0 for number in numbers.values())
        line = f"Cut off: turn {turn} of {count:,} records"
        assert line in told
        assert line in done.stdout
    scores = tmp_path / "scores.json"
    scored = road.script("evaluate.py", str(outs[1]), "--out", str(scores))
    assert scored.returncode == 0, scored.stderr
    evaluation = without_place(json.loads(scores.read_text("utf-8")))
    assert evaluation == scored_by_datakit(road, outs[1], capsys)
    assert evaluation["cut"] == {
        str(turn): sum(number % (turn + 1) == 0 for number in numbers.values()) for turn in (1, 2)
    }
    right = sum(number % 3 != 0 for number in numbers.values()) / len(numbers)
    assert evaluation["metrics"]["accuracy"]["value"] == pytest.approx(right)
    assert "answers were cut off in turn 1" in scored.stdout
    assert run(["evaluate", str(road.build), "--predictions", str(outs[0]), "--no-ledger"]) == 0
    assert "answers were cut off in turn 2" in capsys.readouterr().out
