"""The room of each turn: by the trained answers, recorded, never more than the context holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from datakit.artifacts import predictions as files
from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Turn
from datakit.artifacts.serving import Serving
from datakit.cli import run
from datakit.serving.classifier import Classifier
from datakit.serving.items import Item
from datakit.serving.records import split_items
from datakit.serving.requirements import longest_prompt, rooms_of, trained_rooms
from tests.support.loopback import Call, Loopback, Reply
from tests.support.roads import make_build
from tests.support.served import made_build, saying

SAID = "首页"
DESCRIPTION = "这张截图的上方是搜索栏，中间是商品列表，每件商品旁边写着价格和销量，下方是导航栏。"


@pytest.fixture(scope="module")
def two_turn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build that asks for a description first, then for the label."""
    folder = tmp_path_factory.mktemp("project") / "it"
    build = make_build(folder, "two_turn")
    (line, *_) = (folder / "data.jsonl").read_text("utf-8").splitlines()
    assert "description" in json.loads(line)
    return build


def listing(server: Loopback, context: int) -> None:
    page = {"data": [{"id": "small", "max_model_len": context}]}
    server.list_page = Reply(raw=json.dumps(page).encode())


def turn_of(call: Call) -> int:
    return sum(turn["role"] == "assistant" for turn in call.body["messages"])


def predicted(build: Path, server: Loopback, out: Path, *words: str) -> list[files.Prediction]:
    call = ["predict", str(build), "--split", "val", "--base-url", server.url, "--out", str(out), "--json"]
    assert run([*call, *words]) == 0
    return list(files.read(out))


def test_each_turn_has_the_room_that_its_own_trained_answers_need(
    two_turn: Path, server: Loopback, tmp_path: Path
) -> None:
    longer = DESCRIPTION * 3
    for file in BuildFolder(two_turn).entries.values():
        path = two_turn / file
        path.write_text(re.sub(r"第\d+张截图", longer, path.read_text("utf-8")), "utf-8")
    first, second = trained_rooms(BuildFolder(two_turn))
    assert first > 100
    assert second == 16
    server.script = lambda call: saying(SAID if turn_of(call) else DESCRIPTION)
    found = predicted(two_turn, server, tmp_path / "p.jsonl")
    rooms = {(turn_of(call), call.body["max_tokens"]) for call in server.calls}
    assert rooms == {(0, first), (1, second)}
    turns = tuple(Turn(room=room, tokens_in=100, tokens_out=5) for room in (first, second))
    assert all(one.turns == turns for one in found)
    assert {(one.tokens_in, one.tokens_out) for one in found} == {(200, 10)}


def test_answers_that_were_cut_are_counted_by_turn_and_told(
    two_turn: Path, server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids: list[str] = []

    def script(call: Call) -> Reply:
        cut = turn_of(call) == 0 and len(ids) < 3
        ids.extend(["one"] * cut)
        return saying(SAID if turn_of(call) else "一半", finish_reason="length" if cut else "stop")

    server.script = script
    found = predicted(two_turn, server, tmp_path / "p.jsonl")
    account = json.loads(capsys.readouterr().out)
    assert account["cut"] == {"1": 3}
    cut = [one for one in found if one.cut]
    assert [one.cut for one in cut] == [(1,)] * 3
    assert {one.predicted for one in cut} == {SAID}, "what it answered is kept"
    room = cut[0].turns[0].room
    assert cut[0].detail == f"turn 1 of 2 was cut off at its {room} tokens"
    ids.clear()
    call = ["predict", str(two_turn), "--split", "val", "--base-url", server.url, "-q"]
    assert run([*call, "--out", str(tmp_path / "again.jsonl")]) == 0
    assert f"Cut off: turn 1 of 3 records, at {room} tokens" in capsys.readouterr().out


def test_plan_of_two_turns_has_room_for_both_answers(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    make_build(folder, "two_turn")
    recipe = folder / "recipes" / "two_turn.yaml"
    recipe.write_text(recipe.read_text("utf-8") + "serve: {gpu_memory_gb: 24}\n", "utf-8")
    assert run(["build", str(recipe), "--no-card", "--no-check", "-q"]) == 0
    build = BuildFolder(folder / "build" / "two_turn")
    plan = build.serving
    assert plan is not None
    assert plan.turn_rooms == list(trained_rooms(build))
    assert len(plan.turn_rooms) == 2
    assert plan.max_model_len >= plan.demand["asked_tokens"] + sum(plan.turn_rooms)
    older = plan.model_copy(update={"turn_rooms": [], "max_answer_tokens": 48})
    (build.path / "serve.json").write_bytes(older.to_json())
    again = BuildFolder(build.path)
    assert isinstance(again.serving, Serving)
    assert trained_rooms(again) == (plan.turn_rooms[0], 48), "a plan of before knew the last turn alone"


LENGTH = "This model's maximum context length is {c} tokens"
LESS = "Please reduce the length of the input prompt or the number of requested output tokens."
REFUSALS = {
    "0.9": f"{LENGTH}. However, you requested {{total}} tokens ({{p}} in the messages, {{m}} in the "
    "completion). Please reduce the length of the messages or completion.",
    "0.11": f"'max_tokens' or 'max_completion_tokens' is too large: {{m}}. {LENGTH} and your request has "
    "{p} input tokens ({m} > {c} - {p}).",
    "0.12": "You passed {p} input tokens and requested {m} output tokens. However, the model's context "
    "length is only {c} tokens, resulting in a maximum input length of {rest} tokens.",
    "0.25, counted": f"{LENGTH}. However, you requested {{m}} output tokens and your prompt contains {{p}} "
    f"input tokens, for a total of {{total}} tokens. {LESS}",
    "0.25, not counted to the end": f"{LENGTH}. However, you requested {{m}} output tokens and your prompt "
    f"contains at least {{least}} input tokens, for a total of at least {{over}} tokens. {LESS}",
    "0.25, characters": f"{LENGTH}. However, you requested {{m}} output tokens and your prompt contains 9000 "
    f"characters (more than 10 characters, which is the upper bound for {{rest}} input tokens). {LESS}",
    "SGLang": "Requested token count exceeds the model's maximum context length of {c} tokens. You requested "
    "a total of {total} tokens: {p} tokens from the input messages and {m} tokens for the completion.",
}
"""What versions of vLLM, and another server, say of a prompt and an answer that do not fit together."""


def refused(words: str, context: int, prompt: int, most: int) -> str:
    rest = context - most
    return words.format(
        c=context, p=prompt, m=most, total=prompt + most, rest=rest, least=rest + 1, over=context + 1
    )


@pytest.mark.parametrize("words", REFUSALS.values(), ids=REFUSALS)
def test_server_that_refuses_is_asked_for_exactly_what_it_has(
    small: Path, server: Loopback, words: str
) -> None:
    context, prompt = 110, 100

    def script(call: Call) -> Reply:
        most = call.body["max_tokens"]
        fits = prompt + most <= context
        return saying("购物车页面") if fits else Reply(400, refused(words, context, prompt, most))

    server.script = script
    with Classifier.from_build(small, server.url, max_answer_tokens=64) as classify:
        found = next(iter(classify.classify_many([items(small)[0]])))
    assert (found.predicted, found.problem) == ("购物车页面", "")
    assert [turn.room for turn in found.turns] == [10]
    assert len(server.calls) <= 3


def test_prompt_that_fills_the_context_alone_is_told_as_such(small: Path, server: Loopback) -> None:
    server.script = lambda call: Reply(
        400,
        "This model's maximum context length is 110 tokens. However, your prompt contains at least 111 input "
        "tokens, which exceeds this limit even without any output tokens.",
    )
    with Classifier.from_build(small, server.url) as classify:
        found = next(iter(classify.classify_many([items(small)[0]])))
    assert found.problem == "context_too_long"
    assert len(server.calls) == 1


def test_request_never_asks_for_more_than_the_context_holds(small: Path, server: Loopback) -> None:
    build = BuildFolder(small)
    context, count = longest_prompt(build) + 8, rooms_of(build)
    listing(server, context)
    with Classifier.from_build(small, server.url, max_answer_tokens=4000) as classify:
        found = list(classify.classify_many(items(small)))
    assert len({one.turns[0].room for one in found}) > 1, "a short prompt leaves more than the longest"
    for item, one in zip(items(small), found, strict=True):
        asked = count.asked_tokens(
            str(item.id), None, [item.messages[-1]["content"]], list(map(str, item.images))
        )
        assert one.turns[0].room == context - asked


def items(build: Path) -> list[Item]:
    return split_items(BuildFolder(build), "train")


def test_closed_answer_leaves_room_for_the_reason_in_front_of_the_label(
    tmp_path: Path, server: Loopback
) -> None:
    build = reasons(tmp_path)
    (trained,) = trained_rooms(BuildFolder(build))
    server.script = lambda call: saying("理由：有\n类别：购物车页面")
    with Classifier.from_build(build, server.url, closed=True) as classify:
        list(classify.classify_many(items(build)[:1]))
    body = server.calls[-1].body
    most = free_chars(body["structured_outputs"]["regex"])
    assert most >= 400
    assert body["max_tokens"] >= most + trained


def test_closed_answer_in_a_short_context_has_a_reason_that_leaves_the_label_its_place(
    tmp_path: Path, server: Loopback
) -> None:
    build = reasons(tmp_path)
    listing(server, longest_prompt(BuildFolder(build)) + 120)
    server.script = lambda call: saying("理由：有\n类别：购物车页面")
    with Classifier.from_build(build, server.url, closed=True) as classify:
        list(classify.classify_many(items(build)))
    for call in server.calls:
        assert free_chars(call.body["structured_outputs"]["regex"]) < call.body["max_tokens"]


def free_chars(pattern: str) -> int:
    (found,) = re.findall(r"\{1,(\d+)\}", pattern)
    return int(found)


def reasons(folder: Path) -> Path:
    return made_build(folder, answers="[{fields: [{name: reason, column: id}, label]}]")
