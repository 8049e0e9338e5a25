"""ask.py and ask.sh of a build: what they send is what `datakit predict` sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.serving.ask_files import ask_files
from datakit.serving.from_build import plan_for
from datakit.serving.records import split_items
from tests.support.loopback import Call, Loopback
from tests.support.roads import make_build
from tests.support.served import saying

SAID = {0: "一张截图", 1: "首页"}


@pytest.fixture(scope="module", params=["label_only", "two_turn"])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build whose pictures are large, small, grey and long, with a plan to serve it."""
    folder = tmp_path_factory.mktemp("project") / "it"
    make_build(folder, request.param)
    recipe = folder / "recipes" / f"{request.param}.yaml"
    recipe.write_text(recipe.read_text("utf-8") + "serve: {gpu_memory_gb: 24, name: small}\n", "utf-8")
    assert run(["build", str(recipe), "--no-card", "--no-check", "-q"]) == 0
    return folder / "build" / str(request.param)


@pytest.fixture
def server(server: Loopback) -> Loopback:
    server.script = lambda call: saying(
        SAID[sum(turn["role"] == "assistant" for turn in call.body["messages"])]
    )
    return server


def asked(words: list[str], server: Loopback, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The requests that a program sent, and what it printed. It runs elsewhere than where it lies."""
    server.calls.clear()
    environment = {**os.environ, "BASE_URL": server.url, "PYTHON": sys.executable}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [call.body for call in server.calls], done.stdout


def predicted(build: Path, server: Loopback, out: Path, split: str = "val", records: int = 1) -> list[Call]:
    server.calls.clear()
    call = ["predict", str(build), "--split", split, "--base-url", server.url, "--out", str(out), "-q"]
    assert run([*call, "--limit", str(records)]) == 0
    return list(server.calls)


def test_ask_py_sends_what_predict_sends(build: Path, server: Loopback, tmp_path: Path) -> None:
    wanted = [call.body for call in predicted(build, server, tmp_path / "p.jsonl")]
    bodies, told = asked([sys.executable, str(build / "ask.py")], server, tmp_path)
    assert bodies == wanted
    assert {body["model"] for body in bodies} == {"small"}
    assert told.splitlines() == [SAID[turn] for turn in range(len(bodies))]


def test_ask_sh_sends_what_predict_sends_first(build: Path, server: Loopback, tmp_path: Path) -> None:
    (wanted, *_) = predicted(build, server, tmp_path / "p.jsonl")
    bodies, told = asked(["bash", str(build / "ask.sh")], server, tmp_path)
    assert bodies == [wanted.body]
    assert json.loads(told)["choices"][0]["message"]["content"] == SAID[0]
    assert server.calls[0].headers["authorization"] == f"Bearer {server.key}"


def test_picture_of_ones_own_reaches_the_model_as_in_training(
    build: Path, server: Loopback, tmp_path: Path
) -> None:
    items = split_items(BuildFolder(build), "train")
    calls = predicted(build, server, tmp_path / "p.jsonl", "train", len(items))
    turns = len(calls) // len(items)
    wanted = {call.images[0] for call in calls}
    assert len(wanted) > 8, "pictures of every kind"
    sent = set()
    for item in items[:5] if turns > 1 else items:
        picture = str(item.images[0])
        asked(["bash", str(build / "ask.sh"), picture], server, tmp_path)
        sent |= set(server.calls[0].images)
    assert sent <= wanted
    assert len(sent) == (5 if turns > 1 else len(wanted))


def test_many_pictures_are_asked_about_through_the_classifier(
    build: Path, server: Loopback, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for item in split_items(BuildFolder(build), "val")[:3]:
        (folder / Path(str(item.images[0])).name).write_bytes(Path(str(item.images[0])).read_bytes())
    words = [sys.executable, str(build / "ask.py"), "--many", str(folder)]
    environment = {**os.environ, "BASE_URL": server.url}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert "Give it with the picture: place" in done.stderr, "the recipe's prompt needs a column of the data"


def test_number_of_pictures_that_the_prompt_has_no_place_for_is_told(build: Path, tmp_path: Path) -> None:
    words = [sys.executable, str(build / "ask.py"), "a.png", "b.png"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the prompt has 1 places for pictures: give as many, not 2" in done.stderr


@pytest.mark.fault(
    "the served name and the prompt in ask.py are hostile",
    "each is one value, and none is run",
    kind="scripts",
)
@pytest.mark.parametrize(
    "value", ["a\nimport os; os.mkdir('pwned')", "'; $(touch pwned) #", '"""', "\u2028x", "\\"]
)
def test_values_in_ask_py_stay_values(build: Path, tmp_path: Path, value: str) -> None:
    plan = plan_for(BuildFolder(build), None, {}, untrained=True)
    python, script = ask_files(BuildFolder(build), replace(plan, name=value))
    (tmp_path / "ask.py").write_text(python, "utf-8")
    (tmp_path / "ask.sh").write_text(script, "utf-8")
    picture = str(split_items(BuildFolder(build), "val")[0].images[0])
    words = [sys.executable, "ask.py", "--request", picture]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == value
    assert subprocess.run(["bash", "-n", "ask.sh"], cwd=tmp_path, check=False).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ask.py", "ask.sh"]


def test_many_pictures_are_classified_by_several_processes_at_once(
    small: Path, server: Loopback, tmp_path: Path
) -> None:
    pictures = [str(item.images[0]) for item in split_items(BuildFolder(small), "train")]
    server.script = lambda call: saying("购物车页面")
    processes = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        for picture in pictures[number::2]:
            (folder / Path(picture).name).write_bytes(Path(picture).read_bytes())
        words = [sys.executable, str(small / "ask.py"), "--many", str(folder)]
        environment = {**os.environ, "BASE_URL": server.url}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append((folder, subprocess.Popen(words, env=environment, **pipes)))  # type: ignore[call-overload]
    for folder, process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["picture"] for line in lines] == sorted(map(str, folder.iterdir()))
        assert {line["predicted"] for line in lines} == {"购物车页面"}
    assert len(server.calls) == len(pictures)
    assert {len(call.images) for call in server.calls} == {1}


def told(words: list[str], **environment: str) -> str:
    """What a program that cannot do its work says; never a traceback."""
    settings = {**os.environ, "PYTHON": sys.executable, **environment}
    done = subprocess.run(words, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_missing_pillow_and_a_file_that_is_no_picture_are_told(build: Path, tmp_path: Path) -> None:
    (tmp_path / "PIL.py").write_text("raise ImportError('No module named PIL')")
    (tmp_path / "notes.png").write_text("no picture")
    words = [sys.executable, str(build / "ask.py"), "--request", str(tmp_path / "notes.png")]
    assert "notes.png is no picture that Pillow reads" in told(words)
    assert "-m pip install pillow" in told(words, PYTHONPATH=str(tmp_path))
    assert "-m pip install pillow" in told(["bash", str(build / "ask.sh")], PYTHONPATH=str(tmp_path))


def test_many_pictures_without_a_server_or_a_picture_are_told(build: Path, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("no picture")
    words = [sys.executable, str(build / "ask.py"), "--many", str(tmp_path)]
    assert "there is no picture in" in told(words)
    picture = Path(str(split_items(BuildFolder(build), "val")[0].images[0]))
    (tmp_path / picture.name).write_bytes(picture.read_bytes())
    dead = "http://127.0.0.1:9/v1"
    assert "nothing answers at" in told(words, BASE_URL=dead)


def test_key_of_odd_signs_reaches_the_server_whole(build: Path, server: Loopback) -> None:
    key = 'sk-"a\\b$c'
    server.key = key
    environment = {**os.environ, "BASE_URL": server.url, "PYTHON": sys.executable, "VLLM_API_KEY": key}
    done = subprocess.run(["bash", str(build / "ask.sh")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert server.calls[-1].headers["authorization"] == f"Bearer {key}"
