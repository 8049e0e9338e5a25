"""`datakit handoff`: a build is taken to its scores by a toy trainer and a toy vLLM."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from datakit.artifacts import predictions
from datakit.artifacts.build_folder import BuildFolder
from datakit.handoff.status import read_status
from tests.handoff.conftest import Home

ALL = ["check", "train", "export", "predict", "evaluate"]
AFTER_WEIGHTS = ["check", "export", "predict", "evaluate"]


def kept(home: Home, pattern: str = "trained.kept-*") -> list[Path]:
    return sorted(home.run.folder.glob(pattern))


def flip(file: Path) -> None:
    """Another byte at the end: the same size, another content."""
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))


def edit_training(home: Home, old: str, new: str) -> None:
    file = home.build / "train.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_build_is_taken_to_its_scores_and_then_nothing_is_done_twice(home: Home) -> None:
    assert home.go() == 0, home.output
    assert "macro F1" in home.output
    assert f"Everything lies in {home.run.folder}" in home.output
    assert home.trainings() == ["train", "export"]
    asked = home.asked()
    assert asked == len(home.answers.read_text().splitlines()) + 1  # one to try the server
    assert home.go() == 0, home.output
    assert home.trainings() == ["train", "export"]
    assert home.asked() == asked
    assert "predict is passed over: done 20" in home.output
    assert "macro F1" in home.output
    status = read_status(home.run.folder)
    assert status is not None
    assert (status.stage, status.state, status.next_command) == ("evaluate", "done", "datakit scores")


def test_account_has_each_stage_with_its_reason_and_the_scores(home: Home) -> None:
    account = home.account()
    assert [stage["stage"] for stage in account["stages"]] == ALL
    assert {stage["reason"] for stage in account["stages"][1:]} == {"it was not done before"}
    assert account["scores"]["metrics"]["accuracy"]["value"] == 0
    assert Path(account["scores"]["page"]).is_file()
    assert (account["exit"], account["failure"]) == (0, None)
    assert account["run"] == str(home.run.folder)


def test_done_training_needs_no_trainer_and_done_answers_no_server(home: Home) -> None:
    assert home.go() == 0, home.output
    home.trainer.unlink()
    home.vllm.unlink()
    assert home.go() == 0, home.output
    assert "macro F1" in home.output


def test_weights_retrained_at_the_same_place_are_exported_asked_and_scored_anew(home: Home) -> None:
    assert home.ran() == ALL
    flip(home.run.trained / "model.safetensors")
    home.run.served.joinpath("old").touch()  # in the served model of the old weights
    assert home.ran() == AFTER_WEIGHTS
    assert home.trainings() == ["train", "export", "export"]
    assert home.ran() == ["check"]


def test_edited_settings_train_anew_and_what_was_trained_is_kept(home: Home) -> None:
    assert home.ran() == ALL
    before = (home.run.trained / "model.safetensors").read_bytes()
    edit_training(home, "learning_rate: 0.0001", "learning_rate: 0.0002")
    account = home.account()
    assert [stage["stage"] for stage in account["stages"] if stage["ran"]][:2] == ["check", "train"]
    assert "other training settings than on 20" in account["stages"][1]["reason"]
    (folder,) = kept(home)
    assert (folder / "model.safetensors").read_bytes() == before
    assert home.ran() == ["check"]


def test_another_comment_or_number_of_workers_trains_nothing(home: Home) -> None:
    assert home.ran() == ALL
    edit_training(home, "preprocessing_num_workers: 4", "preprocessing_num_workers: 8  # more cores")
    assert home.ran() == ["check"]


def test_another_base_model_at_the_same_place_trains_anew(home: Home) -> None:
    assert home.ran() == ALL
    flip(Path(str(home.run.keys["model_name_or_path"])) / "model.safetensors")
    account = home.account()
    assert account["stages"][1]["reason"].startswith("other base model than on 20")
    assert len(kept(home)) == 1


def test_same_base_model_in_another_folder_trains_nothing(home: Home, tmp_path: Path) -> None:
    assert home.ran() == ALL
    base = Path(str(home.run.keys["model_name_or_path"]))
    shutil.copytree(base, tmp_path / "elsewhere")
    for name in ("train.yaml", "export.yaml"):
        text = (home.build / name).read_text()
        (home.build / name).write_text(text.replace(str(base), str(tmp_path / "elsewhere")))
    assert home.ran() == ["check"]


def test_data_edited_after_the_training_trains_anew(home: Home) -> None:
    assert home.ran() == ALL
    file = next(iter(BuildFolder(home.build).data_files.values())).file
    text = (home.build / file).read_text("utf-8")
    (home.build / file).write_text(text.replace("页面", "画面", 1), "utf-8")
    account = home.account()
    assert account["stages"][1]["reason"].startswith("other training data than on 20")


def test_edited_answers_are_asked_again_and_kept(home: Home) -> None:
    assert home.ran() == ALL
    (first, *rest) = list(predictions.read(home.answers))
    predictions.write(home.answers, [first.model_copy(update={"predicted": first.label}), *rest])
    account = home.account()
    assert [stage["stage"] for stage in account["stages"] if stage["ran"]] == ["check", "predict", "evaluate"]
    assert f"{home.answers.name} was changed since" in account["stages"][3]["reason"]
    assert account["scores"]["metrics"]["accuracy"]["value"] == 0
    assert len(kept(home, "predictions*.kept-*")) == 1


def test_another_split_is_asked_and_scored_beside_the_first(home: Home) -> None:
    assert home.ran() == ALL
    account = home.account("--split", "train")
    assert [stage["stage"] for stage in account["stages"] if stage["ran"]] == ["check", "predict", "evaluate"]
    assert "train" in account["scores"]["page"]
    assert home.answers.is_file()
    assert home.ran("--split", "train") == ["check"]
    assert home.ran() == ["check"]


def test_another_way_of_asking_is_asked_anew(home: Home) -> None:
    assert home.ran() == ALL
    account = home.account("--predict-flags", "--max-answer-tokens 9")
    assert account["stages"][3]["reason"].startswith("other options than on 20")


def test_training_on_another_processor_is_another_training(home: Home) -> None:
    assert home.ran() == ALL
    home.cpu = False
    account = home.account()
    assert account["stages"][-1]["reason"] == "this machine has no GPU that nvidia-smi would list"
    assert account["exit"] == 2
    assert kept(home) == []  # nothing began: what was trained is where it was
    home.cpu = True
    assert home.ran() == ["check"]


def test_again_trains_anew_beside_what_was_trained(home: Home) -> None:
    assert home.ran() == ALL
    assert home.ran("--again", "train") == ALL
    assert len(kept(home)) == 1
    assert home.trainings() == ["train", "export"] * 2


def test_training_by_another_command_is_taken_over(home: Home) -> None:
    from datakit.cli import run

    assert run(["train", str(home.build), "--cpu"]) == 0
    home.capsys.readouterr()
    account = home.account()
    assert account["stages"][1]["reason"].startswith("it stands already")
    assert home.trainings() == ["train", "export"]  # a model is exported anew where no handoff noted of what
    assert home.ran() == ["check"]


def test_words_of_the_old_script_choose_stages(home: Home) -> None:
    assert home.ran("train", "export") == ["train", "export"]
    assert home.ran("--again", "predict", "evaluate") == ["predict", "evaluate"]
    assert home.ran("evaluate", "--again") == ["evaluate"]


def test_failed_training_says_stage_reason_log_and_next_command(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "oom")
    assert home.go() == 1
    assert "train failed: llamafactory-cli train ended with code 1" in home.output
    assert "The GPU's memory is full" in home.output
    assert f"Go on with: datakit handoff {home.build}" in home.output
    assert "Log: " in home.output
    monkeypatch.delenv("FAKE_TRAINER")
    assert home.go() == 0, home.output
    assert "it ended with exit code 1" in home.output


def test_training_that_died_goes_on_from_its_checkpoint(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "die:3")
    assert home.go() == 1
    monkeypatch.delenv("FAKE_TRAINER")
    assert home.go() == 0, home.output
    assert "Going on from checkpoint-3." in home.output
    assert kept(home) == []


def test_server_that_does_not_start_is_told_as_such(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VLLM", "dies")
    assert home.go() == 1
    assert "serve failed: " in home.output
    monkeypatch.delenv("FAKE_VLLM")
    assert home.go() == 0, home.output
    assert home.trainings() == ["train", "export"]


def test_missing_server_program_is_told_by_the_check_before_hours_of_training(home: Home) -> None:
    home.vllm.unlink()
    assert home.go() == 2
    assert f"there is no program `{home.vllm}` here, which predict needs: --vllm" in home.output
    assert "serve failed: there is no program" in home.output


def test_records_without_answer_are_asked_again_by_the_same_command(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "breaks:1")
    assert home.go() == 3
    assert "predict is not finished: " in home.output
    monkeypatch.delenv("FAKE_VLLM")
    assert home.go() == 0, home.output
    assert home.trainings() == ["train", "export"]


def test_status_is_shown_while_nothing_runs(home: Home) -> None:
    assert home.go("--status") == 0
    assert "No handoff of" in home.output
    assert home.go("--only", "train") == 0
    assert home.go("--status") == 0
    assert f"Run: {home.run.folder}\ntrain: done on 20" in home.output
    document = json.loads(_json_status(home))
    assert document["status"]["stage"] == "train"
    assert document["stages"]["train"]["exit"] == 0


def _json_status(home: Home) -> str:
    home.go("--status", "--json")
    return home.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tarin"], "Did you mean `train`"),
        (["--only", "train", "--from", "export"], "both choose the stages"),
        (["--again", "train", "--from", "export"], "comes before"),
        (["--train-flags", "--no-such 3"], "--train-flags '--no-such 3': No such option"),
        (["--predict-flags", "'"], "--predict-flags"),
        (["--split", "nowhere"], "is neither a split nor a folder"),
    ],
)
def test_wrong_calls_say_what_is_right(home: Home, words: list[str], expected: str) -> None:
    if words[0] == "--split":
        assert home.go() == 0
    assert home.go(*words) == 2
    assert expected in home.output


def test_build_without_training_section_says_what_is_missing(home: Home) -> None:
    (home.build / "train.yaml").unlink()
    assert home.go() == 2
    assert "has no train.yaml" in home.output
