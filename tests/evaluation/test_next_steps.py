"""The end of the page: what pays most, in words and commands that can be pasted."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.predictions import Prediction, write
from datakit.cli import cli, run
from datakit.core.labels import Label
from datakit.evaluation.evaluation import Evaluated, Options
from datakit.evaluation.from_build import evaluate
from datakit.evaluation.next_steps import next_section
from datakit.evaluation.page import write_evaluation
from datakit.evaluation.proposals import sentence
from datakit.evaluation.wrong import wrong_records
from datakit.pages.blocks import CodeBlock, Section, Table, Text
from tests.support.evaluated_builds import REFUND, RETURN, answers, every_fifth_wrong, right

Sure = Callable[[Prediction], float | None]


def section(build: BuildFolder, folder: Path, items: Iterator[Prediction] | list[Prediction]) -> Section:
    path = folder / "predictions.jsonl"
    write(path, items)
    return of(evaluate(build, [path], Options(resamples=50))[0], build)


def of(evaluated: Evaluated, build: BuildFolder) -> Section:
    return next_section(evaluated.evaluation, wrong_records(evaluated.outcomes), build)


def texts(found: Section) -> str:
    return "\n".join(block.text for block in found.blocks if isinstance(block, Text | CodeBlock))


def commands(found: Section) -> list[list[str]]:
    lines = [
        line
        for block in found.blocks
        if isinstance(block, CodeBlock) and block.language == "bash"
        for line in block.text.splitlines()
    ]
    return [shlex.split(line.partition(" > ")[0], comments=True) for line in lines]


def mixed(build: BuildFolder, sure: Sure) -> list[Prediction]:
    """Every refund is answered with a return, each third answer is none, the others are right."""
    items = []
    for number, item in enumerate(answers(build.path, right)):
        if item.label == REFUND:
            item = item.model_copy(update={"predicted": RETURN})
        elif number % 7 == 0:
            item = item.model_copy(update={"predicted": None, "problem": "label_missing", "confidence": None})
        items.append(item.model_copy(update={"confidence": sure(item) if item.predicted else None}))
    return items


def test_every_command_of_the_page_is_one_that_runs(
    small: BuildFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(small.path.parents[1])
    found = section(small, tmp_path, mixed(small, lambda item: 0.97)[1:])
    names = {words[0] for words in commands(found)}
    assert names == {"datakit", "jq"} or names == {"datakit"}
    calls = [words[1:] for words in commands(found) if words[0] == "datakit"]
    assert {words[0] for words in calls} == {"why", "predict"}
    for name, *words in calls:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.make_context(name, list(words))  # raises for an option that is not there
        if name == "why":
            assert run([name, *words]) == 0
    assert "train.jsonl" in capsys.readouterr().out


def test_costly_pairs_come_with_their_labels_points_and_sentences(small: BuildFolder, tmp_path: Path) -> None:
    found = texts(section(small, tmp_path, mixed(small, lambda item: None)))
    count = sum(item.label == REFUND for item in answers(small.path, right))
    total = len(list(answers(small.path, right)))
    assert f"Tell {REFUND} and {RETURN} apart: {count} times" in found
    assert f"would be {round(100 * count / total, 1)} points higher" in found
    assert f"{REFUND}: 不是「{RETURN}」：后者是" in found
    assert f"{RETURN}: 不是「{REFUND}」：后者是" in found


def test_sure_wrong_answers_make_their_labels_suspect_the_surest_first(
    small: BuildFolder, tmp_path: Path
) -> None:
    dice = random.Random(3)
    items = mixed(small, lambda item: round(0.8 + dice.random() / 5, 4))
    wanted = sorted(
        (item for item in items if item.predicted != item.label and (item.confidence or 0) >= 0.9),
        key=lambda item: -(item.confidence or 0),
    )
    assert 0 < len(wanted) < sum(item.label == REFUND for item in items)
    found = section(small, tmp_path, items)
    block = next(
        block
        for at, block in enumerate(found.blocks)
        if "Look at" in getattr(found.blocks[at - 1], "text", "")
    )
    assert isinstance(block, CodeBlock)
    assert [shlex.split(line, comments=True)[-1] for line in block.text.splitlines()] == [
        item.id for item in wanted[:10]
    ]


def test_no_label_is_suspected_where_no_wrong_answer_is_sure(small: BuildFolder, tmp_path: Path) -> None:
    found = texts(section(small, tmp_path, mixed(small, lambda item: 0.5)))
    assert "No label is suspected" in found
    assert "Look at" not in found


def test_rare_classes_are_named_with_what_they_have_in_training(small: BuildFolder, tmp_path: Path) -> None:
    found = section(small, tmp_path, answers(small.path, right))
    table = next(block for block in found.blocks if isinstance(block, Table))
    assert [row[1] for row in table.rows] == sorted(row[1] for row in table.rows)  # type: ignore[type-var]
    trained = [item.label for item in answers(small.path, right, split="train")]
    assert {str(row[0]): row[2] for row in table.rows} == {
        str(row[0]): trained.count(str(row[0])) or None for row in table.rows
    }


def test_threshold_is_the_lowest_at_which_answers_are_good(small: BuildFolder, tmp_path: Path) -> None:
    def sure(item: Prediction) -> float:
        return 0.85 if item.predicted == item.label else 0.75

    items = list(answers(small.path, every_fifth_wrong))
    items = [item.model_copy(update={"confidence": sure(item) if item.predicted else None}) for item in items]
    found = section(small, tmp_path, items)
    assert "confidence of 0.8 or more as pseudo-labels" in texts(found)
    keep = next(words for words in commands(found) if words[0] == "jq")
    assert "select(.confidence >= 0.8)" in keep[2]
    assert "Take no pseudo-labels yet" in texts(section(small, tmp_path, mixed(small, lambda item: 0.3)))


def test_records_without_an_answer_are_asked_again_and_unread_answers_closed(
    small: BuildFolder, tmp_path: Path
) -> None:
    found = commands(section(small, tmp_path, mixed(small, lambda item: None)[1:]))
    assert ["datakit", "predict", "build/small", "--split", "val"] in found
    assert ["datakit", "predict", "build/small", "--split", "val", "--closed"] in found


def test_the_page_ends_with_it_in_both_forms(small: BuildFolder, tmp_path: Path) -> None:
    write(tmp_path / "predictions.jsonl", mixed(small, lambda item: 0.97))
    one = evaluate(small, [tmp_path / "predictions.jsonl"], Options(resamples=50))[0]
    write_evaluation(one, small, tmp_path, "evaluation")
    text = (tmp_path / "evaluation.md").read_text("utf-8")
    assert text.rpartition("\n## ")[2].startswith("下一步\n")
    html = (tmp_path / "evaluation.html").read_text("utf-8")
    assert html.rpartition("<h2>")[2].startswith("下一步</h2>")


def test_ids_of_strangers_stay_words_of_the_command(small: BuildFolder, tmp_path: Path) -> None:
    one = evaluate(small, [_written(tmp_path, mixed(small, lambda item: 0.97))], Options(resamples=50))[0]
    wrong = wrong_records(one.outcomes)
    strange = [type(row)("a'; rm -rf ~ #\n", "x\ny", row.answered, row.prediction) for row in wrong[:1]]
    found = next_section(one.evaluation, strange, small)
    assert ["datakit", "why", "build/small", "a'; rm -rf ~ #\n"] in [
        shlex.split(block.text, comments=True) for block in found.blocks if isinstance(block, CodeBlock)
    ]


def _written(folder: Path, items: list[Prediction]) -> Path:
    write(folder / "predictions.jsonl", items)
    return folder / "predictions.jsonl"


@pytest.mark.parametrize(
    ("before", "proposed", "rival", "expected"),
    [
        (
            "a cart",
            'a cart; unlike order, often shows "pay"',
            Label("order"),
            'unlike order, often shows "pay"',
        ),
        (
            "a cart",
            "a cart",
            Label("order", description="a list. With prices."),
            "not order, which is: a list",
        ),
        ("a cart", 'a cart; unlike shop, "x"', Label("order"), "not order"),
        ("", "", Label("订单"), "不是「订单」"),
        ("购物车", "", Label("订单", description="列表；有价格"), "不是「订单」：后者是列表"),
    ],
)
def test_sentence_is_what_the_proposal_adds_else_what_the_other_class_is(
    before: str, proposed: str, rival: Label, expected: str
) -> None:
    assert sentence(before, proposed, rival) == expected


def test_json_of_the_evaluation_is_as_it_was(small: BuildFolder, tmp_path: Path) -> None:
    one = evaluate(small, [_written(tmp_path, mixed(small, lambda item: 0.97))], Options(resamples=50))[0]
    write_evaluation(one, small, tmp_path, "evaluation")
    assert "next" not in json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
