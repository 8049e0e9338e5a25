"""curate.suspects: who doubts which label, how the doubts are joined, and what is odd about predictions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.artifacts.kfold import Joined, KfoldRecord, content_of, digest_of
from datakit.artifacts.predictions import Prediction, write
from datakit.core.errors import UserError
from datakit.core.files import FileDigests
from datakit.core.labels import Label, LabelSet
from datakit.core.outcome import Table
from datakit.core.step_context import StepContext
from datakit.core.suspicion import Doubt, combined, guess, proposed, ranked, weight_of_rank
from datakit.curate.suspects import Suspects
from datakit.library import build
from datakit.opened_build import open_build

LABELS = LabelSet(
    (
        Label("退款页面", keywords=("退款金额", "退款成功", "退款编号")),
        Label("退货页面", keywords=("退货地址", "寄回方式", "退货物流")),
        Label("首页", keywords=("推荐", "直播")),
    )
)
NOISE = {
    "noise_rank": pl.Int64(),
    "noise_probability": pl.Float64(),
    "noise_label": pl.String(),
    "noise_label_probability": pl.Float64(),
    "noise_cluster": pl.String(),
}


def table_of(rows: list[dict[str, Any]], **schema: Any) -> pl.LazyFrame:
    base = {"id": pl.String(), "label": pl.String(), "images": pl.List(pl.String()), "text": pl.String()}
    filled = [{"label": "退款页面", "images": [], **row} for row in rows]
    return pl.LazyFrame(filled, schema={**base, **schema})


@pytest.fixture
def hear(make_context: Callable[..., StepContext]) -> Callable[..., Table]:
    """Runs the step over rows."""

    def go(rows: list[dict[str, Any]], parameters: dict[str, Any] | None = None, **schema: Any) -> Table:
        step = Suspects(**(parameters or {}))
        return step.apply(table_of(rows, **schema), make_context(labels=LABELS).for_step(step))

    return go


def ranks(table: Table) -> dict[str, int | None]:
    return dict(table.frame.collect().select("id", "suspect_rank").iter_rows())


def noise(rank: int, label: str, cluster: str | None = None) -> dict[str, Any]:
    return {
        "noise_rank": rank,
        "noise_probability": 0.1,
        "noise_label": label,
        "noise_label_probability": 0.8,
        "noise_cluster": cluster,
    }


def test_a_proxy_alone_keeps_its_own_order_and_what_it_agrees_with_is_no_suspect(
    hear: Callable[..., Table],
) -> None:
    rows = [
        {"id": "a", **noise(3, "退货页面")},
        {"id": "b", **noise(1, "首页")},
        {"id": "c", **noise(2, "退款页面")},
    ]
    table = hear(rows, **NOISE)
    assert ranks(table) == {"a": 2, "b": 1, "c": None}
    assert table.frame.collect()["suspect_label"].to_list() == ["退货页面", "首页", None]


def test_a_record_in_a_cluster_is_a_suspect_though_the_proxy_has_learnt_its_label(
    hear: Callable[..., Table],
) -> None:
    table = hear([{"id": "a", **noise(5, "退款页面", "退款页面→退货页面 1")}], **NOISE)
    assert ranks(table) == {"a": 1}
    assert table.suspects is not None
    assert table.suspects[0]["cluster"] == "退款页面→退货页面 1"
    assert "退款页面→退货页面 1" in table.frame.collect()["suspect_why"].item()


def test_a_second_voice_raises_a_record_and_both_are_told_in_lines(hear: Callable[..., Table]) -> None:
    rows = [{"id": f"r{at}", "ocr_text": "", **noise(at, "首页")} for at in range(1, 30)]
    rows[9] |= {"ocr_text": "退货地址 寄回方式", "noise_label": "退货页面"}
    table = hear(rows, ocr_text=pl.String(), **NOISE)
    record = table.frame.filter(pl.col("id") == "r10").collect().row(0, named=True)
    assert record["suspect_rank"] < 10
    assert record["suspect_label"] == "退货页面"
    assert [line.split("：")[0] for line in record["suspect_why"].splitlines()] == ["代理模型", "类别说明"]
    assert table.notes["doubted_by_several"] == 1


def test_a_label_that_a_reviewer_gave_or_accepted_is_no_suspect(hear: Callable[..., Table]) -> None:
    rows = [
        {"id": "a", "duplicate_of": "a", "label_reviewed_by": "王"},
        {"id": "b", "duplicate_of": "a", "label": "退货页面"},
    ]
    table = hear(rows, label_reviewed_by=pl.String(), duplicate_of=pl.String())
    assert ranks(table) == {"a": None, "b": 1}
    assert table.notes["reviewed"] == 1


def test_declined_reasons_of_repeats_are_one_suspect_by_their_share(hear: Callable[..., Table]) -> None:
    rows = [
        {"id": "a", "reason_declined": "写着“寄回方式”", "reason_better": "退货页面"},
        {"id": "a~repeat2", "reason_declined": None, "reason_better": None},
        {"id": "b", "reason_declined": None, "reason_better": None},
    ]
    table = hear(rows, reason_declined=pl.String(), reason_better=pl.String())
    assert ranks(table) == {"a": 1, "a~repeat2": 1, "b": None}
    assert table.suspects is not None
    assert [(one["id"], one["score"], one["proposed"]) for one in table.suspects] == [("a", 0.25, "退货页面")]


def test_of_duplicates_the_one_that_is_alone_is_doubted_more(hear: Callable[..., Table]) -> None:
    rows = [
        {"id": "a", "label": "首页", "duplicate_of": "a"},
        {"id": "b", "duplicate_of": "a"},
        {"id": "c", "duplicate_of": "a"},
        {"id": "d", "duplicate_of": "d"},
    ]
    table = hear(rows, duplicate_of=pl.String())
    assert ranks(table) == {"a": 1, "b": 2, "c": 3, "d": None}
    first = table.frame.collect().row(0, named=True)
    assert first["suspect_label"] == "退款页面"
    assert first["suspect_why"] == "重复图片：同样的图中 2 条标为退款页面（b），1 条标为首页"


@pytest.mark.parametrize(
    "text", ["用户：请问付款后多久发货，从哪里发\n客服：在的亲\n用户：页面写的二十四小时{}", "发货慢"]
)
def test_of_dialogues_that_read_nearly_the_same_the_one_that_is_alone_is_doubted_more(
    hear: Callable[..., Table], text: str
) -> None:
    rows = [{"id": id_, "text": text.format(id_)} for id_ in "abc"]
    rows += [{"id": "d", "text": text.format("d"), "label": "退货页面"}, {"id": "e", "text": "别的话"}]
    table = hear(rows)
    assert ranks(table) == {"d": 1, "a": 2, "b": 3, "c": 4, "e": None}
    assert table.suspects is not None
    assert table.suspects[0]["voices"][0]["says"].startswith(
        "相近文本：几乎相同的文本中 3 条标为退款页面（a）"
    )
    assert ranks(hear(rows, {"same_text": None})) == dict.fromkeys("abcde")


def test_records_with_pictures_are_not_doubted_for_the_text_that_they_share(
    hear: Callable[..., Table], tmp_path: Path
) -> None:
    rows = [
        {"id": id_, "text": "请看图回答。", "label": label, "images": [str(tmp_path / f"{id_}.png")]}
        for id_, label in (("a", "退款页面"), ("b", "退货页面"))
    ]
    assert ranks(hear(rows)) == {"a": None, "b": None}


@pytest.mark.parametrize(
    ("text", "is_doubted"),
    [
        ("退货地址 寄回方式", True),
        ("退货地址 寄回方式 退款金额", False),
        ("退货地址", False),
        ("退货地址 寄回方式 推荐 直播", False),
        ("", False),
        (None, False),
    ],
)
def test_keywords_speak_where_none_is_of_the_label_and_several_of_one_other(
    hear: Callable[..., Table], text: str | None, is_doubted: bool
) -> None:
    table = hear([{"id": "a", "ocr_text": text}], ocr_text=pl.String())
    assert ranks(table) == {"a": 1 if is_doubted else None}


def test_unlabelled_and_general_records_and_none_at_all_have_no_suspects(hear: Callable[..., Table]) -> None:
    rows = [
        {"id": "a", "label": None, "ocr_text": "退货地址 寄回方式"},
        {"id": "b", "set": "general", "ocr_text": "退货地址 寄回方式"},
    ]
    kinds = {"ocr_text": pl.String(), "set": pl.String()}
    assert set(ranks(hear(rows, **kinds)).values()) == {None}
    assert hear([], **kinds).frame.collect().height == 0


def test_silence_of_all_voices_is_told(hear: Callable[..., Table]) -> None:
    assert "nobody is asked" in hear([{"id": "a"}]).notes["warnings"][0]


# Predictions


def predicted(id_: str, label: str | None, other: str, given: float = 0.1, **more: Any) -> Prediction:
    probabilities = {label or "首页": given, other: 1 - given} if other != label else {other: 0.9}
    return Prediction(
        id=id_, label=label, predicted=other, probabilities=probabilities, confidence=1 - given, **more
    )


@pytest.fixture
def joined(project: Path) -> Callable[..., Path]:
    """Writes predictions as `datakit kfold` joins them."""

    def put(
        *predictions: Prediction, unseen: tuple[str, ...] = (), asked: dict[str, str] | None = None
    ) -> Path:
        path = project / "build" / "x.kfold" / "kfold.jsonl"
        write(path, predictions)
        record = KfoldRecord(recipe="x", k=2, seed=7)
        record.joined = Joined(
            sha256=digest_of(path),
            contents={},
            records=9,
            predicted=len(predictions),
            unseen=list(unseen),
            asked={one.id: content_of([], None) for one in predictions} if asked is None else asked,
        )
        record.write(path.with_name("kfold.json"))
        return path

    return put


def test_predictions_out_of_fold_are_a_voice(hear: Callable[..., Table], joined: Callable[..., Path]) -> None:
    path = joined(
        predicted("a", "退款页面", "退货页面", 0.2),
        predicted("b", "退款页面", "首页", 0.05),
        predicted("c", "退款页面", "退款页面"),
    )
    table = hear([{"id": name} for name in "abc"], {"predictions": str(path)})
    assert ranks(table) == {"a": 2, "b": 1, "c": None}
    assert "折外模型：预测为首页 (0.95)" in table.frame.collect()["suspect_why"][1]
    assert table.notes["predictions"] == {}


@pytest.mark.fault(
    "predictions of ids that no record has, or for a label that changed since",
    "counted and named",
    kind="inputs changed",
)
def test_predictions_that_do_not_fit_are_counted_and_named(
    hear: Callable[..., Table], joined: Callable[..., Path]
) -> None:
    path = joined(
        predicted("ghost", "退款页面", "首页"),
        predicted("b", "首页", "退货页面", 0.3),
        predicted("c", "退款页面", "首页", 0.3),
        Prediction(id="d", label="退款页面", problem="form"),
        unseen=("c",),
    )
    table = hear([{"id": name} for name in "bcde"], {"predictions": str(path)})
    assert table.notes["predictions"] == {
        "unknown_ids": 1,
        "not_predicted": 1,
        "predicted_without_label": 1,
        "label_never_shown": 1,
        "relabelled_since": 1,
    }
    assert any("ghost" in words for words in table.notes["warnings"])
    assert any("so the folds are of other data" in words for words in table.notes["warnings"])
    assert ranks(table) == {"b": 1, "c": None, "d": None, "e": None}


def test_a_review_that_relabelled_a_few_does_not_make_the_folds_old(
    hear: Callable[..., Table], joined: Callable[..., Path]
) -> None:
    names = [f"r{at}" for at in range(20)]
    others = [predicted(name, "退款页面", "退款页面") for name in names[1:]]
    table = hear(
        [{"id": name} for name in names],
        {"predictions": str(joined(predicted("r0", "首页", "退货页面", 0.3), *others))},
    )
    assert table.notes["predictions"] == {"relabelled_since": 1}
    assert "warnings" not in table.notes


ALIASES = LabelSet(
    (Label("退款页面", aliases=("退款页", "refund")), Label("退货页面", aliases=("退货页",)), Label("首页"))
)


@pytest.mark.fault("a voice names a label by its alias", "the label, and no doubt of it", kind="answers")
def test_another_spelling_of_a_label_is_no_doubt_of_any_voice(
    make_context: Callable[..., StepContext], joined: Callable[..., Path]
) -> None:
    spelt = {"REFUND": 0.5, "退款页面": 0.4, "首页": 0.1}
    more = {"probabilities": spelt, "confidence": 0.5}
    path = joined(
        Prediction(id="a", label="退款页", predicted="Refund", **more),
        Prediction(id="b", label="退货页面", predicted="退款页", **more),
        Prediction(id="c", label="退款页面", predicted="退款页面", **more),
    )
    rows = [
        {"id": "a", "label": "退款页面", **noise(3, "refund"), "duplicate_of": "a"},
        {"id": "b", "label": "退货页", **noise(1, "退款页"), "duplicate_of": "b"},
        {"id": "c", "label": "refund", **noise(2, "退款页面"), "duplicate_of": "a"},
    ]
    declined = {"reason_declined": "像退款", "reason_better": "Refund"}
    rows = [{**row, **(declined if row["id"] == "b" else {})} for row in rows]
    step = Suspects(predictions=str(path))
    kinds = {"reason_declined": pl.String(), "reason_better": pl.String(), "duplicate_of": pl.String()}
    table = step.apply(table_of(rows, **kinds, **NOISE), make_context(labels=ALIASES).for_step(step))
    assert ranks(table) == {"a": None, "b": 1, "c": None}
    assert table.notes["predictions"] == {}
    assert table.suspects is not None
    (one,) = table.suspects
    assert (one["label"], one["proposed"]) == ("退货页面", "退款页面")
    assert [voice["voice"] for voice in one["voices"]] == ["proxy", "kfold", "reason"]
    assert "预测为退款页面 (0.90)，给退货页面的概率 0.00" in one["voices"][1]["says"]
    assert all("refund" not in voice["says"].casefold() for voice in one["voices"])


@pytest.mark.fault("a file of predictions was edited since it was joined", "told", kind="inputs changed")
def test_an_edit_of_the_predictions_is_told(hear: Callable[..., Table], joined: Callable[..., Path]) -> None:
    path = joined(predicted("a", "退款页面", "首页"))
    path.write_text(path.read_text("utf-8").replace("首页", "退货页面"), "utf-8")
    table = hear([{"id": "a"}], {"predictions": str(path)})
    assert "edited since the folds were joined" in table.notes["warnings"][0]


@pytest.mark.fault("a file of predictions has two of one record", "refused with both places", kind="bounds")
def test_two_predictions_of_one_record_are_refused(
    hear: Callable[..., Table], joined: Callable[..., Path]
) -> None:
    path = joined(predicted("a", "退款页面", "首页"), predicted("a", "退款页面", "退货页面"))
    with pytest.raises(UserError, match="two predictions of `a`, the other is number 1"):
        hear([{"id": "a"}], {"predictions": str(path)})


@pytest.mark.fault(
    "a picture or a text was changed after the model out of fold was asked about it",
    "the old prediction has no voice; counted and named",
    kind="inputs changed",
)
def test_a_prediction_of_what_a_record_is_no_longer_has_no_voice(
    hear: Callable[..., Table], joined: Callable[..., Path], tmp_path: Path
) -> None:
    pictures = {name: tmp_path / f"{name}.png" for name in "abc"}
    for name, path in pictures.items():
        path.write_bytes(name.encode())
    digests = {name: FileDigests().sha256(path) for name, path in pictures.items()}
    asked = {name: content_of([digest], "正文") for name, digest in digests.items()}
    path = joined(*(predicted(name, "退款页面", "首页") for name in "abc"), asked=asked)
    pictures["a"].write_bytes(b"another picture under the same name")
    pictures["c"] = pictures["c"].rename(tmp_path / "moved.png")
    rows = [{"id": name, "images": [str(there)], "text": "正文"} for name, there in pictures.items()]
    rows[1]["text"] = "改过的正文"
    table = hear(rows, {"predictions": str(path)})
    assert ranks(table) == {"a": None, "b": None, "c": 1}
    assert table.notes["predictions"] == {"changed_since": 2}
    (warning,) = table.notes["warnings"]
    assert "2 records have other pictures or another text than the model was asked about" in warning
    assert "not heard: a, b. Ask again: datakit kfold" in warning


def test_a_join_of_an_earlier_datakit_is_heard_and_what_it_cannot_tell_is_told(
    hear: Callable[..., Table], joined: Callable[..., Path]
) -> None:
    table = hear([{"id": "a"}], {"predictions": str(joined(predicted("a", "退款页面", "首页"), asked={}))})
    assert ranks(table) == {"a": 1}
    (warning,) = table.notes["warnings"]
    assert "which pictures and texts 1 prediction is of" in warning
    assert "--join" in warning


@pytest.mark.parametrize("name", ["kfold.jsonl", "mine.jsonl"])
@pytest.mark.fault(
    "probabilities of a file that no join wrote add up to 3, are of no label, or speak against it",
    "no voice, counted and named, as datakit kfold --join does",
    kind="answers",
)
def test_probabilities_that_cannot_be_such_have_no_voice_whoever_wrote_the_file(
    hear: Callable[..., Table], joined: Callable[..., Path], name: str
) -> None:
    one = predicted("a", "退款页面", "首页")
    path = joined(
        one.model_copy(update={"probabilities": {"退款页面": 1.0, "首页": 1.0, "退货页面": 1.0}}),
        one.model_copy(update={"id": "b", "probabilities": {"没有": 1.0}}),
        one.model_copy(update={"id": "c", "probabilities": {"首页": 0.2, "退款页面": 0.8}}),
        one.model_copy(update={"id": "d", "predicted": "没有"}),
        one.model_copy(update={"id": "e"}),
        one.model_copy(update={"id": "e", "confidence": 0.8}),
    )
    path = path.rename(path.with_name(name))
    table = hear([{"id": id_} for id_ in "abcde"], {"predictions": str(path)})
    assert {id_ for id_, rank in ranks(table).items() if rank} == {"c", "e"}
    assert table.notes["predictions"] == {
        "predicted_no_label_of_file": 1,
        "predicted_twice": 1,
        "impossible_probabilities": 2,
        "against_own_probabilities": 1,
    }
    told = "\n".join(table.notes["warnings"])
    assert "probabilities that are not those of the labels, and are not heard: a, b" in told
    assert "do not hold likeliest: c" in told
    assert "predicted more than once: the last prediction counts: e" in told
    assert ("is no kfold.jsonl" in told) is (name == "mine.jsonl")


@pytest.mark.parametrize("text", ["NaN", "-0.1", "1e9"])
def test_what_is_no_probability_is_refused_with_its_line(
    hear: Callable[..., Table], project: Path, text: str
) -> None:
    path = project / "mine.jsonl"
    write(path, [predicted("a", "退款页面", "首页")])
    path.write_text(path.read_text("utf-8").replace("0.1", text, 1), "utf-8")
    with pytest.raises(UserError) as caught:
        hear([{"id": "a"}], {"predictions": str(path)})
    assert caught.value.where == f"{path}:1"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "write it anew (datakit kfold RECIPE --k K) and join"),
        ({"recipe": "x", "k": 2, "seed": 7}, "says nothing of a join: datakit kfold RECIPE --k K --join"),
    ],
)
def test_what_is_to_be_done_for_a_join_depends_on_what_is_lost(
    hear: Callable[..., Table], joined: Callable[..., Path], document: dict[str, Any] | None, told: str
) -> None:
    path = joined(predicted("a", "退款页面", "首页"))
    record = path.with_name("kfold.json")
    if document is None:
        record.unlink()
    else:
        record.write_text(json.dumps(document))
    assert told in hear([{"id": "a"}], {"predictions": str(path)}).notes["warnings"][0]


def test_a_missing_file_of_predictions_names_the_command(hear: Callable[..., Table]) -> None:
    with pytest.raises(UserError, match="no out-of-fold predictions") as caught:
        hear([{"id": "a"}], {"predictions": "nowhere/kfold.jsonl"})
    assert "datakit kfold" in caught.value.remedy


# What the doubts come to


def test_the_first_ranks_weigh_most_and_ties_share_a_rank() -> None:
    assert weight_of_rank(1, 1000) > weight_of_rank(2, 1000) > weight_of_rank(900, 1000)
    assert weight_of_rank(34, 1000) == pytest.approx(0.5)
    tied = ranked([guess(name, "a", "b", {"a": 0.0, "b": 1.0}) for name in "xyz"])
    assert len({weight for _, weight in tied}) == 1


def test_no_voice_takes_from_another() -> None:
    one, two = Doubt("a", "", 0.5, "x"), Doubt("b", "", 0.3, "y")
    assert combined([one, two]) == pytest.approx(0.65)
    assert proposed([one, two]) == "x"
    assert proposed([two, Doubt("c", "", 0.4, "y"), one]) == "y"
    assert proposed([Doubt("d", "", 0.9)]) is None


# In a build


RECIPE = """\
name: doubted
labels: labels.yaml
steps:
  - read.jsonl: {path: rows.jsonl, image: null, label: label}
  - curate.suspects: {}
  - guard.prompt_length: {column: ocr_text, max_chars: 12}
  - render.chat: {prompt: ask.j2, answer: label_only}
emit: [llamafactory]
run: {max_reject_rate: 1.0}
"""


def test_suspects_stand_in_the_build_with_those_that_later_steps_reject(project: Path) -> None:
    rows = [
        {"id": "a", "label": "退款页面", "ocr_text": "退货地址 寄回方式"},
        {"id": "b", "label": "退款页面", "ocr_text": "退货地址 寄回方式 <b>很长很长</b>"},
        {"id": "c", "label": "退款页面", "ocr_text": "退款金额"},
    ]
    folder = project / "recipes"
    folder.mkdir(exist_ok=True)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "rows.jsonl").write_text(lines, "utf-8")
    labels = [{"name": label.name, "keywords": list(label.keywords)} for label in LABELS.labels]
    (folder / "labels.yaml").write_text(json.dumps({"labels": labels}, ensure_ascii=False), "utf-8")
    (project / "templates" / "ask.j2").write_text("{{ ocr_text }}\n{{ answer_format }}", "utf-8")
    (folder / "doubted.yaml").write_text(RECIPE, "utf-8")
    result = build(folder / "doubted.yaml", check=False)
    suspects = open_build(result.folder).folder.suspects
    assert suspects is not None
    assert [(one.id, one.proposed, len(one.judged)) for one in suspects] == [
        ("a", "退货页面", 49),
        ("b", "退货页面", 49),
    ]
    line = next(line for line in result.report.verdict if line.kind == "label_doubted")
    assert (line.state, line.count) == ("warned", 2)
    card = next(path for path in result.cards if path.suffix == ".md").read_text("utf-8")
    assert "## 存疑的标签" in card


def test_a_copy_of_the_predictions_without_its_record_is_told(
    hear: Callable[..., Table], project: Path
) -> None:
    path = project / "copy.jsonl"
    write(path, [predicted("a", "退款页面", "首页")])
    assert any(
        "kfold.json" in words for words in hear([{"id": "a"}], {"predictions": str(path)}).notes["warnings"]
    )
