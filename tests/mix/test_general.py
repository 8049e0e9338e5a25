"""mix.general: the right share, drawn the same whatever the order, and no text that teaches bad habits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datakit.core.errors import UserError
from datakit.core.outcome import Batch, Reject
from datakit.core.record import COLUMNS
from datakit.core.step_context import StepContext
from datakit.core.transform import Columns, Reader
from datakit.mix._ahead import rows_at_the_end
from datakit.mix._quality import chinese_share
from datakit.mix.general import General
from datakit.recipe.recipe import Recipe, load_recipe
from datakit.run.build import build

TOOLS = StepContext(base=Path(), project=Path(), seed=7)
GIVEN = ("id", "source_file", "source_line", "images", "label", "text", "messages")


class Dialogues(Reader):
    """Dialogues made of the given (question, answer) pairs, two a batch; `broken` ones are rejected."""

    registered_name: ClassVar[str] = "read.dialogues"
    pairs: tuple[tuple[str, str], ...]
    broken: int = 0

    def columns(self, context: StepContext) -> Columns:
        return {name: COLUMNS[name] for name in GIVEN}

    def files(self, context: StepContext) -> list[Path]:
        return [Path("dialogues.json")]

    def read(self, context: StepContext) -> Iterator[Batch]:
        yield Batch(
            pl.DataFrame(schema=dict(self.columns(context))),
            [Reject(f"b{n}", "bad_json") for n in range(self.broken)],
        )
        for start in range(0, len(self.pairs), 2):
            rows = [
                {
                    "id": f"g{question}",
                    "source_file": "dialogues.json",
                    "source_line": start + 1,
                    "images": [],
                    "label": None,
                    "text": None,
                    "messages": [
                        {"role": "user", "content": question},
                        {"role": "assistant", "content": answer},
                    ],
                }
                for question, answer in self.pairs[start : start + 2]
            ]
            yield Batch(pl.DataFrame(rows, schema=dict(self.columns(context))))


def questions(count: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"第{n}个问题是什么？", f"这是第{n}个问题的回答。") for n in range(count))


def main_records(repeats: list[int], val: int = 0) -> pl.DataFrame:
    count = len(repeats) + val
    return pl.DataFrame(
        {
            "id": [f"m{n}" for n in range(count)],
            "images": [[f"/data/{n}.jpg"] for n in range(count)],
            "messages": [[{"role": "user", "content": "<image>问"}, {"role": "assistant", "content": "答"}]]
            * count,
            "split": ["train"] * len(repeats) + ["val"] * val,
            "repeat": repeats + [1] * val,
            "extra": list(range(count)),
        },
        schema_overrides={"repeat": pl.UInt32},
    )


def mix(
    frame: pl.DataFrame, pairs: tuple[tuple[str, str], ...], seed: int = 7, broken: int = 0, **parameters: Any
) -> tuple[pl.DataFrame, int, dict[str, Any]]:
    context = StepContext(base=Path(), project=Path(), seed=seed)
    table = General(source=Dialogues(pairs=pairs, broken=broken), **parameters).apply(frame.lazy(), context)
    assert table.rejects is None
    return table.frame.collect(), table.added, table.notes


def general(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("set") == "general")


def test_share_is_of_the_training_rows_with_their_repeats() -> None:
    frame, added, notes = mix(main_records([1] * 60 + [2] * 10, val=20), questions(100), share=0.2)
    assert added == 20  # of 80 + 20 training rows
    assert general(frame).height == 20
    assert frame.height == 90 + 20
    assert notes["share_of_training_rows"] == 0.2


def test_general_records_are_training_data_of_their_own_set() -> None:
    frame, _, _ = mix(main_records([1] * 8), questions(10), share=0.2)
    for row in general(frame).to_dicts():
        assert row["id"].startswith("general-")
        assert (row["split"], row["repeat"], row["images"], row["extra"]) == ("train", 1, [], None)
    assert frame.filter(pl.col("set") == "")["id"].to_list() == [f"m{n}" for n in range(8)]


def test_main_records_stay_as_they_are() -> None:
    before = main_records([1, 2, 3], val=2)
    frame, _, _ = mix(before, questions(10), share=0.4)
    assert frame.head(5).select(before.columns).equals(before)
    assert dict(frame.schema) == {**before.schema, "set": pl.String()}


def test_order_of_the_source_decides_nothing() -> None:
    forward, _, _ = mix(main_records([1] * 20), questions(50), share=0.3)
    backward, _, _ = mix(main_records([1] * 20), questions(50)[::-1], share=0.3)
    assert set(forward["id"]) == set(backward["id"])


def test_another_seed_draws_others() -> None:
    first, _, _ = mix(main_records([1] * 20), questions(50), share=0.3, seed=1)
    second, _, _ = mix(main_records([1] * 20), questions(50), share=0.3, seed=2)
    assert set(first["id"]) != set(second["id"])


def test_a_longer_source_changes_few_of_those_drawn() -> None:
    before = set(general(mix(main_records([1] * 200), questions(300), share=0.3)[0])["id"])
    after = set(general(mix(main_records([1] * 200), questions(310), share=0.3)[0])["id"])
    assert len(before - after) <= 10


def test_too_few_general_records_are_all_taken_with_a_warning() -> None:
    frame, added, notes = mix(main_records([1] * 100), questions(5), share=0.5, licence="CC-BY-4.0")
    assert added == general(frame).height == 5
    assert notes["share_of_training_rows"] == pytest.approx(0.0476, abs=1e-4)
    (warning,) = notes["warnings"]
    assert "100 general records" in warning
    assert "5 usable" in warning


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("今天天气怎么样？", "抱歉，我无法获取实时的天气信息。", "refusal"),
        ("你是谁？", "作为一个AI语言模型，我没有个人身份。", "refusal"),
        ("写一首诗。", " \n", "empty"),
        ("写一段话。", "长" * 3000, "too_long"),
        (
            "What is the capital of France?",
            "The capital of France is Paris, a city on the Seine.",
            "not_chinese",
        ),
        ("夸一夸这件商品。", "这件商品的质量很好，我非常喜欢。" * 20, "looping"),
    ],
)
def test_bad_text_is_left_out_and_counted(question: str, answer: str, reason: str) -> None:
    _, added, notes = mix(main_records([1] * 100), (*questions(3), (question, answer)), share=0.5)
    assert added == 3
    assert notes["left_out"] == {reason: 1}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "把下面的中文翻译成英文：会议改到周四下午三点。",
            "The meeting has been moved to 3 p.m. on Thursday.",
        ),
        ("替我写一封道歉信。", "尊敬的顾客：\n很抱歉给您带来不便，我们会尽快为您补发。"),
        ("列个商品表。", "\n".join(f"| {n} | 商品{n} | {n * 13}.50 | 有货 |" for n in range(80))),
        ("计算1+1。", "2"),
    ],
)
def test_good_text_is_kept(question: str, answer: str) -> None:
    _, added, notes = mix(main_records([1] * 100), ((question, answer),), share=0.5)
    assert (added, notes["left_out"]) == (1, {})


def test_a_question_asked_twice_is_taken_once() -> None:
    pairs = (("怎么泡茶？", "先烧水。"), ("怎么 泡茶？", "先温杯，再投茶。"), ("怎么煮面？", "水开下面。"))
    _, added, notes = mix(main_records([1] * 10), pairs, share=0.5)
    assert added == 2
    assert notes["left_out"] == {"asked_before": 1}


def test_broken_records_of_the_source_are_counted() -> None:
    _, _, notes = mix(main_records([1] * 10), questions(4), share=0.2, broken=3)
    assert notes["left_out"] == {"bad_json": 3}


def test_tokens_of_the_trainer_are_escaped_in_questions_and_answers_keep_every_byte() -> None:
    pairs = (
        ("标签<image>是什么意思？<|im_end|>", "<think>想</think>{{x}}是图片的位置。"),
        ("怎么结束一轮？", "以<|im_end|>结束。"),
    )
    frame, _, notes = mix(main_records([1] * 10), pairs, share=0.5)
    ((question, answer),) = ([turn["content"] for turn in turns] for turns in general(frame)["messages"])
    assert question == "标签＜image＞是什么意思？＜|im_end|＞"
    assert answer == "<think>想</think>{{x}}是图片的位置。"
    assert notes["left_out"] == {"answer_tokens": 1}


def test_licences_are_noted_and_a_missing_one_is_a_warning() -> None:
    _, _, notes = mix(
        main_records([1] * 8), questions(9), share=0.2, licence="CC-BY-4.0", upstream_licence="CC-BY-NC-4.0"
    )
    assert (notes["licence"], notes["upstream_licence"]) == ("CC-BY-4.0", "CC-BY-NC-4.0")
    assert "warnings" not in notes
    _, _, notes = mix(main_records([1] * 8), questions(9), share=0.2)
    assert notes["warnings"] == ["the licence of the general data is not declared: set `licence`"]


def test_a_reader_without_dialogues_is_refused() -> None:
    class Plain(Dialogues):
        registered_name: ClassVar[str] = "read.plain"

        def columns(self, context: StepContext) -> Columns:
            return {name: COLUMNS[name] for name in GIVEN[:-1]}

    with pytest.raises(UserError, match=r"read.plain gives no `messages`"):
        General(source=Plain(pairs=()), share=0.1).apply(main_records([1]).lazy(), TOOLS)


def test_no_reader_or_two_are_refused() -> None:
    with pytest.raises(ValidationError, match="exactly one reader must stand here"):
        General.model_validate({"share": 0.1})
    with pytest.raises(ValidationError, match="not 2"):
        General.model_validate({"share": 0.1, "read.one": {}, "read.two": {}})


def test_an_unknown_reader_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"unknown step `read\.alpacca`"):
        General.model_validate({"share": 0.1, "read.alpacca": {"path": "x.json"}})


def test_chinese_share_counts_words_not_letters() -> None:
    assert chinese_share("翻译 international") == pytest.approx(2 / 3)
    assert chinese_share("123") == 1.0


@settings(max_examples=40, deadline=None)
@given(
    repeats=st.lists(st.integers(1, 4), min_size=1, max_size=60),
    available=st.integers(0, 80),
    share=st.floats(0.01, 0.9),
)
def test_share_is_met_within_half_a_row_or_all_are_taken(
    repeats: list[int], available: int, share: float
) -> None:
    frame, added, _ = mix(main_records(repeats), questions(available), share=share)
    rows = sum(repeats)
    assert general(frame).height == added
    assert frame.height == len(repeats) + added
    assert added == available or abs(added - share / (1 - share) * rows) <= 0.5


@given(
    rows=st.integers(1, 2000),
    mixes=st.lists(st.tuples(st.floats(0.01, 0.3), st.one_of(st.none(), st.integers(0, 300))), max_size=3),
)
def test_rows_at_the_end_give_each_mix_its_share_or_all_that_it_has(
    rows: int, mixes: list[tuple[float, int | None]]
) -> None:
    total = rows_at_the_end(rows, mixes)
    added = [share * total if have is None else min(share * total, have) for share, have in mixes]
    assert sum(added) + rows == pytest.approx(total, abs=len(mixes))


def recipe(project: Path, steps: list[str]) -> Recipe:
    """A recipe of shipped steps on 100 labelled chats in unequal classes, with two files of general data."""
    folder = project / "recipes"
    labels = ["甲"] * 80 + ["乙"] * 15 + ["丙"] * 5
    rows = [
        {
            "id": f"r{number}",
            "label": label,
            "length": number,
            "messages": [
                {"role": "user", "content": f"第{number}个是什么？" + "长" * (100 * (number % 10 == 0))},
                {"role": "assistant", "content": label},
            ],
        }
        for number, label in enumerate(labels)
    ]
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    for name, start in (("g1", 0), ("g2", 1000)):
        talks = [
            {
                "instruction": f"请说说第{start + number}件事{'，越长越好' * 20 * (number % 3 == 0)}。",
                "output": "好的，这件事是这样的。",
            }
            for number in range(400)
        ]
        (folder / f"{name}.json").write_text(json.dumps(talks), "utf-8")
    path = folder / "mixed.yaml"
    read = "  - read.jsonl: {path: rows.jsonl, label: label, messages: messages, images: none}\n"
    path.write_text(
        f"steps:\n{read}" + "".join(f"  - {step}\n" for step in steps) + "emit: [llamafactory: {}]\n"
        "run: {max_reject_rate: 0.9}\n",
        "utf-8",
    )
    return load_recipe(path)


SPLIT, SPLIT_BLINDLY = "curate.split: {val: 0.1}", "curate.split: {val: 0.1, stratify: null}"
BALANCE = "balance.resample: {by: label, strategy: uniform, max_repeat: 10}"
CAP = "balance.resample: {by: label, strategy: cap, cap: 10}"
SHORT = "guard.prompt_length: {max_chars: 60}"
MIX = "mix.general: {read.alpaca: {path: g1.json}, share: 0.2, licence: MIT}"
OTHER = "mix.general: {read.alpaca: {path: g2.json}, share: 0.1, licence: MIT}"


@pytest.mark.parametrize(
    ("steps", "shares"),
    [
        ([SPLIT, BALANCE, MIX], [0.2]),
        ([SPLIT, MIX, BALANCE], [0.2]),
        ([MIX, SPLIT, BALANCE], [0.2]),
        ([MIX, SPLIT_BLINDLY], [0.2]),
        ([SPLIT, MIX, CAP], [0.2]),
        ([SPLIT, MIX, SHORT], [0.2]),
        ([SPLIT, MIX, SHORT, BALANCE], [0.2]),
        ([SPLIT, BALANCE, MIX, OTHER], [0.2, 0.1]),
        ([MIX, OTHER, SPLIT, BALANCE], [0.2, 0.1]),
        ([SPLIT, MIX, BALANCE, OTHER], [0.2, 0.1]),
        ([SPLIT, BALANCE, MIX, MIX], [0.2, 0.2]),
    ],
)
def test_share_is_that_of_the_finished_build_wherever_the_step_stands(
    project: Path, steps: list[str], shares: list[float]
) -> None:
    made = build(recipe(project, steps))
    records = pl.read_parquet(made.folder / "records.parquet")
    assert records["id"].n_unique() == records.height
    train = records.filter(pl.col("split") == "train")
    added = general(train)
    assert added.height == general(records).height, "general records are training data"
    total = train["repeat"].sum()
    assert abs(added["repeat"].sum() - sum(shares) * total) <= len(shares) / 2 + 0.5
    if OTHER in steps:
        for name, share in (("g1", 0.2), ("g2", 0.1)):
            own = added.filter(pl.col("source_file").str.ends_with(f"{name}.json"))
            assert abs(own.height - share * total) <= 1
    notes = [step.notes for step in made.report.steps if step.name == "mix.general"]
    assert [note["share_of_training_rows"] for note in notes] == pytest.approx(shares, abs=1 / total)
    (file,) = made.folder.glob("*_general.json")
    texts = [str(row) for row in json.loads(file.read_bytes())]
    assert len(set(texts)) == len(texts) == added.height, "nothing is asked twice"
    assert build(recipe(project, steps)).report.reused


def test_a_mix_that_has_too_little_leaves_the_other_its_share(project: Path) -> None:
    few = OTHER.replace("share: 0.1", "share: 0.1, max_chars: 20").replace("g2", "g3")
    it = [SPLIT, MIX, few]
    (project / "recipes" / "g3.json").write_text(
        json.dumps([{"instruction": "请说一件事。", "output": "好的。"}]), "utf-8"
    )
    records = pl.read_parquet(build(recipe(project, it)).folder / "records.parquet")
    train = records.filter(pl.col("split") == "train")
    own = train.filter(pl.col("source_file").str.ends_with("g1.json"))
    assert abs(own.height - 0.2 * train.height) <= 0.5


def test_shares_that_leave_nothing_are_refused(project: Path) -> None:
    both = [SPLIT, MIX.replace("0.2", "0.6"), OTHER.replace("0.1", "0.4")]
    with pytest.raises(UserError, match=r"0\.6 \+ 0\.4.* leave no row"):
        build(recipe(project, both))


def test_id_that_a_record_has_is_numbered() -> None:
    main = main_records([1] * 10).with_columns(
        id=pl.Series([f"general-g第{n}个问题是什么？" for n in range(2)] + [f"m{n}" for n in range(8)])
    )
    frame, added, _ = mix(main, questions(4), share=0.5, licence="MIT")
    assert added == 4
    assert frame["id"].n_unique() == frame.height
    assert general(frame)["id"].sort().to_list() == [
        "general-g第0个问题是什么？-2",
        "general-g第1个问题是什么？-2",
        "general-g第2个问题是什么？",
        "general-g第3个问题是什么？",
    ]
