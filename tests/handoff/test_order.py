"""The order of a handoff's stages, and why each runs or is passed over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datakit.core.errors import Exit, UserError
from datakit.handoff.handoff import Account, Handoff, chosen
from datakit.handoff.road import Ended
from datakit.handoff.stages import KEYED, UNKNOWN, StageRecords
from datakit.handoff.status import read_status
from tests.support.toy_road import ToyRoad
from tests.support.waiting import until

WHOLE = ["check", "train", "export", "serve", "predict", "stopped", "evaluate"]


@pytest.fixture
def road(tmp_path: Path) -> ToyRoad:
    return ToyRoad(tmp_path / "run")


def go(road: ToyRoad, **words: object) -> tuple[list[str], Account, str]:
    """What was done, the account, and what was said."""
    lines: list[str] = []
    road.events.clear()
    account = Handoff(road, lines.append).go(**words)  # type: ignore[arg-type]
    return list(road.events), account, "\n".join(lines)


def why(account: Account, stage: str) -> str:
    return next(passed.reason for passed in account.stages if passed.stage == stage)


def test_stages_run_in_order_and_all_but_the_check_are_passed_over_afterwards(road: ToyRoad) -> None:
    events, account, text = go(road)
    assert (events, account.exit) == (WHOLE, 0)
    assert "accuracy of evaluate of predict of export of train of lr 1" in account.summary
    assert str(road.folder) in account.summary
    assert account.figures == {"accuracy": 0.5}
    assert "train runs: it was not done before" in text
    events, account, text = go(road)
    assert events == ["check"]
    assert "train is passed over: done 20" in text
    assert "inputs unchanged" in why(account, "predict")
    assert "accuracy of" in account.summary


def test_changed_settings_train_anew_and_what_follows_is_made_anew(road: ToyRoad) -> None:
    go(road)
    road.write("settings", "lr 2")
    events, account, _ = go(road)
    assert events == ["check", "train anew", *WHOLE[2:4], "predict anew", *WHOLE[5:]]
    assert why(account, "train").startswith("other settings than on 20")
    assert why(account, "predict").startswith("other served weights than on 20")
    assert road.text("scores").endswith("lr 2")


def test_retraining_to_the_same_weights_passes_the_rest_over(road: ToyRoad) -> None:
    go(road)
    (road.folder / "trained").unlink()
    events, account, _ = go(road)
    assert events == ["check", "train"]
    assert why(account, "train") == "trained is gone"


def test_trained_weights_that_somebody_replaced_are_exported_and_asked(road: ToyRoad) -> None:
    go(road)
    road.write("trained", "train by hand")
    events, account, _ = go(road)
    assert events == ["check", "export", "serve", "predict anew", "stopped", "evaluate"]
    assert "trained was made anew since" in why(account, "train")
    assert road.text("scores").endswith("train by hand")
    assert go(road)[0] == ["check"]


@pytest.mark.parametrize(
    ("stage", "name"), [("export", "served"), ("predict", "answers"), ("evaluate", "scores")]
)
def test_outcome_that_was_edited_does_not_count_as_done(road: ToyRoad, stage: str, name: str) -> None:
    go(road)
    road.write(name, "edited")
    events, account, _ = go(road)
    assert stage in [event.split()[0] for event in events]
    assert f"{name} was changed since" in why(account, stage)
    assert "edited" not in road.text("scores")


def test_again_redoes_a_stage_and_those_after_it(road: ToyRoad) -> None:
    go(road)
    events, account, _ = go(road, again="export")
    assert events == ["check", "export", "serve", "predict anew", "stopped", "evaluate"]
    assert why(account, "predict") == "--again export"


def test_only_and_from_choose_stages(road: ToyRoad) -> None:
    assert go(road, only=("train", "check"))[0] == ["check", "train"]
    assert go(road, start_from="export")[0] == WHOLE[2:]
    assert go(road, only=("evaluate",))[0] == []
    assert go(road, only=("evaluate",), again="predict")[0] == [
        "serve",
        "predict anew",
        "stopped",
        "evaluate",
    ]
    assert go(road, only=("serve",))[0] == ["serve", "stopped"]


def test_words_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UserError, match="Did you mean `train`"):
        chosen((), "tarin", "")
    with pytest.raises(UserError, match="both choose"):
        chosen(("train",), "", "export")
    with pytest.raises(UserError, match="comes before"):
        chosen((), "train", "export")


def test_nodes_but_the_first_check_and_train_with_records_of_their_own(tmp_path: Path) -> None:
    first, second = ToyRoad(tmp_path / "run"), ToyRoad(tmp_path / "run", rank=1)
    go(first)
    assert go(second)[0] == ["check"]  # the shared folder holds the model
    assert go(second, again="train")[0] == ["check", "train anew"]
    assert (tmp_path / "run" / "stages" / "train-1.json").is_file()


def test_model_served_elsewhere_is_asked_every_time_and_nothing_is_trained(tmp_path: Path) -> None:
    road = ToyRoad(tmp_path / "run", elsewhere="http://gpu:8000/v1")
    events, account, _ = go(road)
    assert events == ["check", "serve", "predict", "stopped", "evaluate"]
    assert why(account, "train") == "the model is served at http://gpu:8000/v1"
    events, account, _ = go(road)
    assert events == ["check", "serve", "predict", "stopped"]
    assert why(account, "predict") == "the served weights cannot be known from here"


def test_server_that_ran_already_with_weights_unknown_is_asked_again_next_time(road: ToyRoad) -> None:
    road.has_server, road.server = True, UNKNOWN
    go(road)
    road.has_server = False
    events, account, _ = go(road)
    assert events == ["check", "serve", "predict", "stopped"]
    assert why(account, "predict") == "the served weights cannot be known from here"
    assert go(road)[0] == ["check"]


def test_failure_says_the_stage_why_the_log_and_what_to_type(road: ToyRoad) -> None:
    road.logs.mkdir(parents=True)
    (road.logs / "export-1.log").write_text("merge failed\n")
    road.fails["export"] = UserError("the base model is quantised", remedy="Name another.")
    events, account, _ = go(road)
    assert events == ["check", "train", "export"]
    assert account.exit == Exit.USAGE
    assert account.failure.splitlines() == [
        "export failed: the base model is quantised",
        "  Name another.",
        f"  Log: {road.logs}/export-1.log",
        "  Go on with: datakit handoff build/toy",
    ]
    status = read_status(road.folder)
    assert status is not None
    assert (status.stage, status.state) == ("export", "failed")
    del road.fails["export"]
    events, account, _ = go(road)
    assert events == ["check", *WHOLE[2:]]
    assert why(account, "export").startswith("it ended with exit code 2")


def test_failure_of_a_server_is_told_of_the_server(road: ToyRoad) -> None:
    road.fails["serve"] = UserError("there is no program `vllm`")
    account = go(road)[1]
    assert account.failure.startswith("serve failed: there is no program `vllm`")
    assert account.exit == Exit.USAGE


def test_what_was_done_stays_done_when_doing_it_again_fails_before_it_begins(road: ToyRoad) -> None:
    go(road)
    road.fails["train"] = UserError("no GPU here")
    assert go(road, again="train")[1].exit == Exit.USAGE
    del road.fails["train"]
    assert go(road)[0] == ["check"]


def test_records_left_without_answer_end_the_handoff_with_code_3(
    road: ToyRoad, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(road, "predict", lambda *_, **__: Ended("2 to retry", exit=3))
    events, account, _ = go(road)
    assert events[-1] == "stopped"
    assert account.exit == Exit.PARTIAL
    assert account.failure.startswith("predict is not finished: 2 to retry")
    monkeypatch.undo()
    assert go(road)[0] == ["check", "serve", "predict", "stopped", "evaluate"]


def test_full_disk_is_told_without_a_traceback(road: ToyRoad) -> None:
    road.fails["evaluate"] = OSError(28, "No space left on device", "/runs/evaluation.json")
    account = go(road)[1]
    assert account.exit == Exit.USAGE
    assert "evaluate failed: /runs/evaluation.json: its disk takes no more" in account.failure
    assert "Make room" in account.failure


def test_interrupted_stage_goes_on_from_where_it_was(road: ToyRoad) -> None:
    road.fails["train"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        go(road)
    status = read_status(road.folder)
    assert status is not None
    assert status.state == "interrupted"
    del road.fails["train"]
    events, account, _ = go(road)
    assert events == WHOLE
    assert "did not come to its end" in why(account, "train")


def test_interrupted_stage_with_other_settings_begins_anew(road: ToyRoad) -> None:
    road.fails["train"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        go(road)
    del road.fails["train"]
    road.write("settings", "lr 3")
    assert go(road)[0][1] == "train anew"


KILLED = """\
import sys, time
from pathlib import Path
from datakit.handoff.handoff import Handoff
from tests.support.toy_road import ToyRoad
road = ToyRoad(Path(sys.argv[1]))
def stay():
    Path(sys.argv[1], "inside").touch()
    time.sleep(600)
road.during[sys.argv[2]] = stay
Handoff(road).go()
"""


@pytest.mark.parametrize("stage", ["train", "export", "predict", "evaluate"])
@pytest.mark.fault(
    "the driver of a handoff is killed at a stage (kill -9)",
    "the stages before it are passed over, it runs again, and nothing half-done counts",
    kind="scripts",
)
def test_handoff_killed_at_any_stage_goes_on_there(tmp_path: Path, stage: str) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), stage], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    until((folder / "inside").exists, process)
    running = read_status(folder)
    assert running is not None
    assert (running.stage, running.state, running.pid) == (stage, "running", process.pid)
    process.kill()
    process.communicate()
    status = read_status(folder)
    assert status is not None
    assert (status.stage, status.state) == (stage, "interrupted")
    account = go(ToyRoad(folder))[1]
    assert account.exit == 0
    for name in KEYED[: KEYED.index(stage)]:
        assert "inputs unchanged" in why(account, name)
    assert "did not come to its end" in why(account, stage)


def test_damaged_record_counts_as_none(road: ToyRoad) -> None:
    go(road)
    StageRecords(road.folder).path("predict").write_text("{")
    events, account, _ = go(road)
    assert "predict" in events
    assert why(account, "predict") == "it was not done before"


def test_silent_stage_tells_how_far_it_is(road: ToyRoad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datakit.handoff.heartbeat.FIRST_LINE_S", 0.0)
    monkeypatch.setattr("datakit.handoff.heartbeat.TICK_S", 0.01)
    monkeypatch.setattr("datakit.handoff.heartbeat.WRITE_EVERY_S", 0.0)
    lines: list[str] = []
    road.during["train"] = lambda: until(lambda: any("step 3 of 12, 0:01:30 left" in line for line in lines))
    Handoff(road, lines.append).go(only=("train",))
    log = next(road.logs.glob("handoff-*.log")).read_text()
    assert "train: 0:00:0" in log
    status = read_status(road.folder)
    assert status is not None
    assert (status.step, status.total_steps, status.eta_s, status.state) == (3, 12, 90.0, "done")
    assert time.strftime("%Y") in status.started


def test_stage_that_goes_on_from_something_stale_says_so(road: ToyRoad) -> None:
    go(road)
    road.write("trained", "train by hand")
    events, _, text = go(road, only=("predict",))
    assert events == []
    assert "Note: export is not wanted, and would run: other trained than on 20" in text
    assert "Note" not in go(road, only=("train", "export"))[2]
