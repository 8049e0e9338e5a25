"""Nothing old passes for new: what was begun, loaded or exported with something else is told from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.handoff.conftest import Home
from tests.handoff.test_home import ALL
from tests.handoff.test_kills import start, stepping
from tests.handoff.test_servers import served
from tests.support.fake_trainer import release, write_model
from tests.support.waiting import until


def edit_rate(home: Home) -> None:
    """Another learning rate in train.yaml."""
    file = home.build / "train.yaml"
    lines = file.read_text("utf-8").splitlines(keepends=True)
    changed = ["learning_rate: 0.0123\n" if line.startswith("learning_rate:") else line for line in lines]
    assert changed != lines
    file.write_text("".join(changed), "utf-8")


@pytest.mark.fault(
    "settings are edited after a training that failed, and the next attempt fails before it begins",
    "the training of before is set aside, and the next one begins anew",
    kind="inputs changed",
)
def test_half_a_training_is_no_beginning_of_one_with_other_settings(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "die:2")
    assert home.go("--only", "train") == 1
    monkeypatch.delenv("FAKE_TRAINER")
    edit_rate(home)
    assert home.go("--only", "train", "--python", "/nowhere/python") == 2
    assert home.go("--only", "train") == 0, home.output
    assert "Going on from" not in home.output
    assert "What was trained before is kept" in home.output


def test_training_that_outlived_its_driver_is_not_that_of_settings_edited_since(home: Home) -> None:
    driver = start(home, FAKE_TRAINER="hold")
    until(lambda: stepping(home), driver)
    driver.kill()
    driver.communicate()
    edit_rate(home)
    assert home.go("--only", "train") == 2
    assert "this run is training" in home.output
    release(home.trainer.parent)
    until(home.run.finished, within_s=120)
    until(
        lambda: home.go("--only", "train") == 0, within_s=60
    )  # the trainer ends a moment after its last file
    assert "What was trained before is kept" in home.output


def retrained(home: Home) -> None:
    """Other weights in the place of the trained ones, as `datakit train` elsewhere may leave them."""
    write_model(home.run.trained, weights=b"\x07" * 48)


@pytest.mark.fault(
    "a server that was started before the model was made anew still answers on the port",
    "it is not asked: the handoff says that it has the weights of before",
    kind="answers",
)
def test_server_that_is_older_than_its_model_is_not_asked(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    with served(home, str(home.run.served)):
        retrained(home)
        assert home.go() == 2
        assert "it answers with the weights of before" in home.output
        assert home.asked() == 0
    assert home.go() == 0, home.output


def test_model_that_was_not_trained_here_is_not_served_under_its_name(home: Home) -> None:
    assert home.go("--serve-flags", "--model /models/other") == 2
    assert "give its address: --base-url" in home.output
    assert home.trainings() == []


def test_picture_that_was_replaced_is_another_data_set(home: Home) -> None:
    assert home.ran() == ALL
    picture = next(path for path in sorted((home.build / "images").iterdir()))
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert "train" in home.ran()


def test_model_exported_from_something_else_is_not_taken_by_its_date(home: Home) -> None:
    from datakit.cli import run

    assert run(["train", str(home.build), "--cpu"]) == run(["export", str(home.build)]) == 0
    retrained(home)
    old = os.stat(home.run.served / "config.json").st_mtime - 3600
    for path in Path(home.run.trained).glob("*.safetensors"):
        os.utime(path, (old, old))
    home.capsys.readouterr()
    assert "export" in home.ran()
