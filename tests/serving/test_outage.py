"""A server that is gone in the middle: waited for a little, started again where it is ours, then told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from datakit.artifacts import predictions as files
from datakit.artifacts.build_folder import BuildFolder
from datakit.cli import run
from datakit.core.errors import Exit, StopProvider
from datakit.serving import outage
from datakit.serving.classifier import Classifier
from datakit.serving.endpoint import Endpoint
from datakit.serving.items import Item
from datakit.serving.launch import ServerFailed
from datakit.serving.outage import ServerGone
from datakit.serving.predict import Account, predict
from datakit.serving.prompting import BuildPrompts
from datakit.serving.records import split_items
from tests.support.loopback import KEY, Call, Loopback, Reply
from tests.support.served import saying

RECORDS = 300


@pytest.fixture
def many(small: Path, tmp_path: Path) -> list[Item]:
    """300 records of a small picture."""
    picture = tmp_path / "picture.png"
    Image.new("RGB", (64, 64), "teal").save(picture)
    (item, *_) = split_items(BuildFolder(small), "train")
    return [replace(item, id=f"r{at:03d}", images=(str(picture),)) for at in range(RECORDS)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    loopback = Loopback(models=("small",))
    loopback.script = lambda call: saying("店铺页面")
    loopback.__enter__()
    yield loopback
    if loopback._thread.is_alive():
        loopback.__exit__()


def port_of(server: Loopback) -> int:
    return int(server.url.rpartition(":")[2].removesuffix("/v1"))


def another(old: Loopback) -> Loopback:
    """A server at the address of one that has ended."""
    server = Loopback(models=old.models)
    server.script = lambda call: saying("购物车页面")
    server.__enter__(port_of(old))
    return server


def ending(server: Loopback, at: int, after: threading.Event | None = None) -> None:
    """Has the server end when it is asked for the `at`-th time."""

    def script(call: Call) -> Reply:
        if call.number < at:
            return saying("店铺页面")
        if call.number == at:
            threading.Thread(target=end, daemon=True).start()
        return Reply(reset=True)

    def end() -> None:
        server.__exit__()
        if after is not None:
            after.set()

    server.script = script


def asked(small: Path, endpoint: Endpoint, items: list[Item], out: Path, concurrency: int = 32) -> Account:
    prompts = BuildPrompts.load(BuildFolder(small), rendered=True)
    with Classifier(prompts, endpoint, concurrency=concurrency) as classify:
        return predict(classify, items, out)


@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.fault(
    "the server is killed while it is asked about 300 records",
    "the run stops within seconds with exit code 5; answers are kept, and the same command goes on",
    kind="answers",
)
def test_server_that_is_gone_ends_the_run_and_keeps_what_it_answered(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path, concurrency: int
) -> None:
    out = tmp_path / "p.jsonl"
    ending(server, 40)
    with pytest.raises(ServerGone, match="is gone") as caught:
        asked(small, Endpoint(server.url), many, out, concurrency)
    assert caught.value.exit_code == Exit.PROVIDER
    assert "run the same command" in str(caught.value)
    assert server.count < 40 + 3 * concurrency + 1
    second = another(server)
    account = asked(small, Endpoint(second.url), many, out)
    second.__exit__()
    assert (account.retry, account.answered) == (0, RECORDS)
    assert account.resumed >= 40 - concurrency
    assert second.count == RECORDS - account.resumed


def test_server_that_comes_back_within_seconds_is_asked_on(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path
) -> None:
    ended, back = threading.Event(), []
    ending(server, 40, ended)

    def start_again() -> None:
        ended.wait()
        back.append(another(server))

    starter = threading.Thread(target=start_again)
    starter.start()
    try:
        account = asked(small, Endpoint(server.url, max_retries=0), many, tmp_path / "p.jsonl")
    finally:
        starter.join()
        back[0].__exit__()
    assert (account.answered, account.retry) == (RECORDS, 0), "no record's tries were used up by it"


def test_server_that_comes_back_with_another_model_is_not_asked_on(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path
) -> None:
    server.list_page = Reply(raw=json.dumps({"data": [{"id": "small", "root": "/models/first"}]}).encode())
    ended, back = threading.Event(), []
    ending(server, 40, ended)

    def start_again() -> None:
        ended.wait()
        back.append(another(server))

    starter = threading.Thread(target=start_again)
    starter.start()
    try:
        with pytest.raises(StopProvider, match="before it was /models/first"):
            asked(small, Endpoint(server.url), many, tmp_path / "p.jsonl")
    finally:
        starter.join()
        back[0].__exit__()


def test_server_of_ours_is_started_again_once(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PATIENCE_S", 0.5)
    log, started = tmp_path / "serve.log", []
    log.write_text("INFO ready\n" + "EngineDeadError: CUDA error: an illegal memory access\n")
    ending(server, 40)

    def revive() -> None:
        started.append(another(server))
        ending(started[0], 20)

    endpoint = Endpoint(server.url, revive=revive, log=log)
    with pytest.raises(ServerGone, match="EngineDeadError: CUDA error") as caught:
        asked(small, endpoint, many, tmp_path / "p.jsonl")
    assert str(log) in str(caught.value)
    assert len(started) == 1
    (kept,) = tmp_path.glob(".p.jsonl.*")
    assert {one.predicted for one in files.read(kept)} == {"店铺页面"}
    assert len(list(files.read(kept))) > 20


def test_server_that_cannot_be_started_again_is_told_with_the_reason(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "PATIENCE_S", 0.5)
    ending(server, 40)

    def revive() -> None:
        raise ServerFailed("vLLM did not start: CUDA out of memory")

    with pytest.raises(ServerGone, match="could not be started again: vLLM did not start: CUDA out"):
        asked(small, Endpoint(server.url, revive=revive), many, tmp_path / "p.jsonl")


def test_server_that_lists_its_models_and_hangs_up_on_everybody_is_gone_too(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path
) -> None:
    server.script = lambda call: saying("店铺页面") if call.number < 40 else Reply(reset=True)
    with pytest.raises(ServerGone, match=r"\d+ records in a row had no answer"):
        asked(small, Endpoint(server.url, max_retries=1), many, tmp_path / "p.jsonl")


def test_server_of_ours_that_hangs_up_on_everybody_is_started_again(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path
) -> None:
    server.script = lambda call: saying("店铺页面") if call.number < 40 else Reply(reset=True)
    revived = []

    def revive() -> None:
        revived.append(1)
        server.script = lambda call: saying("店铺页面")

    account = asked(small, Endpoint(server.url, max_retries=1, revive=revive), many, tmp_path / "p.jsonl")
    assert (len(revived), account.answered + account.retry) == (1, RECORDS)
    assert account.retry < outage.LOST, "those that were given up before it was noticed"


def test_server_that_takes_requests_and_never_answers_is_gone_too(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path
) -> None:
    hung = replace(saying("店铺页面"), delay_s=3600.0)
    server.script = lambda call: saying("店铺页面") if call.number < 40 else replace(hung)
    with pytest.raises(ServerGone, match="no answer within 2 s"):
        asked(small, Endpoint(server.url, timeout_s=2), many, tmp_path / "p.jsonl")


def test_record_that_alone_loses_the_connection_ends_nothing(
    small: Path, server: Loopback, many: list[Item], tmp_path: Path
) -> None:
    server.script = lambda call: Reply(reset=True) if call.number % 10 in (3, 4) else saying("店铺页面")
    account = asked(small, Endpoint(server.url, max_retries=0), many, tmp_path / "p.jsonl", 1)
    assert account.retry == RECORDS // 9
    assert account.answered + account.retry == RECORDS


def test_command_ends_with_5_at_an_address_where_nobody_is(
    small: Path, server: Loopback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending(server, 2)
    call = ["predict", str(small), "--split", "train", "--base-url", server.url, "--concurrency", "1", "-q"]
    assert run([*call, "--out", str(tmp_path / "p.jsonl")]) == 5
    assert "is gone" in capsys.readouterr().err


def test_end_of_a_log_is_told_without_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    log.write_text("".join(f"line {number}\n\n" for number in range(5000)))
    lines = outage.last_lines(log)
    assert lines == [f"line {number}" for number in range(4985, 5000)]
    assert outage.last_lines(tmp_path / "none") == []
