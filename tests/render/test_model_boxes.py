"""Boxes in the answers of render.chat: in the numbers and the notation of the model that is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.artifacts.build_folder import BuildFolder
from datakit.core.answer_forms import ContractFormat
from datakit.core.chat_columns import chat_columns
from datakit.core.contract import AnswerField
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.pixels import FAMILIES
from datakit.core.seen_pictures import TrainedPictures
from datakit.core.step_context import StepContext
from datakit.evaluation.evaluation import Options, score
from datakit.evaluation.from_build import BuildSource
from datakit.library import build
from datakit.render._answers import AnswerForm
from datakit.render.chat import Chat

SIZE = (1080, 2340)  # Qwen2.5-VL sees 532 x 1120 of it with the trainer's limits
EXIF_ORIENTATION = 0x0112
MODELS = {
    "qwen2_vl": "Qwen/Qwen2-VL-7B-Instruct",
    "qwen2_5_vl": "Qwen/Qwen2.5-VL-7B-Instruct",
    "qwen3_vl": "Qwen/Qwen3-VL-8B-Instruct",
}
RECIPE = """\
name: places
steps:
  - read.jsonl: {{path: ../data.jsonl, image: image, {read}}}
  - render.chat:
      prompt: ask.j2
      {answer}
      max_chars: null
emit: [{emit}]
run: {{max_reject_rate: 1.0}}
{train}
"""
BOX = {"bbox": [108, 234, 540, 468], "label": "购物车"}
READ = "label: label, boxes: where"


def picture(folder: Path, name: str = "screen.jpg", *, turned: bool = False) -> str:
    """A picture that is SIZE upright."""
    image = Image.new("RGB", SIZE[::-1] if turned else SIZE, "white")
    exif = image.getexif()
    if turned:
        exif[EXIF_ORIENTATION] = 6
    image.save(folder / name, exif=exif)
    return name


def built(
    folder: Path,
    rows: list[dict[str, Any]],
    *,
    form: str = "qwen2_5_vl",
    read: str = READ,
    answer: str = "answer: {fields: [label, boxes]}",
    emit: str = "llamafactory",
) -> BuildFolder:
    for name in ("recipes", "templates", "data_cards"):
        (folder / name).mkdir()
    (folder / "templates" / "ask.j2").write_text(
        "{% for _ in images %}<image>{% endfor %}看图回答。{{ answer_format }}", "utf-8"
    )
    whole = [{"id": f"r{at}", "label": "购物", **row} for at, row in enumerate(rows)]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in whole))
    recipe = folder / "recipes" / "places.yaml"
    model = f"train: {{model: {MODELS[form]}}}" if form else ""
    text = RECIPE.format(read=read, answer=answer, emit=emit, train=model)
    recipe.write_text(text, "utf-8")
    return BuildFolder(build(recipe, check=False).folder)


def answers(folder: BuildFolder) -> list[str]:
    return [row["messages"][-1]["content"] for row in folder.rows("train")]


def rejects(folder: BuildFolder) -> list[tuple[str, str]]:
    lines = folder.rejects_file.read_text("utf-8").splitlines()
    return [(row["id"], row["reason"]) for row in map(json.loads, lines)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("form", "written"),
    [
        (
            "qwen2_vl",
            "<|object_ref_start|>购物车<|object_ref_end|><|box_start|>(100,100),(500,200)<|box_end|>",
        ),
        ("qwen2_5_vl", '[{"bbox_2d": [53, 112, 266, 224], "label": "购物车"}]'),
        ("qwen3_vl", '[{"bbox_2d": [100, 100, 500, 200], "label": "购物车"}]'),
    ],
)
def test_a_field_of_boxes_is_answered_in_the_form_of_the_family(
    form: str, written: str, turned: bool, tmp_path: Path
) -> None:
    folder = built(tmp_path, [{"image": picture(tmp_path, turned=turned), "where": [BOX]}], form=form)
    assert answers(folder) == [f"类别：购物\n位置：{written}"]
    [row] = folder.rows("train")
    asked = row["messages"][1]["content"]
    assert ("<|box_start|>" if form == "qwen2_vl" else '"bbox_2d"') in asked
    assert isinstance(folder.answer_format, ContractFormat)
    answer = folder.answer_format.parse(answers(folder)[0])
    assert answer.exact
    [entry] = json.loads(folder.main.collect()["answer_boxes"][0])
    assert json.loads(answer.values["boxes"]) == [entry]


def test_numbers_are_of_the_picture_after_the_emitters_resize_too(tmp_path: Path) -> None:
    folder = built(
        tmp_path,
        [{"image": picture(tmp_path), "where": [BOX]}],
        emit="llamafactory: {images: resize, image_max_pixels: 200704}",
    )
    [text] = answers(folder)
    assert folder.answer_format.seen.size(SIZE) == (308, 672)  # type: ignore[attr-defined]
    assert text.endswith('[{"bbox_2d": [31, 67, 154, 134], "label": "购物车"}]')
    assert rejects(folder) == []  # these boxes are counted: no resize moves them


def test_numbers_that_are_a_models_already_stay_as_they_come(tmp_path: Path) -> None:
    where = [{"bbox_2d": [1, 2, 3.5, 4], "label": "a"}]
    folder = built(tmp_path, [{"image": picture(tmp_path), "boxes": where}], read="label: label")
    assert answers(folder) == ['类别：购物\n位置：[{"bbox_2d": [1, 2, 3.5, 4], "label": "a"}]']


def test_a_recipe_that_trains_no_known_family_has_boxes_as_they_come(tmp_path: Path) -> None:
    folder = built(tmp_path, [{"image": picture(tmp_path), "where": [BOX]}], form="")
    assert answers(folder)[0].endswith('[{"bbox_2d": [108, 234, 540, 468], "label": "购物车"}]')
    assert "answer_boxes" not in folder.columns


def test_names_keep_their_quotes_brackets_and_marks(tmp_path: Path) -> None:
    name = '“满减"(1,2),(3,4)[5,6,7,8]\\ <|box_end|>'
    folder = built(
        tmp_path, [{"image": picture(tmp_path), "where": [{**BOX, "label": name}]}], form="qwen3_vl"
    )
    [text] = answers(folder)
    answer = folder.answer_format.parse(text)
    assert json.loads(answer.values["boxes"]) == [{"bbox_2d": [100, 100, 500, 200], "label": name}]


def test_names_with_special_tokens_are_rejected_where_boxes_are_written_in_tokens(tmp_path: Path) -> None:
    rows = [
        {"image": picture(tmp_path), "where": [{**BOX, "label": label}]} for label in ("a<|box_end|>", "b")
    ]
    folder = built(tmp_path, rows, form="qwen2_vl")
    assert rejects(folder) == [("r0", "answer_unreadable")]


@pytest.mark.parametrize(
    ("boxes", "images", "reason"),
    [
        ([{"image": 0, "box": [5, 5, 5, 9]}], 1, "box_empty"),
        ([{"image": 0, "box": [9, 5, 5, 9]}], 1, "box_empty"),
        ([{"image": 0, "box": [5000, 5, 6000, 9]}], 1, "box_outside"),
        ([{"image": 1, "box": [1, 2, 3, 4]}], 1, "box_picture"),
        ([{"image": 0, "box": [1, 2, 3]}], 1, "boxes_unreadable"),
        ([{"image": 0, "box": [1, 2, 3, float("nan")]}], 1, "boxes_unreadable"),
        ([{"image": 0, "box": [1, 2, 3, float("inf")]}], 1, "boxes_unreadable"),
        ([{"image": 0, "box": ["1", "2", "3", "4"]}], 1, "boxes_unreadable"),
        ([{"image": 0, "box": [1, 2, 3, 4]}, {"bbox_2d": [1, 2, 3, 4]}], 1, "boxes_unreadable"),
        ([{"image": 0, "box": [1, 2, 3, 4]}, {"image": 1, "box": [1, 2, 3, 4]}], 2, "images_too_many"),
        ([{"image": 0, "box": [1, 2, 3, 4]}], 0, "box_picture"),
        ([], 1, "answer_incomplete"),
        (None, 1, "answer_incomplete"),
    ],
)
def test_boxes_that_cannot_be_answered_reject_their_record(
    boxes: Any, images: int, reason: str, tmp_path: Path
) -> None:
    path = picture(tmp_path)
    rows = [
        {"image": [path] * images, "boxes": json.dumps(boxes)},
        {"image": [path], "boxes": json.dumps([{"box": [1, 2, 30, 40], "label": "a"}])},
    ]
    folder = built(tmp_path, rows, read="label: label")
    assert rejects(folder) == [("r0", reason)]
    assert len(answers(folder)) == 1


def test_boxes_that_hang_over_the_edge_are_clipped_and_counted(tmp_path: Path) -> None:
    where = json.dumps([{"box": [-10, 0, 108, 234], "label": "a"}])
    folder = built(
        tmp_path,
        [{"image": picture(tmp_path), "boxes": where}],
        read="label: label",
        form="qwen3_vl",
    )
    assert answers(folder)[0].endswith('[{"bbox_2d": [0, 0, 100, 100], "label": "a"}]')
    [step] = [step for step in folder.report.steps if step.name == "render.chat"]
    assert step.notes["boxes clipped to their picture"] == 1


def test_an_optional_field_says_that_there_are_none(tmp_path: Path) -> None:
    folder = built(
        tmp_path,
        [{"image": picture(tmp_path), "where": []}, {"image": "screen.jpg", "where": [BOX]}],
        answer="answer: {fields: [label, {name: boxes, optional: true}]}",
    )
    assert [text.split("位置：")[1][:1] for text in answers(folder)] == ["无", "["]


def test_one_form_of_several_has_boxes(tmp_path: Path) -> None:
    rows = [{"image": picture(tmp_path), "where": [BOX]} for _ in range(8)]
    folder = built(
        tmp_path,
        rows,
        answer="answers: [{form: places, fields: [label, boxes]}, {form: label_only}]",
    )
    texts = answers(folder)
    assert sum("bbox_2d" in text for text in texts) == 4
    assert all("bbox_2d" not in text or "[53, 112, 266, 224]" in text for text in texts)


def test_two_fields_have_boxes_of_two_columns(tmp_path: Path) -> None:
    goods = [{"box": [540, 0, 1080, 234], "label": "商品"}]
    folder = built(
        tmp_path,
        [{"image": picture(tmp_path), "where": [BOX], "goods": json.dumps(goods)}],
        form="qwen3_vl",
        answer="answer: {fields: [boxes, {name: goods, kind: boxes}]}",
    )
    assert answers(folder) == [
        '位置：[{"bbox_2d": [100, 100, 500, 200], "label": "购物车"}]\n'
        'goods：[{"bbox_2d": [500, 0, 1000, 100], "label": "商品"}]'
    ]


def test_a_column_of_the_records_is_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="answer_boxes"):
        built(tmp_path, [{"image": picture(tmp_path), "where": [BOX], "answer_boxes": "mine"}])


def test_answers_are_scored_against_the_same_numbers(tmp_path: Path) -> None:
    rows = [{"image": picture(tmp_path), "where": [BOX]} for _ in range(3)]
    folder = built(tmp_path, rows, answer="answer: {fields: [boxes]}")
    predictions = tmp_path / "predictions.jsonl"
    lines = [
        {"id": f"r{at}", "model": "m", "answer": text, "values": {"boxes": text}}
        for at, text in enumerate(answers(folder))
    ]
    predictions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    [result] = score(BuildSource(folder), [predictions], Options(split="train", resamples=20))
    assert result.evaluation.metrics["mean_iou"].value == 1.0


def test_records_are_compared_by_the_boxes_that_they_came_with(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "ask.j2").write_text("{{ answer_format }}")
    fields = (AnswerField(name="boxes", kind="boxes", column="where"),)
    chat = Chat(prompt="ask.j2", answer=AnswerForm(fields=fields))
    pictures = TrainedPictures("qwen3_vl", FAMILIES["qwen3_vl"])
    context = StepContext(tmp_path, tmp_path, pictures=pictures, steps=(chat,))
    assert chat.source_columns(context) == {"answer_where": "where"}
    assert [*chat_columns(context).fields] == ["where"]


def test_boxes_of_kept_chats_must_be_told_where_others_are_counted(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "<image>在哪？"}, {"role": "assistant", "content": "这里"}]
    with pytest.raises(RecipeErrors, match="kept chats"):
        built(
            tmp_path,
            [{"image": picture(tmp_path), "where": [BOX], "messages": chat}],
            answer="answer: {fields: [label, boxes]}\n      keep_messages: true",
            emit="llamafactory: {images: resize, image_max_pixels: 200704}",
        )


@pytest.mark.parametrize("shown", ["boxes", "answer_boxes"])
def test_a_prompt_that_shows_the_boxes_gives_the_answer_away(shown: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "ask.j2").write_text(f"<image>{{{{ {shown} }}}} {{{{ answer_format }}}}")
    chat = Chat(prompt="ask.j2", answer=AnswerForm(fields=(AnswerField(name="boxes", kind="boxes"),)))
    pictures = TrainedPictures("qwen3_vl", FAMILIES["qwen3_vl"])
    with pytest.raises(UserError, match="gives the answer away"):
        chat.inputs(StepContext(tmp_path, tmp_path, pictures=pictures))
