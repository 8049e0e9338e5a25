"""The classifier of a build: prompts as in training, closed-set answers, typed errors, many in flight."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image

import datakit
from datakit.artifacts.build_folder import BuildFolder
from datakit.core.errors import StopProvider, UserError
from datakit.core.labels import LabelSet
from datakit.serving.asking import closed_form
from datakit.serving.classifier import CannotClassify, Classifier
from datakit.serving.items import Item
from datakit.serving.records import split_items
from tests.support.loopback import Loopback, Reply
from tests.support.served import asked_images, asked_text, made_build, saying

SCREENS = sorted((Path(__file__).resolve().parents[2] / "examples" / "ecom" / "images").glob("*.jpg"))


@pytest.fixture
def classify(small: Path, server: Loopback) -> Iterator[Classifier]:
    with datakit.Classifier.from_build(small, server.url) as found:
        yield found


def emitted(build: Path) -> dict[str, tuple[list[dict[str, str]], list[str]]]:
    """Id -> messages and pictures of the build's rows."""
    rows = [
        json.loads(line.strip().rstrip(","))
        for part in ("train", "val")
        for line in (build / f"small_{part}.json").read_text("utf-8").splitlines()
        if line.strip() not in "[]"
    ]
    return {row["id"]: (row["messages"], row["images"]) for row in rows}


def test_prompt_of_a_source_picture_is_the_trained_one_to_the_letter(
    classify: Classifier, server: Loopback, small: Path
) -> None:
    for id_, (messages, _) in emitted(small).items():
        source = next(path for path in SCREENS if path.stem == id_.removeprefix("screen-"))
        found = classify(source, id=id_)
        assert found.predicted == "购物车页面"
        sent = server.calls[-1]
        assert sent.body["messages"][0] == {"role": "system", "content": messages[0]["content"]}
        assert asked_text(sent) == messages[1]["content"]
        assert (sent.body["temperature"], sent.body["model"]) == (0, "small")


def test_picture_is_sent_at_the_size_of_training_without_loss(classify: Classifier, server: Loopback) -> None:
    classify(SCREENS[0])
    (url,) = asked_images(server.calls[-1])
    assert url.startswith("data:image/png;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert picture.width * picture.height <= 589_824
    assert picture.size != Image.open(SCREENS[0]).size


def test_path_bytes_and_address_are_one_picture(classify: Classifier, server: Loopback) -> None:
    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/a.jpg" else 404)
            self.end_headers()
            self.wfile.write(SCREENS[0].read_bytes())

        def log_message(self, *args: object) -> None:
            return

    files = HTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=files.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{files.server_port}"
    try:
        for image in (SCREENS[0], str(SCREENS[0]), SCREENS[0].read_bytes(), f"{address}/a.jpg"):
            classify(image)
        with pytest.raises(CannotClassify, match="answered 404"):
            classify(f"{address}/b.jpg")
    finally:
        files.shutdown()
        files.server_close()
        thread.join()
    assert len({str(asked_images(call)) for call in server.calls}) == 1
    assert len({asked_text(call) for call in server.calls}) == 1


@pytest.mark.fault(
    "a served model answers with no label of the set",
    "a problem with a hint, never a label",
    kind="answers",
)
def test_answer_outside_the_set_is_a_problem_with_a_hint(classify: Classifier, server: Loopback) -> None:
    server.script = lambda call: saying("购物车页")
    found = classify(SCREENS[0])
    assert (found.predicted, found.problem) == (None, "label_unknown")
    assert "购物车页面" in found.detail
    server.script = lambda call: saying("", finish_reason="length")
    assert classify(SCREENS[0]).problem == "empty"


def test_confidence_comes_from_the_tokens(classify: Classifier, server: Loopback) -> None:
    steps = [("购物车", {"购物车": 0.6, "店铺": 0.3, "天气": 0.1}), ("页面", {"页面": 1.0})]
    server.script = lambda call: saying("购物车页面", steps)
    found = classify(SCREENS[0])
    assert found.confidence == pytest.approx(2 / 3, abs=1e-5)
    assert found.probabilities is not None
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert server.calls[-1].body["top_logprobs"] == 20


def test_server_without_logprobs_still_classifies(classify: Classifier, server: Loopback) -> None:
    server.script = lambda call: (
        Reply(400, "logprobs are not supported") if "logprobs" in call.body else saying("店铺页面")
    )
    assert (classify(SCREENS[0]).predicted, classify(SCREENS[1]).confidence) == ("店铺页面", None)
    assert server.count == 3


def test_many_come_in_order_with_a_bounded_number_at_work(small: Path, server: Loopback) -> None:
    names = ["购物车页面", "店铺页面", "评论区截图页面"]
    server.script = lambda call: Reply(
        raw=saying(names[len(asked_images(call)[0]) % 3]).raw, delay_s=0.05 * (call.number % 4)
    )
    with Classifier.from_build(small, server.url, concurrency=4) as classify:
        taken = 0

        def pictures() -> Iterator[Path]:
            nonlocal taken
            for path in SCREENS[:8]:
                taken += 1
                yield path

        found = classify.classify_many(pictures())
        next(found)
        assert taken == 4
        rest = list(found)
    assert [Path(one.images[0]).name for one in rest] == [path.name for path in SCREENS[1:8]]
    assert server.most_open <= 4


def test_one_bad_picture_ends_nothing(classify: Classifier, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    found = list(classify.classify_many([SCREENS[0], bad, tmp_path / "gone.jpg", SCREENS[1]]))
    assert [one.problem for one in found] == ["", "image_unreadable", "image_missing", ""]
    with pytest.raises(CannotClassify, match="image_unreadable"):
        classify(bad)


def test_works_from_an_event_loop(classify: Classifier) -> None:
    async def go() -> list[str | None]:
        found = await asyncio.gather(*(classify.aclassify(path) for path in SCREENS[:3]))
        return [one.predicted for one in found]

    assert asyncio.run(go()) == ["购物车页面"] * 3


def test_lost_answers_are_tried_again_and_then_left(small: Path, server: Loopback) -> None:
    server.script = lambda call: Reply(500) if call.number < 2 else saying("店铺页面")
    with Classifier.from_build(small, server.url) as classify:
        classify._endpoint.max_retries = 2
        assert classify(SCREENS[0]).predicted == "店铺页面"
        server.script = lambda call: Reply(reset=True)
        with pytest.raises(CannotClassify, match="not_answered: connection_lost"):
            classify(SCREENS[1])


def test_dead_server_wrong_name_and_wrong_key_say_what_to_do(
    small: Path, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Classifier.from_build(small, server.url, model="smal") as classify,
        pytest.raises(StopProvider, match="Did you mean `small`"),
    ):
        classify(SCREENS[0])
    with (
        Classifier.from_build(small, "http://127.0.0.1:9/v1") as classify,
        pytest.raises(StopProvider, match="datakit serve"),
    ):
        classify(SCREENS[0])
    monkeypatch.setenv("VLLM_API_KEY", "wrong-key-123")
    with Classifier.from_build(small, server.url) as classify, pytest.raises(StopProvider) as error:
        classify(SCREENS[0])
    assert "VLLM_API_KEY" in str(error.value)
    assert "wrong-key-123" not in str(error.value)


@pytest.mark.fault(
    "several keys are set and a classifier asks its server",
    "only the server's own key is sent",
    kind="secrets",
)
def test_only_the_servers_own_key_is_sent(
    small: Path, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-private")
    with Classifier.from_build(small, server.url) as classify:
        classify(SCREENS[0])
    assert all("sk-private" not in str(call.headers) for call in server.calls)


def test_build_whose_ocr_would_work_otherwise_is_refused(small: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(small, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    step = next(step for step in manifest["steps"] if step["name"] == "annotate.ocr")
    step["fingerprint"], step["settings"]["engine_version"] = "0", "0.1"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"engine_version was '0\.1'"):
        Classifier.from_build(copy, "http://127.0.0.1:9/v1")
    (copy / "answer.json").unlink()
    with pytest.raises(UserError, match=r"lacks answer\.json"):
        Classifier.from_build(copy, "http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="there is no build"):
        Classifier.from_build(tmp_path / "none", "http://127.0.0.1:9/v1")


def test_closed_answers_are_asked_for_by_choice_or_pattern(
    small: Path, server: Loopback, labels: LabelSet
) -> None:
    import re

    with Classifier.from_build(small, server.url, closed=True) as classify:
        classify(SCREENS[0])
        only = classify.prompts.form
    assert server.calls[-1].body["structured_outputs"] == {"choice": list(labels.names)}
    assert closed_form(only, ["a"]) == {"choice": ["a"]}
    from datakit.core.answer import AnswerFormat, TurnFormat

    reason = AnswerFormat((TurnFormat(("reason", "label"), ("理由：", "\n类别：", "")),))
    pattern = closed_form(reason, labels.names)["regex"]
    assert re.fullmatch(pattern, f"理由：有结算按钮\n类别：{labels.names[0]}")
    assert not re.fullmatch(pattern, "理由：有结算按钮\n类别：别的")


def test_dialogue_is_asked_turn_by_turn(tmp_path: Path, server: Loopback) -> None:
    build = made_build(tmp_path, answer="label_only", records=3)
    item = split_items(BuildFolder(build), "train")[0]
    turns = (
        item.messages[0],
        {"role": "user", "content": "<image>描述图片。"},
        {"role": "assistant", "content": "训练里的描述"},
        {"role": "user", "content": "属于哪一类？"},
    )
    server.script = lambda call: saying("一张截图" if call.number == 0 else "店铺页面")
    with Classifier.from_build(build, server.url) as classify:
        (found,) = classify.classify_many([Item(item.images, item.id, messages=turns)])
    assert found.predicted == "店铺页面"
    assert found.tokens_in == 200
    second = server.calls[1].body["messages"]
    assert [turn["role"] for turn in second] == ["system", "user", "assistant", "user"]
    assert second[2]["content"] == "一张截图"
    assert "logprobs" not in server.calls[0].body
