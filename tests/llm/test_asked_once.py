"""Key and question are one: what is asked again is what is sent again, and nothing else is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from datakit.annotate.ask import Ask
from datakit.annotate.describe import Describe
from datakit.annotate.reason import Reason
from datakit.core.errors import BatchFilesWritten, UserError
from datakit.core.files import FileDigests
from datakit.core.image import jpeg_within
from datakit.core.labels import load_labels
from datakit.core.record import BASE, COLUMNS
from datakit.core.settings import LlmSettings, RunSettings
from datakit.core.step_context import StepContext
from datakit.core.transform import Annotator
from datakit.guard._reason_rewriter import _Question
from datakit.llm import images
from datakit.recipe.recipe import Step
from datakit.run.cache import prices_of
from datakit.run.engine import Engine
from datakit.run.keys import Keys
from datakit.run.record_frames import RecordFrames
from datakit.run.store import Store
from tests.support.loopback import KEY, Call, Loopback, Reply

SCHEMA = {**{name: COLUMNS[name] for name in BASE}, "shop": pl.String()}
TEMPLATES = {
    "plain.j2": "问：{{ text }}",
    "spaced.j2": "\n  问：{{ text }}  \n\n",
    "parted.j2": "{% include 'part.j2' %}",
    "part.j2": "问：{{ text }}",
    "placed.j2": "<image>问：{{ text }}",
    "looped.j2": "{% for image in images %}<image>{% endfor %}问：{{ text }}",
    "many.j2": "<image><image><image>问：{{ text }}",
    "by_id.j2": "问：{{ text }}{{ id }}",
    "by_path.j2": "问：{{ text }}{{ images }}",
    "label.j2": "问：{{ text }}{{ label_info.name }}",
    "names.j2": "问：{{ text }}{{ label_names }}",
    "judge.j2": "评：{{ candidate }}{{ shop }}",
}
LABELS = """
labels:
- {name: 甲, description: 第一类}
- {name: 乙, description: 第二类}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with Loopback(models=("gpt-4o-mini", "other")) as server:
        yield server


@pytest.fixture(autouse=True)
def clean(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.script = lambda call: None
    server.calls, server.count = [], 0


def sent(call: Call) -> str:
    """What was asked: the body without the limit of its length, which changes no answer."""
    return json.dumps({name: value for name, value in call.body.items() if name != "max_tokens"})


@dataclass
class Bench:
    """Runs one step over rows, with a new store or an old one, and says what was sent."""

    folder: Path
    make_context: Callable[..., StepContext]
    server: Loopback
    count: int = field(default=0)

    def __call__(
        self, store: str, step: Annotator, rows: list[dict[str, Any]], mode: str = "calls", **llm: Any
    ) -> tuple[list[str], Engine, pl.DataFrame]:
        self.count += 1
        frames = RecordFrames(self.folder / f"given{self.count}", SCHEMA)
        frames.append(pl.DataFrame([{"source_file": "x", "source_line": 1, **row} for row in rows], SCHEMA))
        results = Store(self.folder / store)
        context = self.make_context(
            llm=LlmSettings(**{"base_url": self.server.url, "max_retries": 0, **llm}),
            run=RunSettings(mode=mode),  # type: ignore[arg-type]
            labels=load_labels(self.folder / "labels.yaml"),
            files=FileDigests(results),
        )
        engine = Engine(context, results, self.folder / f"work{self.count}")
        before = len(self.server.calls)
        try:
            frame = engine.run([Step(1, step, "r.yaml:1:1")], frames).lazy().collect()
        finally:
            results.close()
        return [sent(call) for call in self.server.calls[before:]], engine, frame


@pytest.fixture
def bench(tmp_path: Path, project: Path, make_context: Callable[..., StepContext], server: Loopback) -> Bench:
    for name, text in TEMPLATES.items():
        (project / "templates" / name).write_text(text, "utf-8")
    (tmp_path / "labels.yaml").write_text(LABELS, "utf-8")
    draw(tmp_path)
    return Bench(tmp_path, make_context, server)


def draw(folder: Path) -> None:
    """One picture in the forms in which it may come, and another one."""
    picture = Image.linear_gradient("L").resize((60, 50)).convert("RGB")
    picture.save(folder / "a.png")
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "the same pixels")
    picture.save(folder / "noted.png", pnginfo=note)
    as_sent = io.BytesIO()
    picture.save(as_sent, "JPEG", quality=85)
    (folder / "as_sent.jpg").write_bytes(as_sent.getvalue())
    picture.resize((59, 50)).save(folder / "other.png")


PICTURES = [[], ["a.png"], ["copy.png"], ["noted.png"], ["as_sent.jpg"], ["other.png"]]
PICTURES += [["a.png", "other.png"], ["other.png", "copy.png"], ["a.png", "copy.png"]]
ROWS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["r1", "r2"]),
        "text": st.sampled_from(["甲", "甲 ", "乙", "<image>"]),
        "label": st.sampled_from(["甲", "乙"]),
        "shop": st.sampled_from(["x", "y"]),
        "images": st.sampled_from(PICTURES),
    }
)
ASKS = st.fixed_dictionaries(
    {
        "template": st.sampled_from(sorted(TEMPLATES.keys() - {"judge.j2"})),
        "answer": st.sampled_from(
            [
                {"a": "text"},
                {"a": "line"},
                {"a": "number"},
                {"a": ["x|y", "z"]},
                {"a": ["x", "y|z"]},
                {"b": "line"},
                {"a": "line", "b": "line"},
            ]
        ),
        "system": st.sampled_from([None, "简短", "简短 "]),
        "images": st.booleans(),
        "image_first": st.booleans(),
        "temperature": st.sampled_from([0.0, 0.5]),
        "max_tokens": st.sampled_from([64, 128]),
    }
)
LLMS = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["gpt-4o-mini", "other"]),
        "max_image_pixels": st.sampled_from([1_003_520, 2_000_000, 900]),
        "extra_body": st.sampled_from([{}, {"temperature": 0.5}, {"top_p": 0.9, "seed": 3}, {"seed": 3}]),
        "thinking": st.sampled_from(["default", "disabled"]),
        "timeout_s": st.sampled_from([60.0, 120.0]),
    }
)
QUESTIONS = st.tuples(ASKS, ROWS, LLMS)
PLAIN = (
    {"template": "plain.j2", "answer": {"a": "line"}},
    {"id": "r1", "text": "甲", "label": "甲", "shop": "x", "images": ["a.png"]},
    {"model": "gpt-4o-mini"},
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two questions that differ in a thing or two."""
    first, second = draw(QUESTIONS), draw(QUESTIONS)
    names = [(part, name) for part in range(3) for name in sorted(first[part])]
    changed = draw(st.lists(st.sampled_from(names), max_size=3))
    near = tuple(
        {name: second[part][name] if (part, name) in changed else value for name, value in values.items()}
        for part, values in enumerate(first)
    )
    return first, near


def but(**changes: Any) -> tuple[Any, Any]:
    """The plain question, and one that differs so."""
    own = [ASKS, ROWS, LLMS]
    known = [{"system", "image_first", "temperature", "template", "answer", "max_tokens"}, set(PLAIN[1])]
    known.append({"model", "max_image_pixels", "extra_body", "thinking"})
    parts = [
        {**PLAIN[part], **{name: value for name, value in changes.items() if name in known[part]}}
        for part in range(len(own))
    ]
    return PLAIN, tuple(parts)


@example(but(max_image_pixels=2_000_000))
@example(but(max_image_pixels=900))
@example(but(images=["noted.png"]))
@example(but(images=["as_sent.jpg"]))
@example(but(images=["copy.png"]))
@example(but(images=["a.png", "other.png"]))
@example(but(answer={"a": "text"}))
@example(but(template="many.j2"))
@example(but(template="placed.j2"))
@example(but(image_first=True))
@example(but(images=[], image_first=True))
@example(but(extra_body={"temperature": 0.0}))
@example(but(template="by_id.j2", id="r2"))
@example(but(shop="y"))
@example((({**PLAIN[0], "answer": {"a": ["x|y", "z"]}}, *PLAIN[1:]), but(answer={"a": ["x", "y|z"]})[1]))
@given(pairs())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_question_is_paid_again_when_and_only_when_what_is_sent_differs(
    bench: Bench, pair: tuple[Any, Any]
) -> None:
    number, bodies = bench.count, []
    for at, (ask, row, llm) in enumerate(pair):
        record = {**row, "images": [str(bench.folder / name) for name in row["images"]]}
        given_alone, *_ = bench(f"alone{number}.{at}", Ask(**ask), [record], **llm)
        given_after, engine, frame = bench(f"both{number}", Ask(**ask), [record], **llm)
        (body,) = set(given_alone)
        assert given_after == ([] if body in bodies else given_alone)
        assert frame.height == 1
        assert (engine.reports[0].cost_usd > 0) == bool(given_after and llm["model"] == "gpt-4o-mini")
        bodies.append(body)


def test_the_same_question_of_two_records_is_under_way_once(bench: Bench) -> None:
    bench.server.latency_s = 0.1
    try:
        rows = [
            {**PLAIN[1], "id": name, "images": [str(bench.folder / name)]}
            for name in ("a.png", "copy.png", "noted.png", "as_sent.jpg")
        ]
        bodies, engine, frame = bench("store", Ask(**PLAIN[0]), rows)
    finally:
        bench.server.latency_s = 0.0
    assert len(bodies) == 1
    assert frame["a"].n_unique() == 1
    assert frame.height == 4
    assert engine.reports[0].tokens_in == 100


def test_a_refusal_is_not_paid_for_again_under_another_key(bench: Bench) -> None:
    rows = [{**PLAIN[1], "id": text, "text": text, "images": []} for text in ("甲", "乙")]

    def script(call: Call) -> Reply | None:
        return Reply(content=None, finish_reason="content_filter") if "甲" in call.text else None

    bench.server.script = script
    first, engine, frame = bench("store", Ask(**PLAIN[0]), rows)
    again, other, _ = bench("store", Ask(**PLAIN[0]), rows, max_image_pixels=2_000_000)
    assert len(first) == 2
    assert again == []
    assert frame["id"].to_list() == ["乙"]
    assert other.reports[0].rejected == engine.reports[0].rejected == {"content_filter": 1}


def test_what_was_forgotten_is_asked_again_though_another_key_has_an_answer(bench: Bench) -> None:
    record = {**PLAIN[1], "images": []}
    bench("store", Ask(**PLAIN[0]), [record])
    bench("store", Ask(**PLAIN[0]), [record], max_image_pixels=2_000_000)
    store = Store(bench.folder / "store")
    first, second = store.entries()
    assert sorted([first.cost_usd or 0, second.cost_usd or 0])[0] == 0
    assert all(price != 0 for price in prices_of([first, second]).values())  # neither goes unasked
    store.remove([first.key])
    store.close()
    asked = [
        bench("store", Ask(**PLAIN[0]), [record], **llm)[0] for llm in ({}, {"max_image_pixels": 2_000_000})
    ]
    assert sorted(map(len, asked)) == [0, 1]


def test_questions_that_have_one_key_are_one_question(bench: Bench) -> None:
    """Key and request of every step that asks, over every variation of record, template and settings."""
    seen: dict[bytes, tuple[Any, str]] = {}
    context = bench.make_context(llm=LlmSettings(base_url=bench.server.url))
    context = context.changed(labels=load_labels(bench.folder / "labels.yaml"))
    for name in sorted(TEMPLATES.keys() - {"judge.j2"}):
        steps: list[Any] = [
            Describe(template=name),
            Describe(template=name, temperature=0.4),
            Reason(template=name),
            Ask(template=name, into="a"),
            Ask(template=name, into="a", system="简短"),
            Ask(template=name, into="a", image_first=True),
            Ask(template=name, into="a", images=False),
        ]
        for step in steps:
            keys = Keys(step, context)
            for text in ("甲", "乙", " 甲"):
                for names in PICTURES[1:]:
                    for label in ("甲", "乙"):
                        row = {"id": "r", "text": text, "label": label, "shop": "x"}
                        row["images"] = [str(bench.folder / name) for name in names]
                        key, _ = keys.of(row)
                        request = step.request(row, context)
                        digests = [context.files.sha256(path) for path in request.images]
                        body = repr((type(step), request.text, digests, request.system, request.schema))
                        body += repr((request.temperature, request.image_first, request.sample))
                        assert seen.setdefault(key, (body, name))[0] == body
    assert len(seen) > 200


def test_a_referee_who_is_told_something_else_judges_anew(bench: Bench) -> None:
    def script(call: Call) -> Reply:
        if "评：" in call.text:
            return Reply(content=json.dumps({"why": call.text[-1], "ok": call.text.endswith("x")}))
        return Reply(content='{"description": "一张图。"}')

    bench.server.script = script
    rows = [
        {**PLAIN[1], "id": shop, "shop": shop, "images": [str(bench.folder / "a.png")]} for shop in ("x", "y")
    ]
    step = Describe(template="plain.j2", referee="judge.j2", max_tries=1, on_fail="keep")
    bodies, _, frame = bench("store", step, rows)
    assert len(bodies) == 3  # the description once, and two verdicts on it
    assert frame["description_faults"].to_list() == [[], ["referee_refused: y"]]
    assert bench("store", step, rows)[0] == []


def test_template_edited_while_a_step_runs_is_asked_from_the_next_run_on(bench: Bench, project: Path) -> None:
    file = project / "templates" / "part.j2"

    def edit(call: Call) -> None:
        file.write_text("改：{{ text }}", "utf-8")

    bench.server.script = edit  # type: ignore[assignment]
    rows = [{**PLAIN[1], "id": f"r{at}", "text": str(at), "images": []} for at in range(300)]
    step = Ask(template="parted.j2", into="a")
    bodies, *_ = bench("store", step, rows)
    assert len(bodies) == 300
    assert all("改" not in json.loads(body)["messages"][0]["content"] for body in bodies)
    again, *_ = bench("store", step, rows)
    assert len(again) == 300


def test_more_samples_never_take_one_answer_for_two(bench: Bench) -> None:
    bench.server.script = lambda call: Reply(content='{"description": "坏。"}')
    row = {**PLAIN[1], "images": [str(bench.folder / "a.png")]}
    step = {"template": "plain.j2", "banned": ["坏"], "on_fail": "keep", "max_tries": 3}
    first, *_ = bench("store", Describe(**step, samples=2), [row])
    more, *_ = bench("store", Describe(**step, samples=3), [row])
    assert len(first) == 6
    assert len(more) == 3


def test_a_rewriting_is_keyed_by_what_is_sent(bench: Bench) -> None:
    context = bench.make_context(llm=LlmSettings(base_url=bench.server.url))
    context = context.changed(labels=load_labels(bench.folder / "labels.yaml"))
    template = context.project / "templates" / "again.j2"
    template.write_text(
        "{{ candidate }}{{ faults | join }}{{ neighbours | join }}{{ label_info.name }}", "utf-8"
    )
    step = _Question(column="reason", template="again.j2", temperature=0.9, max_tokens=64)
    rows = [
        {
            "id": id_,
            "label": label,
            "images": [],
            "candidate": text,
            "faults": [fault],
            "neighbours": [],
            "try": n,
        }
        for id_ in ("r1", "r2")
        for label in ("甲", "乙")
        for text in ("旧", "旧的")
        for fault in ("太短", "的太短")
        for n in (1, 2)
    ]
    keys = Keys(step, context)
    asked = {(step.request(row, context).text, row["try"]): keys.of(row)[0] for row in rows}
    assert [keys.of(row)[0] for row in rows] == [
        asked[step.request(row, context).text, row["try"]] for row in rows
    ]
    assert len(set(asked.values())) == len(asked) < len(rows)


@pytest.mark.parametrize("text", ["{{ [1, 2] | random }}", "{{ lipsum() }}"])
def test_template_whose_text_is_another_each_time_is_refused(bench: Bench, project: Path, text: str) -> None:
    (project / "templates" / "dice.j2").write_text(text, "utf-8")
    with pytest.raises(UserError, match="another text each time"):
        bench("store", Ask(template="dice.j2", into="a"), [{**PLAIN[1], "images": []}])
    assert bench.server.count == 0


def test_a_picture_is_encoded_once_for_its_digest_and_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path)
    encoded: list[str] = []

    def counted(path: str, max_pixels: int) -> bytes:
        encoded.append(path)
        return jpeg_within(path, max_pixels)

    monkeypatch.setattr(images, "jpeg_within", counted)
    first = images.picture_bytes(str(tmp_path / "a.png"), 2_000)
    assert images.picture_bytes(str(tmp_path / "a.png"), 2_000) == first
    assert images.picture_bytes(str(tmp_path / "a.png"), 900) != first
    (tmp_path / "a.png").write_bytes((tmp_path / "other.png").read_bytes())
    assert images.picture_bytes(str(tmp_path / "a.png"), 2_000) != first
    assert len(encoded) == 3


def test_batch_files_hold_a_question_of_several_records_once(bench: Bench) -> None:
    rows = [
        {**PLAIN[1], "id": name, "images": [str(bench.folder / name)]}
        for name in ("a.png", "copy.png", "noted.png", "as_sent.jpg", "other.png")
    ]
    with pytest.raises(BatchFilesWritten):
        bench("store", Ask(**PLAIN[0]), rows, mode="batch_files")
    files = list(bench.folder.rglob("in.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_bytes().splitlines()]
    assert len(lines) == 2
    assert bench.server.count == 0
    by_call, *_ = bench("other", Ask(**PLAIN[0]), rows)
    assert sorted(json.dumps(line["body"]["messages"]) for line in lines) == sorted(
        json.dumps(json.loads(body)["messages"]) for body in by_call
    )
