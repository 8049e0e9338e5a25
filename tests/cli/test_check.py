"""`datakit check`: what it prints, its exit codes, JSON, and calls that are wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.data_folder import TAGS, DataFolder, good, picture, row

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    monkeypatch.chdir(tmp_path)
    return DataFolder(tmp_path)


def test_help_says_what_the_check_needs(datakit: Run) -> None:
    done = datakit("check", "--help")
    assert done.code == 0
    assert "no GPU and no trainer" in done.out


def test_clean_data_set_ends_with_zero(datakit: Run, folder: DataFolder) -> None:
    path = folder.write([good([picture(folder.path, "a.png")])])
    done = datakit("check", "--train-yaml", path)
    assert done.code == 0
    assert "0 errors, 0 warnings, 0 notes" in done.out
    assert "1 training step\n" in done.out
    assert "uncounted" not in done.out  # a column of what no data set has


def test_errors_are_grouped_with_places_and_remedy_and_end_with_one(datakit: Run, folder: DataFolder) -> None:
    path = folder.write([good(), *[row(("user", "问"))] * 5])
    done = datakit("check", "--train-yaml", path)
    assert done.code == 1
    assert "Error turn_count: A row that does not end with the assistant is dropped (5 times)" in done.out
    assert "  set.json:3 r1: 1 turns" in done.out
    assert "and 2 more" in done.out
    assert "Add the answer" in done.out


def test_json_holds_every_finding_and_the_figures(datakit: Run, folder: DataFolder) -> None:
    path = folder.write([good(), *[row(("user", "问"))] * 5])
    done = datakit("check", "--train-yaml", path, "--json")
    found = json.loads(done.out)
    assert found["errors"] == 5
    assert [finding["where"] for finding in found["findings"]] == [f"set.json:{n}" for n in range(3, 8)]
    assert found["data_sets"][0]["dropped"] == 5
    assert found["settings"]["cutoff_len"] == 2048
    assert found["proposal"]["fits_all"] > 0


def test_records_file_holds_tokens_of_each_row(datakit: Run, folder: DataFolder) -> None:
    path = folder.write([good([picture(folder.path, "a.png", 280, 280)]), row(("user", "问"))])
    datakit("check", "--train-yaml", path, "--records", "rows.jsonl")
    lines = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["kept", "dropped"]
    assert lines[0]["image_tokens"] == [100]
    assert lines[0]["input_tokens"] == lines[0]["text_tokens"] + 100


def test_data_set_without_a_configuration_is_checked(datakit: Run, folder: DataFolder) -> None:
    folder.write([good([picture(folder.path, "a.png")])])
    done = datakit("check", "--dataset-dir", ".", "--dataset", "set")
    assert (done.code, "0 errors" in done.out) == (0, True)
    assert "never" not in done.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "name a build"),
        ((".",), "holds no data set for LLaMA-Factory"),
        (("--dataset-dir", "."), "no data set is named"),
        (("--dataset-dir", ".", "--dataset", "set", "--set", "x"), "KEY=VALUE"),
    ],
)
def test_wrong_call_ends_with_two(
    datakit: Run, folder: DataFolder, args: tuple[str, ...], words: str
) -> None:
    if len(args) > 1:
        folder.write([good()])
    done = datakit("check", *args)
    assert done.code == 2
    assert words in done.err


SMALL = """
name: small
steps:
  - read.jsonl: {path: d.jsonl}
  - render.chat: {prompt: p.j2, answer: label_only}
emit: [llamafactory]
train: {model: Qwen/Qwen2.5-VL-7B-Instruct, method: lora}
"""


def test_build_is_checked_with_another_configuration(datakit: Run, folder: DataFolder) -> None:
    shown = picture(folder.path, "a.png", 900, 900)
    (folder.path / "templates").mkdir()
    (folder.path / "templates" / "p.j2").write_text("<image>类别？", "utf-8")
    (folder.path / "d.jsonl").write_text(json.dumps({"id": "1", "image": shown, "label": "甲"}), "utf-8")
    (folder.path / "small.yaml").write_text(SMALL, "utf-8")
    assert datakit("build", "small.yaml", "--no-card").code == 0
    other = folder.path / "mine" / "other.yaml"
    other.parent.mkdir()
    text = (folder.path / "build" / "small" / "train.yaml").read_text("utf-8")
    other.write_text(text, "utf-8")
    assert datakit("check", "build/small", "--train-yaml", other).code == 0
    other.write_text(re.sub(r"(?m)^cutoff_len: .*$", "cutoff_len: 100", text), "utf-8")
    done = datakit("check", "build/small", "--train-yaml", other, "--json")
    assert {finding["code"] for finding in json.loads(done.out)["findings"]} >= {"image_cut"}


def test_configuration_without_a_data_set_is_for_those_of_the_build(datakit: Run, folder: DataFolder) -> None:
    shown = picture(folder.path, "a.png", 900, 900)
    (folder.path / "templates").mkdir()
    (folder.path / "templates" / "p.j2").write_text("<image>类别？", "utf-8")
    rows = [{"id": f"{at}", "image": shown, "label": "甲乙"[at % 2]} for at in range(20)]
    (folder.path / "d.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    recipe = SMALL.replace("  - render.chat", "  - curate.split: {val: 0.2}\n  - render.chat")
    (folder.path / "small.yaml").write_text(recipe, "utf-8")
    assert datakit("build", "small.yaml", "--no-card").code == 0
    text = (folder.path / "build" / "small" / "train.yaml").read_text("utf-8")
    folder.path.joinpath("mine.yaml").write_text(re.sub(r"(?m)^(eval_)?dataset: .*\n", "", text), "utf-8")

    own = json.loads(datakit("check", "build/small", "--json").out)["data_sets"]
    done = datakit("check", "build/small", "--train-yaml", "mine.yaml", "--json")
    assert json.loads(done.out)["data_sets"] == own
    assert {row["part"]: row["rows"] for row in own} == {"train": 16, "eval": 4}
    sized = re.sub(r"(?m)^(eval_)?dataset: .*\n", "", text) + "val_size: 0.1\n"
    folder.path.joinpath("sized.yaml").write_text(sized, "utf-8")
    done = datakit("check", "build/small", "--train-yaml", "sized.yaml", "--json")
    assert [row["part"] for row in json.loads(done.out)["data_sets"]] == ["train"]


def test_build_beside_a_data_set_folder_is_refused(datakit: Run, folder: DataFolder) -> None:
    (folder.path / "build" / "x").mkdir(parents=True)
    done = datakit("check", "build/x", "--dataset-dir", ".")
    assert done.code == 2
    assert "Leave one of them out" in done.err


TEXT_ONLY = {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS}


def codes(done: Any) -> set[str]:
    return {finding["code"] for finding in json.loads(done.out)["findings"] if finding["severity"] == "error"}


@pytest.mark.parametrize("entry", [None, TEXT_ONLY])
def test_a_data_set_for_a_model_that_sees_needs_a_picture(
    datakit: Run, folder: DataFolder, entry: dict[str, Any] | None
) -> None:
    path = folder.write([good(), good()], entry)
    done = datakit("check", "--train-yaml", path, "--json")
    assert (done.code, codes(done)) == (1, {"no_pictures"})
    assert "--text-only" in datakit("check", "--train-yaml", path).out
    assert datakit("check", "--train-yaml", path, "--text-only").code == 0
    path = folder.write([good(), good()], entry, {"template": "qwen3", "model_name_or_path": "Qwen/Qwen3-8B"})
    assert "no_pictures" not in codes(datakit("check", "--train-yaml", path, "--json"))
    if entry is None:
        path = folder.write([good(), good([picture(folder.path, "a.png")])])
        assert datakit("check", "--train-yaml", path).code == 0


@pytest.mark.parametrize(("entry", "code"), [(None, 1), (TEXT_ONLY, 0)])
def test_a_folder_alone_needs_a_picture_where_its_index_names_them(
    datakit: Run, folder: DataFolder, entry: dict[str, Any] | None, code: int
) -> None:
    folder.write([good(), good()], entry)
    done = datakit("check", "--dataset-dir", ".", "--dataset", "set", "--json")
    assert (done.code, codes(done)) == (code, {"no_pictures"} if code else set())


def test_a_build_named_by_its_configuration_is_judged_by_its_recipe(datakit: Run, folder: DataFolder) -> None:
    (folder.path / "templates").mkdir()
    (folder.path / "templates" / "p.j2").write_text("{{ text }}", "utf-8")
    (folder.path / "d.jsonl").write_text(json.dumps({"id": "1", "text": "红裙", "label": "甲"}), "utf-8")
    (folder.path / "small.yaml").write_text(SMALL.replace("d.jsonl}", "d.jsonl, images: none}"), "utf-8")
    assert datakit("build", "small.yaml", "--no-card").code == 0
    for words in (("build/small",), ("--train-yaml", "build/small/train.yaml")):
        assert datakit("check", *words).code == 0
