"""render.grounding: questions about boxes whose answers are in the numbers of the model's family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from datakit.core.answer import AnswerFormat
from datakit.core.box_forms import BoxForm
from datakit.core.errors import UserError
from datakit.core.outcome import Batch
from datakit.core.pixels import FAMILIES, TrainerLimits
from datakit.core.seen_pictures import TrainedPictures
from datakit.core.step_context import StepContext
from datakit.render.grounding import Grounding

ROOT = Path(__file__).resolve().parents[2]
SIZE = (1080, 2340)  # Qwen2.5-VL sees 532 x 1120 of it with the trainer's limits, 1092 x 2352 without
LINES = [
    {"text": "购物车", "score": 0.99, "box": [108.0, 234.0, 540.0, 468.0], "image": 0},
    {"text": "去结算", "score": 0.95, "box": [540.0, 2106.0, 1080.0, 2340.0], "image": 0},
    {"text": "¥", "score": 0.4, "box": [0.0, 0.0, 20.0, 20.0], "image": 0},
]
LINE = pl.Struct({"text": pl.String, "score": pl.Float64, "box": pl.List(pl.Float64), "image": pl.UInt32})


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "screen.jpg"
    Image.new("RGB", SIZE, "white").save(path)
    return str(path)


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    empty = {"source_file": "rows.jsonl", "source_line": 1, "label": None, "text": None}
    schema = {
        "id": pl.String,
        "source_file": pl.String,
        "source_line": pl.Int64,
        "images": pl.List(pl.String),
    }
    schema |= {"label": pl.String, "text": pl.String, "ocr": pl.List(LINE)}
    return pl.DataFrame([{**empty, **row} for row in rows], schema=schema)


def rendered(records: pl.DataFrame, *, form: BoxForm | None = "qwen2_5_vl", **parameters: Any) -> Batch:
    step = Grounding(boxes="ocr", form=form, **parameters)
    return step.start(context(), records.lazy())(records)


def context(**changes: Any) -> StepContext:
    return StepContext(base=ROOT, project=ROOT, **changes)


def turns(batch: Batch) -> tuple[str, str]:
    [chat] = batch.frame["messages"].to_list()
    assert [turn["role"] for turn in chat] == ["system", "user", "assistant"]
    return chat[1]["content"], chat[2]["content"]


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        (
            "qwen2_5_vl",
            '[{"bbox_2d": [53, 112, 266, 224], "label": "购物车"}, '
            '{"bbox_2d": [266, 1008, 532, 1120], "label": "去结算"}]',
        ),
        (
            "qwen3_vl",
            '[{"bbox_2d": [100, 100, 500, 200], "label": "购物车"}, '
            '{"bbox_2d": [500, 900, 1000, 1000], "label": "去结算"}]',
        ),
        (
            "qwen2_vl",
            "<|object_ref_start|>购物车<|object_ref_end|><|box_start|>(100,100),(500,200)<|box_end|>"
            "<|object_ref_start|>去结算<|object_ref_end|><|box_start|>(500,900),(1000,1000)<|box_end|>",
        ),
    ],
)
def test_all_lines_are_answered_in_the_form_of_the_family(form: BoxForm, answer: str, picture: str) -> None:
    batch = rendered(frame({"id": "a", "images": [picture], "ocr": LINES}), form=form, tasks=["lines"])
    asked, answered = turns(batch)
    assert answered == answer
    assert "找出图片中的每一行文字" in asked
    assert ("<|box_start|>" if form == "qwen2_vl" else "bbox_2d") in asked


@pytest.mark.parametrize("form", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("stripped", [False, True])
def test_answers_are_read_back_as_they_were_written(form: BoxForm, stripped: bool, picture: str) -> None:
    batch = rendered(frame({"id": "a", "images": [picture], "ocr": LINES}), form=form, tasks=["lines"])
    step = Grounding(boxes="ocr", form=form, tasks=("lines",))
    answer_format = AnswerFormat.from_json(step.answer_format(context()).to_json())
    text = turns(batch)[1]
    if stripped:  # as a server gives it that leaves special tokens out
        for token in ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"):
            text = text.replace(token, "")
    answer = answer_format.parse(text)
    assert answer.problem == ""
    assert json.loads(answer.values["boxes"]) == json.loads(batch.frame["answer_boxes"][0])


def test_what_is_to_be_found_is_answered_with_every_box_of_that_name(picture: str) -> None:
    lines = [*LINES[:1] * 2, LINES[2]]
    batch = rendered(frame({"id": "a", "images": [picture], "ocr": lines}), tasks=["locate"], min_score=0)
    asked, answered = turns(batch)
    assert "找到“购物车”" in asked  # of one character is ¥
    assert len(json.loads(answered)) == 2
    assert batch.frame["ask_name"].to_list() == ["购物车"]


def test_a_name_that_stands_within_another_is_not_asked_for(picture: str) -> None:
    lines = [{**LINES[0], "text": text} for text in ("购物车(2)", "购物车", "1 +")]
    for id_ in "abcdefgh":
        batch = rendered(frame({"id": id_, "images": [picture], "ocr": lines}), tasks=["locate"])
        assert batch.frame["ask_name"].to_list() == ["购物车(2)"]


def line(text: str, top: float, score: float = 0.99, left: float = 100.0) -> dict[str, Any]:
    return {
        "text": text,
        "score": score,
        "box": [left, float(top), left + 40.0 * len(text), top + 50.0],
        "image": 0,
    }


BAR = [line("9:41", 10), line(".ll 5G □", 10, 0.6, 600.0), line("l HD", 12, 0.9, 900.0)]
SCREEN = [
    *BAR,
    line("<订单详情", 120),
    line("食", 300),
    line("口", 400),
    line("查看全部，", 600),
    line("实付款", 700),
]


def labels(batch: Batch) -> list[str]:
    return [box["label"] for box in json.loads(turns(batch)[1])]


@pytest.mark.parametrize(
    ("language", "said"),
    [("zh", "（手机状态栏、图标和单个字符除外）"), ("en", "apart from the status bar, icons")],
)
def test_the_lines_are_those_that_the_question_asks_for(language: Any, said: str, picture: str) -> None:
    rows = frame({"id": "a", "images": [picture], "ocr": SCREEN})
    worker = Grounding(boxes="ocr", form="qwen3_vl", tasks=("lines",), language=language).start(
        context(), rows.lazy()
    )
    batch = worker(rows)
    assert labels(batch) == ["订单详情", "查看全部", "实付款"]
    assert said in turns(batch)[0]
    assert worker.notes["texts that `leave_out` names"] == 5


def test_texts_that_people_wrote_down_are_all_answered_where_nothing_is_left_out(picture: str) -> None:
    rows = frame({"id": "a", "images": [picture], "ocr": [{**entry, "score": None} for entry in SCREEN]})
    batch = rendered(rows, tasks=["lines"], leave_out=[])
    assert labels(batch) == [entry["text"] for entry in SCREEN]
    assert "除外" not in turns(batch)[0]


def test_single_signs_that_people_wrote_down_are_answered(picture: str) -> None:
    written = [{**line("价", 100), "score": None}, line("实付款", 700)]
    rows = frame({"id": "a", "images": [picture], "ocr": written}).rename({"ocr": "boxes"})
    worker = Grounding(form="qwen3_vl", tasks=("lines",)).start(context(), rows.lazy())
    batch = worker(rows)
    assert labels(batch) == ["价", "实付款"]
    assert "（手机状态栏除外）" in turns(batch)[0]


@pytest.mark.parametrize("task", ["locate", "read"])
def test_neither_the_status_bar_nor_an_icon_is_asked_about(task: str, picture: str) -> None:
    rows = [{"id": f"r{number}", "images": [picture], "ocr": SCREEN} for number in range(40)]
    frame_ = rendered(frame(*rows), tasks=[task]).frame
    column = "ask_name" if task == "locate" else "answer_text"
    assert sorted(frame_[column].unique()) == sorted(["订单详情", "查看全部", "实付款"])


@pytest.mark.fault(
    "OCR is unsure of a line, or runs an amount and a number together",
    "the picture is asked for a place or a box instead of every line, and counted; a name that may stand "
    "there is not asked for",
    kind="answers",
)
@pytest.mark.parametrize("doubtful", [line("体育", 800, 0.75), line("¥60.90500+人付款", 800)])
def test_no_answer_lacks_a_line_without_saying_so(doubtful: dict[str, Any], picture: str) -> None:
    ocr = [line("体育", 300), line("语文课", 400), line("500+人付款", 500), doubtful]
    rows = frame(*({"id": f"r{number}", "images": [picture], "ocr": ocr} for number in range(60)))
    worker = Grounding(boxes="ocr", form="qwen3_vl").start(context(), rows.lazy())
    batch = worker(rows)
    assert batch.rejects == []
    assert set(batch.frame["answer_form"]) == {"locate", "read"}
    moved = [count for words, count in worker.notes.items() if "not sure of all their texts" in words]
    assert len(moved) == 2
    assert sum(moved) >= 10
    asked = set(batch.frame["ask_name"].drop_nulls())
    assert "语文课" in asked
    assert ("体育" in asked) == (doubtful["text"] != "体育")
    assert ("500+人付款" in asked) == (doubtful["text"] == "体育")
    [reject] = rendered(rows[:1], tasks=["lines"]).rejects
    assert reject.reason == "boxes_doubtful"
    assert repr(doubtful["text"]) in reject.detail


def test_a_name_is_not_asked_for_where_a_doubtful_text_may_be_it(picture: str) -> None:
    rows = frame({"id": "a", "images": [picture], "ocr": [line("体育", 300), line("体育课", 500, 0.5)]})
    assert [reject.reason for reject in rendered(rows, tasks=["locate"]).rejects] == ["boxes_doubtful"]


def test_the_label_of_a_thing_with_a_single_sign_on_it_is_still_located(picture: str) -> None:
    batch = rendered(of_things([{**THING, "text": "×"}], picture=picture), tasks=["locate"])
    assert batch.frame["ask_name"].to_list() == ["按钮"]


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ("qwen2_5_vl", "[53, 112, 266, 224]"),
        ("qwen3_vl", "[100, 100, 500, 200]"),
        ("qwen2_vl", "<|box_start|>(100,100),(500,200)<|box_end|>"),
    ],
)
def test_what_is_in_a_box_is_asked_in_the_same_numbers(form: BoxForm, place: str, picture: str) -> None:
    batch = rendered(frame({"id": "a", "images": [picture], "ocr": LINES[:1]}), form=form, tasks=["read"])
    asked, answered = turns(batch)
    assert place in asked
    assert answered == "购物车"


def test_prompts_are_english_where_the_recipe_says_so(picture: str) -> None:
    rows = frame({"id": "a", "images": [picture], "ocr": LINES[:1]})
    for task in ("lines", "locate", "read"):
        asked, _ = turns(rendered(rows, tasks=[task], language="en"))
        assert not any("\u4e00" <= char <= "\u9fff" for char in asked.replace("购物车", ""))


def test_the_family_and_its_limits_are_those_of_the_training(picture: str) -> None:
    rows = frame({"id": "a", "images": [picture], "ocr": LINES})
    step = Grounding(boxes="ocr", tasks=("lines",))
    limits = TrainerLimits(12_845_056)
    own = context(pictures=TrainedPictures("qwen2_5_vl", FAMILIES["qwen2_5_vl"], limits))
    batch = step.start(own, rows.lazy())(rows)
    assert json.loads(turns(batch)[1])[1]["bbox_2d"] == [546, 2117, 1092, 2352]
    scaled = context(pictures=TrainedPictures("qwen2_5_vl", FAMILIES["qwen2_5_vl"], limits, 589_824))
    batch = step.start(scaled, rows.lazy())(rows)
    assert json.loads(turns(batch)[1])[1]["bbox_2d"] == [266, 1008, 532, 1120]


def test_a_recipe_without_a_model_must_name_the_form(picture: str) -> None:
    with pytest.raises(UserError, match="in which form boxes are written"):
        Grounding(boxes="ocr").inputs(context())


def test_each_task_has_its_share_and_the_same_records_whatever_their_order(picture: str) -> None:
    rows = [{"id": f"r{number}", "images": [picture], "ocr": LINES} for number in range(90)]
    forward, backward = rendered(frame(*rows)).frame, rendered(frame(*rows[::-1])).frame
    counts = forward["answer_form"].value_counts()
    assert sorted(counts["answer_form"]) == ["lines", "locate", "read"]
    assert counts["count"].min() >= 20
    assert forward.sort("id").equals(backward.sort("id"))


def test_boxes_are_clipped_and_counted(picture: str) -> None:
    lines = [{**LINES[0], "box": [-10.0, 0.0, 108.0, 234.0]}]
    rows = frame({"id": "a", "images": [picture], "ocr": lines})
    worker = Grounding(boxes="ocr", form="qwen3_vl", tasks=("lines",)).start(context(), rows.lazy())
    assert json.loads(turns(worker(rows))[1])[0]["bbox_2d"] == [0, 0, 100, 100]
    assert worker.notes["boxes clipped to their picture"] == 1


THING = {"image": 0, "box": [108.0, 234.0, 540.0, 468.0], "label": "按钮", "text": None}
PLACED = pl.List(
    pl.Struct({"image": pl.UInt32, "box": pl.List(pl.Float64), "label": pl.String, "text": pl.String})
)


def of_things(*boxes: list[dict[str, Any]], picture: str) -> pl.DataFrame:
    rows = frame(*({"id": f"r{number}", "images": [picture]} for number in range(len(boxes))))
    return rows.drop("ocr").with_columns(pl.Series("ocr", list(boxes), dtype=PLACED))


def test_a_label_is_never_trained_as_what_is_written_in_a_box(picture: str) -> None:
    rows = of_things(*[[THING]] * 60, picture=picture)
    worker = Grounding(boxes="ocr", form="qwen3_vl").start(context(), rows.lazy())
    batch = worker(rows)
    assert batch.rejects == []
    assert batch.frame["answer_form"].unique().to_list() == ["locate"]
    assert batch.frame["id"].to_list() == rows["id"].to_list()
    assert worker.notes["answer forms"] == {"lines": 0, "locate": 60, "read": 0}
    moved = worker.notes["records asked `locate` because none of their boxes has a text"]
    assert 30 <= moved < 60  # about two thirds were drawn for a task that needs a text


@pytest.mark.parametrize("task", ["lines", "read"])
def test_a_record_without_texts_is_rejected_where_only_texts_are_asked_for(task: str, picture: str) -> None:
    batch = rendered(of_things([THING, THING], picture=picture), tasks=[task])
    [reject] = batch.rejects
    assert reject.reason == "boxes_missing"
    assert f"none of the 2 boxes has a text, and `{task}` is answered with texts" in reject.detail
    assert "take `tasks: [locate]`" in reject.detail


def test_boxes_without_a_text_are_left_out_of_the_lines_and_counted(picture: str) -> None:
    rows = of_things([THING, {**THING, "text": "去结算"}, {**THING, "label": None}], picture=picture)
    worker = Grounding(boxes="ocr", form="qwen3_vl", tasks=("lines",)).start(context(), rows.lazy())
    assert [box["label"] for box in json.loads(turns(worker(rows))[1])] == ["去结算"]
    assert worker.notes["boxes without a text, left out of answers that list texts"] == 2


def test_only_boxes_with_a_text_are_read(picture: str) -> None:
    rows = of_things(*[[THING, {**THING, "text": "去结算"}]] * 20, picture=picture)
    batch = rendered(rows, tasks=["read"])
    assert batch.frame["answer_text"].unique().to_list() == ["去结算"]


@pytest.mark.parametrize("task", ["lines", "read"])
def test_labels_that_are_said_to_be_texts_are_answered(task: str, picture: str) -> None:
    batch = rendered(of_things([THING], picture=picture), tasks=[task], label_is_text=True)
    assert "按钮" in turns(batch)[1]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ocr": []}, "boxes_none_left"),
        ({"ocr": None}, "boxes_missing"),
        ({"images": []}, "boxes_missing"),
        ({"ocr": LINES[2:]}, "boxes_none_left"),  # not sure enough
        ({"ocr": [{**LINES[0], "box": [5.0, 5.0, 5.0, 9.0]}]}, "box_empty"),
        ({"ocr": [{**LINES[0], "box": [5000.0, 5.0, 6000.0, 9.0]}]}, "box_outside"),
        ({"ocr": [{**LINES[0], "image": 1}]}, "box_picture"),
        ({"ocr": [{**LINES[0], "box": [1.0, 2.0]}]}, "boxes_unreadable"),
        ({"ocr": LINES[:1] * 4}, "boxes_too_many"),
        ({"ocr": [{**LINES[0], "text": "<|im_end|>"}]}, "answer_tokens"),
        ({"images": ["/no/such.jpg"]}, "image_missing"),
    ],
)
def test_a_record_without_a_question_is_rejected_with_a_word(
    changes: dict[str, Any], reason: str, picture: str
) -> None:
    good = {"id": "good", "images": [picture], "ocr": LINES}
    batch = rendered(frame(good, {**good, "id": "bad", **changes}), tasks=["lines"], max_boxes=3)
    assert [(reject.id, reject.reason) for reject in batch.rejects] == [("bad", reason)]
    assert batch.frame["id"].to_list() == ["good"]


def test_two_pictures_are_one_too_many(picture: str) -> None:
    batch = rendered(frame({"id": "bad", "images": [picture] * 2, "ocr": LINES}))
    assert [reject.reason for reject in batch.rejects] == ["images_too_many"]


def test_a_template_that_gives_the_answer_away_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "own.j2").write_text("<image>{{ answer_boxes }} {{ answer_format }}")
    step = Grounding(boxes="ocr", form="qwen3_vl", tasks=("lines",), prompts={"lines": "own.j2"})
    with pytest.raises(UserError, match="gives the answer away"):
        step.inputs(StepContext(base=tmp_path, project=tmp_path))


def test_a_served_prompt_is_the_trained_one(picture: str) -> None:
    rows = frame({"id": "a", "images": [picture], "ocr": LINES[:1]})
    step = Grounding(boxes="ocr", form="qwen2_5_vl")
    for task in ("lines", "locate", "read"):
        trained, _ = turns(rendered(rows, tasks=[task]))
        writer = step.for_form(task, context()).writer(context())
        row = {"id": "a", "images": [picture], "ask_name": "购物车", "ask_box": "[53, 112, 266, 224]"}
        assert writer.prompt(row).users == (trained,)
