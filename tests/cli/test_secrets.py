"""A planted key is found nowhere after runs that succeed and fail in every way a server can repeat it."""

from __future__ import annotations

import base64
import json
import pickle
import sqlite3
import stat
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.annotate.image_facts import ImageFacts
from datakit.core.credentials import Mask
from datakit.core.settings import LlmSettings
from datakit.core.step_context import StepContext
from datakit.run.executors.process import ProcessExecutor
from tests.support.loopback import Call, Loopback, Reply

Run = Callable[..., Any]
PLANTED = "sk-Zq7Xw2/Lm9+Vt4Rk8Pb3Nc6Hd"
B64 = base64.b64encode(f"Bearer {PLANTED}".encode()).decode()
QUOTED = urllib.parse.quote(PLANTED, safe="")
ESCAPED = "".join(f"\\u{ord(sign):04x}" for sign in PLANTED)
STARRED = f"{PLANTED[:9]}{'*' * 12}{PLANTED[-4:]}"
RECIPE = """\
llm: {{provider: openai, base_url: "{url}", model: gpt-4o-mini, max_retries: 1, max_down_s: 0.1}}
name: shop
steps:
  - read.jsonl: {{path: ../rows.jsonl}}
  - annotate.image_facts: {{}}
  - annotate.describe: {{template: ask.j2}}
  - render.chat: {{prompt: shown.j2, answer: reply.j2}}
emit:
  - llamafactory: {{images: link}}
run: {{max_reject_rate: 1.0, concurrency: 2, workers: 1}}
"""


def completion(content: str, **further: Any) -> Reply:
    """A 200 whose message has further fields; those that begin with `top_` stand beside the choices."""
    top = {name.removeprefix("top_"): further.pop(name) for name in list(further) if name.startswith("top_")}
    reason = further.pop("finish_reason", "stop")
    message = {"role": "assistant", "content": content, **further}
    body = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": reason}], **top}
    return Reply(raw=json.dumps(body).encode())


def answer(text: str) -> str:
    return json.dumps({"description": f"画面里写着 {text}，旁边是一个按钮。"}, ensure_ascii=False)


KINDS: dict[str, Reply] = {
    "an error repeats it": Reply(400, f"bad header Authorization: Bearer {PLANTED}"),
    "an error that is cut in its middle": Reply(400, "x" * 385 + PLANTED),
    "an error of the server": Reply(500, f"proxy saw {PLANTED}"),
    "an error repeats a part": Reply(400, f"bad key {PLANTED[4:15]}"),
    "a refused key with stars": Reply(401, f"Incorrect API key provided: {STARRED}"),
    "in base64": Reply(400, f"cannot read header {B64}"),
    "in an address": Reply(422, f"GET /x?key={QUOTED} is not allowed"),
    "in hexadecimal digits": Reply(400, f"dump: {PLANTED.encode().hex()}"),
    "in a page": Reply(502, raw=f"<html><body>key&#61;{PLANTED}</body></html>".encode()),
    "in UTF-16": Reply(400, raw=json.dumps({"error": f"no {PLANTED}"}).encode("utf-16")),
    "an error within a 200": Reply(raw=json.dumps({"error": {"message": f"no {PLANTED}"}}).encode()),
    "a 200 that is no completion": Reply(raw=f"hello {PLANTED}".encode()),
    "a rate limit": Reply(429, f"slow down, {PLANTED}", headers={"Retry-After": "0"}),
    "an unknown model": Reply(404, f"model {PLANTED} does not exist", "model_not_found"),
    "a money matter": Reply(402, f"account of {PLANTED}"),
    "an answer repeats it": completion(answer(PLANTED)),
    "an answer repeats a part": completion(answer(PLANTED[6:20])),
    "an answer in base64": completion(answer(B64)),
    "an answer with escapes": completion(f'{{"description": "按钮旁边写着 {ESCAPED} 的画面"}}'),
    "an answer that is no JSON": completion(f"I saw {PLANTED}"),
    "an answer cut off": completion(answer(PLANTED)[:-2], finish_reason="length"),
    "thinking repeats it": completion(answer("好"), reasoning_content=f"the key is {PLANTED}"),
    "a refusal repeats it": completion("", refusal=f"I will not use {PLANTED}"),
    "the model's name": completion(answer("好"), top_model=f"gpt-{PLANTED}"),
    "the finish reason": completion(answer("好"), finish_reason=PLANTED),
}
HELD = [name for name in KINDS if name.startswith(("an answer", "thinking", "a refusal"))]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("OPENAI_API_KEY", PLANTED)
    with Loopback() as server:
        server.key = PLANTED
        yield server


@pytest.fixture
def shop(project: Path, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> Path:
    from PIL import Image

    texts = {"ask": "什么？[id:{{ text }}]", "shown": "哪种？<image>", "reply": "{{ description }}"}
    for name, text in texts.items():
        (project / "templates" / f"{name}.j2").write_text(text, encoding="utf-8")
    rows = []
    for number in range(3):
        picture = project / f"{number}.jpg"
        Image.new("RGB", (40, 40 + number), (number * 50, 9, 9)).save(picture)
        rows.append({"id": f"r{number}", "text": f"t{number}", "images": [str(picture)]})
    (project / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = project / "recipes" / "shop.yaml"
    path.write_text(RECIPE.format(url=server.url))
    monkeypatch.chdir(project)
    return path


def contents(path: Path) -> str:
    """What a file holds, its compressed columns too."""
    if path.suffix == ".parquet":
        return repr(pl.read_parquet(path).rows())
    text = path.read_bytes().decode("latin-1")
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            rows = [row for table in tables for row in db.execute(f"SELECT * FROM {table}")]
        text += " ".join(
            cell.decode("latin-1") if isinstance(cell, bytes) else str(cell) for row in rows for cell in row
        )
    return text


def leaks(project: Path, *texts: str) -> list[str]:
    """Where the key stands, in any form; a piece of eight characters is enough."""
    mask = Mask([PLANTED])
    forms = (STARRED, f"*{PLANTED[-4:]}")
    held = {str(path.relative_to(project)): contents(path) for path in project.rglob("*") if path.is_file()}
    held |= {f"text {number}": text for number, text in enumerate(texts)}
    return [place for place, text in held.items() if mask.holds(text) or any(form in text for form in forms)]


@pytest.mark.fault(
    "a server repeats the key, whole or in part, plain or encoded, in answers, errors and model names",
    "it is found in no file, no store and no output",
    kind="secrets",
)
@pytest.mark.parametrize("kind", KINDS)
def test_planted_key_is_found_nowhere(
    datakit: Run, shop: Path, server: Loopback, kind: str, project: Path
) -> None:
    server.script = lambda call: KINDS[kind] if "[id:t1]" in call.text else None
    done = datakit("build", shop, "--allow-partial")
    assert "Traceback" not in done.err
    told = datakit("why", shop, "r1")
    assert leaks(project, done.out, done.err, told.out, told.err) == []
    if kind in HELD:
        assert "answer_holds_key" in done.out + told.out + (project / "build/shop/rejects.jsonl").read_text()
    server.script = lambda call: KINDS[kind]  # nobody is answered: the build fails
    (project / "templates" / "ask.j2").write_text("什么呀？[id:{{ text }}]", encoding="utf-8")
    failed = datakit("build", shop)
    assert "Traceback" not in failed.err
    assert leaks(project, failed.out, failed.err) == []
    assert server.count > 3


def test_search_finds_what_is_planted(tmp_path: Path) -> None:
    pl.DataFrame({"a": [PLANTED[3:13]] * 9}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.log").write_text(f"x {B64}")
    (tmp_path / "c.json").write_text(ESCAPED)
    assert sorted(leaks(tmp_path, QUOTED, STARRED)) == ["a.parquet", "b.log", "c.json", "text 0", "text 1"]


@pytest.mark.fault("a server's list of models holds the key", "the list is shown without it", kind="secrets")
def test_models_that_a_server_lists_are_shown_without_the_key(
    datakit: Run, shop: Path, server: Loopback, project: Path
) -> None:
    server.listed = (f"gpt-4o-mini-{PLANTED}",)
    server.script = lambda call: Reply(404, "model not found", "model_not_found")
    done = datakit("build", shop)
    assert done.code == 5
    assert leaks(project, done.out, done.err) == []


@pytest.mark.fault("other users of the machine", "cannot read the store or a failed build", kind="secrets")
def test_store_and_failed_build_are_readable_by_their_owner_only(
    datakit: Run, shop: Path, server: Loopback, project: Path
) -> None:
    server.script = lambda call: Reply(500, "no") if "[id:t1]" in call.text else None
    assert datakit("build", shop).code == 3
    private = [project / ".datakit", project / ".datakit/results.sqlite", project / "build/.shop.failed"]
    for path in private:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_store_that_a_team_shares_stays_shared(datakit: Run, shop: Path, project: Path) -> None:
    (project / ".datakit").mkdir()
    (project / ".datakit").chmod(0o770)
    assert datakit("build", shop).code == 0
    assert stat.S_IMODE((project / ".datakit").stat().st_mode) == 0o770


@pytest.mark.fault("a recipe holds a secret", "refused, and the secret is not shown", kind="secrets")
@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("llm: {base_url: 'https://me:hunter2pass@host/v1'}", "holds a name, a password or a key"),
        ("llm: {base_url: 'https://host/v1?api_key=hunter2pass'}", "holds a name, a password or a key"),
        ("llm: {endpoints: [{base_url: 'https://hunter2pass@host/v1'}]}", "holds a name, a password"),
        ("llm: {extra_headers: {X-Auth: hunter2pass}}", "looks like a secret"),
        ("llm: {extra_headers: {X-Mine: Bearer hunter2pass}}", "looks like a secret"),
        ("llm: {extra_body: {inner: [{api_key: hunter2pass}]}}", "looks like a secret"),
        ("train: {model: Qwen/Qwen2.5-VL-7B-Instruct, hf_hub_token: hunter2pass}", "HF_TOKEN"),
        ("serve: {flags: {api-key: hunter2pass}}", "VLLM_API_KEY"),
        ("llm: {model: hunter2pass}", "the value of the environment variable MY_SECRET stands here"),
        ("llm: {hunter2pass: 1}", "the value of the environment variable MY_SECRET stands here"),
    ],
)
def test_recipe_that_holds_a_secret_is_refused_without_showing_it(
    datakit: Run, shop: Path, monkeypatch: pytest.MonkeyPatch, section: str, words: str
) -> None:
    monkeypatch.setenv("MY_SECRET", "hunter2pass")
    text = shop.read_text().split("\n", 1)[1] if section.startswith("llm") else shop.read_text()
    shop.write_text(f"{section}\n{text}")
    done = datakit("plan", shop)
    assert done.code == 2
    assert words in done.err
    assert "hunter2pass" not in done.out + done.err


@pytest.mark.fault("worker processes need settings", "they get everything except credentials", kind="secrets")
def test_workers_get_everything_except_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MY_MODEL", "MY_HEADER")
    for name in names:
        monkeypatch.setenv(name, PLANTED)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2pass@proxy:8080")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("MAX_TOKENS", "12")
    llm = LlmSettings(api_key_env="MY_MODEL", extra_headers={"X-Auth": "${MY_HEADER}"})
    executor = ProcessExecutor(ImageFacts(), StepContext(base=tmp_path, project=tmp_path, llm=llm))
    environment = executor._environment
    assert not [name for name in names if name in environment]
    assert environment["HTTPS_PROXY"] == "http://proxy:8080"
    assert (environment["TOKENIZERS_PARALLELISM"], environment["MAX_TOKENS"]) == ("false", "12")
    assert environment["PATH"]
    assert PLANTED.encode() not in executor._setup
    assert pickle.loads(executor._setup)[1].llm == llm


def test_call_is_made_with_the_key_all_the_same(datakit: Run, shop: Path, server: Loopback) -> None:
    calls: list[Call] = server.calls
    assert datakit("build", shop).code == 0
    assert {call.headers["authorization"] for call in calls} == {f"Bearer {PLANTED}"}
