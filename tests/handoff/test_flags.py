"""Options of other commands in `datakit handoff`: each has its effect or is refused; nothing is ignored."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest

from datakit.cli import handoff, predict, serve, train
from datakit.handoff import bundle_command
from tests.handoff.conftest import Home
from tests.support.served import ROOT

REFUSED = [
    ("--train-flags", "--dry-run", "datakit train BUILD --dry-run"),
    ("--train-flags", "--json", "datakit handoff BUILD --json"),
    ("--serve-flags", "--dry-run", "datakit serve BUILD --dry-run"),
    ("--serve-flags", "--check-only", "datakit serve BUILD --check-only"),
    ("--predict-flags", "--out x.jsonl", "datakit predict BUILD --out"),
    ("--predict-flags", "--base-url http://gpu-1:8000/v1", "datakit handoff BUILD --base-url"),
    ("--predict-flags", "--format csv", "datakit predict BUILD --format"),
    ("--predict-flags", "--missing x", "datakit predict BUILD --missing"),
    ("--predict-flags", "-q", "--quiet has no effect"),
]


@pytest.mark.parametrize(("option", "text", "remedy"), REFUSED)
def test_option_without_effect_is_refused_with_what_to_do(
    home: Home, option: str, text: str, remedy: str
) -> None:
    assert home.go(option, text) == 2
    said = " ".join(home.output.split())
    assert f"{option} '{text}'" in said
    assert remedy in said
    assert home.trainings() == []


@pytest.mark.parametrize(
    ("sister", "taken"),
    [
        (train.command, handoff._OF_TRAIN),
        (serve.command, handoff._OF_SERVE),
        (predict.command, handoff._OF_PREDICT),
    ],
)
def test_options_that_are_taken_over_are_those_of_the_command(
    sister: click.Command, taken: tuple[str, ...]
) -> None:
    assert set(taken) <= {parameter.name for parameter in sister.params}


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_address_is_refused_before_anything_is_trained(home: Home, text: str) -> None:
    assert home.go("--base-url", text) == 2
    assert "address is empty" in " ".join(home.output.split())
    assert home.trainings() == []


def test_bundle_refuses_an_empty_address_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle_command.run(tmp_path, ["--base-url", ""]) == 2
    assert "--base-url is empty" in capsys.readouterr().err


def test_wrong_split_is_told_before_the_training(home: Home, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for split, words in (
        ("vall", "is neither a split nor a folder"),
        (str(tmp_path / "empty"), "no picture"),
    ):
        assert home.go("--split", split) == 2
        assert "check failed" in home.output
        assert words in home.output
    assert home.trainings() == []


def test_answers_to_a_folder_named_val_have_a_file_of_their_own(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "val").mkdir()
    shutil.copy(min((ROOT / "examples" / "ecom" / "images").iterdir()), tmp_path / "val")
    assert home.go() == 0, home.output
    before = home.answers.read_bytes()
    assert home.go("--split", "val/") == 0, home.output
    assert home.answers.read_bytes() == before
    assert len(list(home.run.folder.glob("predictions_val-??????_*.jsonl"))) == 1
    assert not list(home.run.folder.glob("*kept*"))


@pytest.mark.parametrize("words", [("--again", ""), ("--only", ""), ("--from", ""), ("",)], ids=str)
def test_empty_name_of_a_stage_is_refused(home: Home, words: tuple[str, ...]) -> None:
    assert home.go(*words) == 2
    assert "the name is empty (is a variable not set?)" in " ".join(home.output.split())
    assert home.trainings() == []


@pytest.mark.parametrize(
    "words", [["--again", ""], ["--again="], ["--only", ""], ["--from", ""], ["train", ""]], ids=str
)
def test_empty_name_of_a_stage_is_refused_by_a_bundle(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bundle_command.run(tmp_path, words) == 2
    assert "is empty (is a variable not set?)" in capsys.readouterr().err


def test_again_without_a_stage_is_the_first_that_is_wanted() -> None:
    assert bundle_command.parsed(["train", "--again"]).again == ""
    assert bundle_command.parsed(["train"]).again is None
