"""balance.resample: counts per class, even spread, train only, every left-out record accounted for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datakit
from datakit.annotate.reason import Reason
from datakit.balance.resample import Resample
from datakit.core.errors import RecipeErrors, UserError
from datakit.core.step_context import StepContext
from datakit.render.chat import Chat

TOOLS = StepContext(base=Path(), project=Path(), seed=7)


def records(train: dict[str | None, int], val: dict[str | None, int] | None = None) -> pl.DataFrame:
    parts = {"train": train, "val": val or {}}
    rows = [
        (label, split) for split, part in parts.items() for label, count in part.items() for _ in range(count)
    ]
    frame = pl.DataFrame(rows, schema={"label": pl.String, "split": pl.String}, orient="row")
    return frame.with_row_index("n").select("label", "split", id=pl.format("r{}", pl.col("n")))


def resample(
    frame: pl.DataFrame, context: StepContext = TOOLS, **parameters: Any
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    table = Resample(**parameters).apply(frame.lazy(), context)
    assert table.rejects is not None
    return table.frame.collect(), table.rejects.collect(), table.notes


def rows_per_class(frame: pl.DataFrame, split: str = "train") -> dict[str, int]:
    part = frame.filter(pl.col("split") == split, pl.col("label").is_not_null())
    return dict(part.group_by("label").agg(pl.col("repeat").sum()).iter_rows())


def test_sqrt_lifts_rare_classes_halfway() -> None:
    frame, rejects, notes = resample(records({"a": 400, "b": 100}), strategy="sqrt")
    assert rows_per_class(frame) == {"a": 400, "b": 200}
    assert rejects.height == 0
    assert notes == {"classes": {"a": {"records": 400, "rows": 400}, "b": {"records": 100, "rows": 200}}}


def test_uniform_gives_every_class_the_rows_of_the_largest() -> None:
    frame, _, _ = resample(records({"a": 90, "b": 40}), strategy="uniform")
    assert rows_per_class(frame) == {"a": 90, "b": 90}


def test_rows_are_spread_evenly_over_the_records() -> None:
    frame, _, _ = resample(records({"a": 90, "b": 40}), strategy="uniform")
    spread = dict(frame.filter(label="b")["repeat"].value_counts().iter_rows())
    assert spread == {2: 30, 3: 10}
    assert frame.schema["repeat"] == pl.UInt32


def test_repeats_are_bounded_and_the_bound_is_reported() -> None:
    frame, _, notes = resample(records({"a": 100, "b": 2}), strategy="uniform", max_repeat=4)
    assert rows_per_class(frame) == {"a": 100, "b": 8}
    assert notes["warnings"] == ["class b: 8 rows instead of 100 (max_repeat 4)"]


def test_records_above_the_cap_are_rejected_with_a_reason() -> None:
    before = records({"a": 50, "b": 10})
    frame, rejects, _ = resample(before, strategy="cap", cap=20)
    assert rows_per_class(frame) == {"a": 20, "b": 10}
    assert set(frame["repeat"]) == {1}
    assert rejects.columns == ["id", "reason", "detail"]
    assert set(rejects["reason"]) == {"resampled_out"}
    assert set(rejects["detail"]) == {"class a keeps 20 of its 50 training records"}
    assert sorted([*frame["id"], *rejects["id"]]) == sorted(before["id"])


def test_cap_works_on_a_single_class() -> None:
    frame, rejects, _ = resample(records({"a": 50}), strategy="cap", cap=20)
    assert (frame.height, rejects.height) == (20, 30)


def test_explicit_counts_raise_and_lower_and_leave_the_rest() -> None:
    frame, rejects, _ = resample(
        records({"a": 50, "b": 10, "c": 7}), strategy="explicit", counts={"a": 30, "b": 25}
    )
    assert rows_per_class(frame) == {"a": 30, "b": 25, "c": 7}
    assert rejects.height == 20


def test_validation_and_unlabelled_records_are_untouched() -> None:
    before = records({"a": 50, "b": 10, None: 5}, val={"a": 30, "b": 3})
    frame, rejects, _ = resample(before, strategy="cap", cap=4)
    others = frame.filter((pl.col("split") == "val") | pl.col("label").is_null())
    assert others.height == 38
    assert set(others["repeat"]) == {1}
    assert rejects.join(before, on="id")["split"].unique().to_list() == ["train"]


def test_general_records_are_untouched() -> None:
    before = records({"a": 50, "b": 10}).with_columns(
        set=pl.when(label="b").then(pl.lit("general")).otherwise(pl.lit(""))
    )
    frame, _, notes = resample(before, strategy="uniform")
    assert rows_per_class(frame) == {"a": 50, "b": 10}
    assert list(notes["classes"]) == ["a"]


def test_missing_split_says_what_to_put_before() -> None:
    frame = records({"a": 3}).drop("split")
    with pytest.raises(UserError, match=r"Put curate\.split before it"):
        resample(frame)


@pytest.mark.fault(
    "classes are asked of a column of lists",
    "refused before a record is read or paid for",
    kind="bounds",
)
@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (pl.List(pl.String), "lists"),
        (pl.List(pl.Struct({"text": pl.String})), "lists"),
        (pl.Struct({"a": pl.Int64}), "groups of values"),
        (pl.Binary, "bytes"),
    ],
)
def test_column_of_no_single_values_is_refused_before_a_record_is_read(dtype: Any, words: str) -> None:
    empty = pl.DataFrame(schema={"id": pl.String, "split": pl.String, "odd": dtype})
    with pytest.raises(UserError, match=f"`by` names the column `odd`, which holds {words}"):
        resample(empty, by="odd")


@pytest.mark.parametrize("values", [[1, 1, 2], [0.5, 0.5, 1e300], [True, False, None]])
def test_numbers_and_truth_values_are_classes(values: list[Any]) -> None:
    frame = records({"a": 3}).with_columns(odd=pl.Series(values))
    kept, rejects, _ = resample(frame, by="odd", strategy="uniform")
    assert (kept.height, rejects.height) == (3, 0)


def test_count_for_an_unknown_class_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean `refund`"):
        resample(records({"refund": 3, "cart": 4}), strategy="explicit", counts={"refnd": 5})


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strategy": "cap"}, "needs `cap`"),
        ({"strategy": "explicit"}, "needs `counts`"),
        ({"strategy": "sqrt", "cap": 3}, "belongs to `strategy: cap`"),
        ({"strategy": "explicit", "counts": {"a": 0}}, "the least is 1"),
        ({"split": "val"}, "train"),
    ],
)
def test_parameters_that_do_not_fit_are_errors(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeErrors, match=message):
        Resample(**parameters)


def test_order_of_the_records_changes_nothing_and_is_kept() -> None:
    before = records({"a": 60, "b": 25, "c": 9}, val={"a": 5})
    first, out, _ = resample(before, strategy="cap", cap=20)
    mixed, mixed_out, _ = resample(before.sample(fraction=1, shuffle=True, seed=1), strategy="cap", cap=20)
    assert first["id"].to_list() == [id_ for id_ in before["id"] if id_ not in set(out["id"])]
    assert mixed.sort("id").equals(first.sort("id"))
    assert mixed_out.sort("id").equals(out.sort("id"))


def test_seed_changes_the_choice() -> None:
    before = records({"a": 60, "b": 25})
    other = StepContext(base=Path(), project=Path(), seed=8)
    chosen = [set(resample(before, context, strategy="cap", cap=20)[0]["id"]) for context in (TOOLS, other)]
    assert chosen[0] != chosen[1]


def test_earlier_repeat_column_is_replaced() -> None:
    before = records({"a": 4}).with_columns(repeat=pl.lit(9, dtype=pl.UInt32))
    assert resample(before)[0]["repeat"].to_list() == [1, 1, 1, 1]


def test_zero_records_give_the_columns() -> None:
    frame, rejects, notes = resample(records({}), strategy="explicit", counts={"a": 4})
    assert frame.schema["repeat"] == pl.UInt32
    assert rejects.schema == {"id": pl.String, "reason": pl.String, "detail": pl.String}
    assert notes == {"classes": {}}


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1),
    strategy=st.sampled_from(["sqrt", "uniform", "cap"]),
    max_repeat=st.integers(1, 5),
)
def test_every_record_is_kept_or_rejected_and_repeats_differ_by_at_most_one(
    sizes: dict[str | None, int], strategy: str, max_repeat: int
) -> None:
    before = records(sizes)
    cap = {"cap": 7} if strategy == "cap" else {}
    frame, rejects, notes = resample(before, strategy=strategy, max_repeat=max_repeat, **cap)
    assert frame.height + rejects.height == before.height
    assert set(frame["id"]).isdisjoint(rejects["id"])
    assert rows_per_class(frame) == {name: entry["rows"] for name, entry in notes["classes"].items()}
    for _, part in frame.group_by("label"):
        low, high = part["repeat"].min(), part["repeat"].max()
        assert isinstance(low, int)
        assert isinstance(high, int)
        assert 1 <= low <= high <= max_repeat
        assert high - low <= 1


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 60), cap=st.integers(1, 40), seed=st.integers(0, 9))
def test_an_added_record_displaces_at_most_one_of_those_kept(size: int, cap: int, seed: int) -> None:
    context = StepContext(base=Path(), project=Path(), seed=seed)
    before = records({"a": size, "b": 3})
    added = pl.concat([pl.DataFrame({"label": ["a"], "split": ["train"], "id": ["new"]}), before])
    kept = set(resample(before, context, strategy="cap", cap=cap)[0].filter(label="a")["id"])
    later = set(resample(added, context, strategy="cap", cap=cap)[0].filter(label="a")["id"])
    assert len(kept) == min(size, cap)
    assert len(kept - later) <= 1
    assert later - kept <= {"new"} or len(later) > len(kept)


def test_who_stays_under_a_cap_depends_on_the_seed() -> None:
    before = records({"a": 50})
    kept = {
        seed: frozenset(
            resample(before, StepContext(base=Path(), project=Path(), seed=seed), strategy="cap", cap=20)[0][
                "id"
            ]
        )
        for seed in range(4)
    }
    assert len(set(kept.values())) == 4


CHAT = Chat(prompt="ecom/classify_v1.j2", answer="ecom/reason_then_label.j2")


def test_repeats_are_records_of_their_own_where_their_texts_are_still_to_be_written(
    make_context: Callable[..., StepContext],
) -> None:
    step = Resample(strategy="uniform", max_repeat=3)
    context = make_context(steps=(step, Reason(), CHAT))
    before = records({"a": 6, "b": 2}, {"a": 1})
    table = step.apply(before.lazy(), context)
    frame = table.frame.collect()
    assert table.added == 4
    assert frame.height == before.height + 4
    assert set(frame["repeat"]) == {1}
    assert rows_per_class(frame) == {"a": 6, "b": 6}
    assert frame["id"].to_list() == [*before["id"], "r6~repeat2", "r7~repeat2", "r6~repeat3", "r7~repeat3"]
    assert frame.tail(4).select("repeat_of", "repeat_number").rows() == [
        ("r6", 2),
        ("r7", 2),
        ("r6", 3),
        ("r7", 3),
    ]
    assert frame.head(9)["repeat_number"].to_list() == [1] * 9
    assert {"repeat_of", "repeat_number"} <= step.outputs(context).keys()


def test_an_id_that_looks_like_a_repeat_is_not_taken_for_one(
    make_context: Callable[..., StepContext],
) -> None:
    step = Resample(strategy="uniform", max_repeat=2)
    frame = records({"a": 2, "b": 1}).with_columns(id=pl.Series(["x", "x~repeat2", "x~repeat22"]))
    table = step.apply(frame.lazy(), make_context(steps=(step, Reason(), CHAT)))
    ids = table.frame.collect()["id"].to_list()
    assert ids == ["x", "x~repeat2", "x~repeat22", "x~repeat22~~repeat2"]


def test_no_text_that_stands_already_is_trained_three_times(
    make_context: Callable[..., StepContext],
) -> None:
    step = Resample(strategy="uniform", max_repeat=3)
    frame = records({"a": 6, "b": 2}).with_columns(reason=pl.lit("读到全选。"))
    context = make_context(steps=(Reason(), step, CHAT))
    table = step.apply(frame.lazy(), context)
    assert rows_per_class(table.frame.collect()) == {"a": 6, "b": 4}
    assert table.added == 0
    assert table.notes["warnings"][0] == "class b: 4 rows instead of 6 (max_repeat 2)"
    assert "Put balance.resample (with curate.split) before" in table.notes["warnings"][1]
    label_only = Chat(prompt="ecom/classify_v1.j2", answer="answer/label_only.j2")
    table = step.apply(frame.lazy(), make_context(steps=(Reason(), step, label_only)))
    assert rows_per_class(table.frame.collect()) == {"a": 6, "b": 6}


def test_a_look_at_the_columns_does_not_wait_for_the_package_that_checks_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "imblearn.utils", None)
    frame, _, _ = resample(records({}), strategy="sqrt")
    assert frame.height == 0
    assert frame.schema["repeat"] == pl.UInt32
    with pytest.raises(ImportError):
        resample(records({"a": 400, "b": 99}), strategy="sqrt")


IMPORTS = """\
import sys
import datakit as dk
dk.build("recipes/drawn.yaml", overrides=sys.argv[1:], card=False)
print("imblearn" in sys.modules)
"""


def test_imbalanced_learn_is_not_imported_again_for_the_same_sizes(project: Path) -> None:
    rows = [{"id": f"r{at}", "text": f"t{at}", "label": "a" if at < 40 else "b"} for at in range(47)]
    (project / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (project / "templates" / "ask.j2").write_text("{{ text }}")
    (project / "templates" / "answer.j2").write_text("{{ label }}")
    (project / "recipes" / "drawn.yaml").write_text(
        "name: drawn\nsteps:\n"
        "  - read.jsonl: {path: ../data.jsonl}\n  - curate.split: {val: 0.2, stratify: label}\n"
        "  - balance.resample: {by: label}\n"
        "  - render.chat: {prompt: ask.j2, answer: answer.j2, max_chars: 900}\nemit: [llamafactory]\n"
    )

    def imports(*words: str) -> str:
        command = [sys.executable, "-c", IMPORTS, *words]
        environment = {**os.environ, "PYTHONPATH": str(Path(datakit.__file__).parent.parent)}
        return subprocess.run(
            command, cwd=project, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    assert imports() == "True"
    assert imports("render.chat.max_chars=800") == "False"
    with (project / "data.jsonl").open("a") as file:
        file.writelines(f'{{"id": "more{at}", "text": "more", "label": "b"}}\n' for at in range(9))
    assert imports() == "True"
