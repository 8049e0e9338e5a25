"""run.sh of a bundle: the whole way, on a machine without datakit."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.artifacts import predictions
from datakit.bundling.pack import bundle
from datakit.cli import run
from datakit.handoff import bundle_command, stages
from datakit.handoff.digests import Digests
from datakit.training.run_folder import RunFolder
from tests.support.fake_trainer import calls, release, write_checkpoint
from tests.support.fake_vllm import asked
from tests.support.unpacked import Unpacked, listens, write_python
from tests.support.waiting import until

Make = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]
PAYLOAD = Path(bundle.__code__.co_filename).parent / "payload"


@pytest.fixture
def unpacked(make_build: Make, tmp_path: Path) -> Unpacked:
    return Unpacked(make_build(), tmp_path / "there")


def test_every_stage_runs_and_a_second_call_does_nothing_again(unpacked: Unpacked) -> None:
    done = unpacked.go()
    assert done.returncode == 0, done.stdout + done.stderr
    records = {path.stem for path in (unpacked.run / "stages").iterdir()}
    assert records == {"train", "export", "predict", "evaluate"}
    assert [call["words"][0] for call in calls(unpacked.tools)] == ["train", "export"]
    assert unpacked.evaluation["records"] == len(unpacked.lines) > 0
    questions = len(asked(unpacked.tools))
    again = unpacked.go()
    assert again.returncode == 0, again.stdout + again.stderr
    for stage in records:
        assert f"{stage} is passed over: done" in again.stdout
    assert len(calls(unpacked.tools)) == 2
    assert len(asked(unpacked.tools)) == questions


def test_server_is_stopped_when_the_answers_are_there(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    assert not listens(unpacked.port)


def test_results_are_packed_with_the_command_for_home(unpacked: Unpacked) -> None:
    done = unpacked.go()
    archive = unpacked.folder / "results.tar"
    assert f":{archive} . && datakit evaluate results.tar" in done.stdout
    with tarfile.open(archive) as tar:
        entries = tar.getnames()
        document = json.load(tar.extractfile("results.json"))  # type: ignore[arg-type]
        answers = tar.extractfile(unpacked.answers.name)
        assert answers is not None
        assert answers.read() == unpacked.answers.read_bytes()
    about = json.loads((unpacked.folder / "bundle.json").read_text())
    assert (document["content"], document["run"]) == (about["content"], unpacked.run.name)
    assert {"status.json", "stages/train.json", "trained/trainer_log.jsonl"} <= set(entries)
    assert len(document["weights"]) == 64
    assert not [name for name in entries if name.endswith((".safetensors", ".png", ".jpg", ".webp"))]


def test_results_are_taken_over_by_the_project_at_home(
    unpacked: Unpacked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unpacked.go().returncode == 0
    monkeypatch.chdir(tmp_path)  # build/screens lies there
    assert run(["evaluate", str(unpacked.folder / "results.tar")]) == 0, capsys.readouterr().err
    at_home = tmp_path / "build" / "screens-runs" / unpacked.run.name
    assert (at_home / unpacked.answers.name).read_bytes() == unpacked.answers.read_bytes()
    (scores,) = at_home.glob("evaluation*.json")
    figures = json.loads(scores.read_text("utf-8"))["metrics"]
    assert figures == unpacked.evaluation["metrics"]


def evaluated_at_home(unpacked: Unpacked, capsys: pytest.CaptureFixture[str]) -> str:
    """What `datakit evaluate results.tar` writes to stderr."""
    capsys.readouterr()
    code = run(["evaluate", str(unpacked.folder / "results.tar")])
    error = capsys.readouterr().err
    assert code == 0, error
    return error


@pytest.mark.fault(
    "results come home of a training on another base model (MODEL of a bundle)",
    "they name it, and the evaluation at home warns; the same model in another folder is the same",
    kind="answers",
)
def test_results_of_another_base_model_are_told_at_home(
    unpacked: Unpacked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there" / "models" / "same"
    shutil.copytree(tmp_path / "base", there)
    assert unpacked.go(MODEL=str(there)).returncode == 0
    at_home = RunFolder.of(unpacked.build)
    assert (at_home.data.path / at_home.keys["model_name_or_path"]).is_dir()
    assert "another base model" not in evaluated_at_home(unpacked, capsys)
    config = there / "config.json"
    config.write_text(config.read_text() + "\n")
    assert unpacked.go(MODEL=str(there)).returncode == 0
    assert f"results are of another base model: {there}" in evaluated_at_home(unpacked, capsys)
    looks, look = list[Path](), Digests.model
    monkeypatch.setattr(Digests, "model", lambda self, folder: looks.append(folder) or look(self, folder))
    assert run(["evaluate", str(unpacked.folder / "results.tar"), "--json"]) == 0
    assert len(looks) == 1, "a base model of many GB is read once"
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert warning.startswith(f"these results are of another base model: {there}")


def test_results_of_the_split_train_are_packed_with_the_command_that_scores_it(unpacked: Unpacked) -> None:
    done = unpacked.go(SPLIT="train")
    assert "&& datakit evaluate results.tar --split train\n" in done.stdout


def test_server_that_takes_too_long_is_told_with_the_word_of_the_bundle(unpacked: Unpacked) -> None:
    sleepy = write_python(unpacked.tools / "sleepy", "sleep", "60;")
    done = unpacked.go(VLLM=str(sleepy), SERVE_WAIT_S="1")
    assert done.returncode == 1
    assert "Give it more with --wait (SERVE_WAIT_S)" in done.stderr
    assert "--timeout-s" not in done.stderr


def test_results_are_packed_too_where_some_records_got_no_answer(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_VLLM="refuses:9")
    assert done.returncode in (1, 3), done.stdout + done.stderr
    assert unpacked.go("predict", "evaluate").returncode == 0
    assert (unpacked.folder / "results.tar").is_file()


def test_status_is_told_from_any_terminal(unpacked: Unpacked) -> None:
    before = unpacked.go("--status")
    assert (before.returncode, "No handoff has run" in before.stdout) == (0, True)
    assert unpacked.go().returncode == 0
    state = json.loads(unpacked.go("--status", "--json").stdout)
    assert state["status"]["state"] == "done"
    assert set(state["stages"]) == {"train", "export", "predict", "evaluate"}
    assert "evaluate: done" in unpacked.go("--status").stdout


def test_account_is_json_alone_on_stdout(unpacked: Unpacked) -> None:
    done = unpacked.go("--json")
    account = json.loads(done.stdout)
    assert [entry["stage"] for entry in account["stages"]] == [
        *("check", "train", "export", "predict", "evaluate")
    ]
    assert (
        account["scores"]["metrics"]["accuracy"]["value"]
        == unpacked.evaluation["metrics"]["accuracy"]["value"]
    )
    assert account["results"] == str(unpacked.folder / "results.tar")


@pytest.mark.fault(
    "training is killed while it writes a checkpoint",
    "half-written checkpoints are set aside; training goes on from a whole one",
    kind="signals",
)
def test_killed_training_goes_on_and_half_written_checkpoints_are_set_aside(unpacked: Unpacked) -> None:
    died = unpacked.go("train", FAKE_TRAINER="die:2")
    assert died.returncode == 1
    assert f"Go on with: CPU=1 {unpacked.folder}/run.sh train" in died.stderr.replace(
        f"PORT={unpacked.port} ", ""
    ).replace("SERVE_WAIT_S=60 ", "")
    write_checkpoint(unpacked.run / "trained" / "checkpoint-3", whole=False)
    done = unpacked.go("train")
    assert done.returncode == 0, done.stdout
    assert "checkpoint-3 was only half-written" in done.stdout
    assert len((unpacked.run / "trained" / "trainer_log.jsonl").read_text().splitlines()) == 4


@pytest.mark.fault(
    "run.sh of a bundle is killed (SIGKILL) in the middle",
    "the same command goes on, and no step of the training is made twice",
    kind="signals",
)
def test_killed_command_goes_on(unpacked: Unpacked) -> None:
    process = unpacked.start(FAKE_TRAINER="sleep")
    until(
        lambda: list(unpacked.folder.glob("screens-runs/*/trained/checkpoint-1/trainer_state.json")), process
    )
    process.kill()
    process.communicate()
    _end_trainers(unpacked)
    assert "interrupted" in unpacked.go("--status").stdout
    done = unpacked.go()
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [
        json.loads(line)["current_steps"]
        for line in (unpacked.run / "trained" / "trainer_log.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3, 4]


def test_training_outlives_its_killed_command_and_the_next_one_attaches(unpacked: Unpacked) -> None:
    process = unpacked.start(FAKE_TRAINER="hold")
    until(lambda: list(unpacked.folder.glob("screens-runs/*/trainer.json")), process)
    until(lambda: list(unpacked.folder.glob("screens-runs/*/trained/checkpoint-1")), process)
    process.kill()
    process.communicate()
    following = unpacked.start()
    journals = (unpacked.run / "logs").glob
    until(lambda: any("lready training" in log.read_text() for log in journals("handoff-*")), following)
    release(unpacked.tools)
    out, err = following.communicate(timeout=180)
    assert following.returncode == 0, out + err
    assert [call["words"][0] for call in calls(unpacked.tools)] == ["train", "export"]


def _end_trainers(unpacked: Unpacked) -> None:
    """Ends the toy trainers of this bundle that are alive, as a restart of the machine would."""
    import psutil

    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if str(unpacked.tools / "llamafactory-cli") in words:
            os.kill(process.info["pid"], signal.SIGKILL)
            process.wait(30)


def test_ended_command_ends_its_trainer_and_says_how_to_go_on(unpacked: Unpacked) -> None:
    process = unpacked.start(FAKE_TRAINER="sleep")
    until(lambda: list(unpacked.folder.glob("screens-runs/*/trained/checkpoint-1")), process)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "run the same command to go on" in err
    assert "Traceback" not in err


def test_failing_stage_stops_the_run_with_its_log(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_TRAINER="oom")
    assert done.returncode == 1
    assert "train failed" in done.stderr
    assert "CUDA out of memory" in done.stderr
    assert not (unpacked.run / "served").exists()
    with tarfile.open(unpacked.folder / "results.tar") as tar:  # its log is what they need at home
        assert [name for name in tar.getnames() if name.startswith("logs/train-")]


def test_failure_is_told_where_its_results_cannot_be_packed_too(unpacked: Unpacked) -> None:
    archive = unpacked.folder / "results.tar"
    archive.mkdir()
    done = unpacked.go(FAKE_TRAINER="oom")
    assert done.returncode == 1
    assert "train failed" in done.stderr
    assert "error: results.tar is not written: " in done.stderr
    done = unpacked.go()
    assert done.returncode == 1
    assert "always saying" in done.stdout  # the scores are told all the same
    assert "results.tar is not written" in done.stderr
    archive.rmdir()
    done = unpacked.go()
    assert (done.returncode, archive.is_file()) == (0, True)
    assert "evaluate is passed over" in done.stdout


def test_answers_that_were_cut_off_get_the_room_that_the_call_names(unpacked: Unpacked) -> None:
    assert unpacked.go("--max-answer-tokens", "7").returncode == 0
    assert {body["max_tokens"] for body in asked(unpacked.tools)} == {7}
    done = unpacked.go(MAX_ANSWER_TOKENS="9")
    assert "predict runs: other options than on 20" in done.stdout
    assert asked(unpacked.tools)[-1]["max_tokens"] == 9


def test_model_that_lost_a_tensor_is_not_served(unpacked: Unpacked) -> None:
    done = unpacked.go("train", "export", FAKE_TRAINER="renamed")
    assert done.returncode == 1
    assert "1 tensors are missing" in done.stderr
    assert not (unpacked.run / "served").exists()


def test_server_that_dies_ends_the_run_with_its_last_words(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_VLLM="dies")
    assert done.returncode == 1
    assert "4096" in done.stderr
    assert "Log: " in done.stderr or "log: " in done.stderr


@pytest.mark.fault("a server of another model answers on the port", "it is never asked", kind="answers")
def test_server_of_another_model_on_the_port_is_never_asked(unpacked: Unpacked) -> None:
    assert unpacked.go("train", "export").returncode == 0
    with unpacked.other_server():
        done = unpacked.go("predict")
        early = unpacked.go()
    assert done.returncode == 2
    assert "taken by a server of something else" in done.stderr
    assert early.returncode == 1
    assert "PORT=" in early.stderr
    assert asked(unpacked.tools) == []


@pytest.mark.fault(
    "a bundle's server has other pixels or another chat template than the training",
    "no split is asked: the counts of the first prompt's tokens are told",
    kind="answers",
)
def test_server_with_another_template_is_not_asked(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_PROMPT_TOKENS="7")
    assert done.returncode == 1
    assert "The server counts 7 prompt tokens in record" in done.stderr
    assert f"the training had {unpacked.prompt_tokens:,}" in done.stderr
    assert len(asked(unpacked.tools)) == 1
    assert not unpacked.answers.exists()


def test_server_elsewhere_with_another_template_is_told_once(unpacked: Unpacked) -> None:
    url = f"http://127.0.0.1:{unpacked.port}/v1"
    with unpacked.other_server():  # which counts 10
        done = unpacked.go("predict", BASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Warning: The server counts 10 prompt tokens in record") == 1


def test_server_elsewhere_is_asked_and_nothing_is_trained(unpacked: Unpacked) -> None:
    with unpacked.other_server("/models/mine"):
        done = unpacked.go(
            BASE_URL=f"http://127.0.0.1:{unpacked.port}/v1", TRAINER="/nowhere/llamafactory-cli"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert calls(unpacked.tools) == []
    (answers,) = (unpacked.folder / "screens-runs").glob("x-*/predictions_val_x-*.jsonl")
    assert answers.read_text().count("\n") == len(asked(unpacked.tools)) > 0
    assert (unpacked.folder / "results.tar").is_file()


def test_second_node_trains_and_does_nothing_else(unpacked: Unpacked) -> None:
    place = {"NNODES": "2", "NODE_RANK": "1", "GPUS": "4"}
    assert "MASTER_ADDR" in unpacked.go("train", **place).stderr
    done = unpacked.go(MASTER_ADDR="127.0.0.1", **place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reckoned for 1 GPU, and 8 train" in done.stdout
    (call,) = calls(unpacked.tools)
    assert call["env"] == {
        "FORCE_TORCHRUN": "1",
        "NPROC_PER_NODE": "4",
        "NNODES": "2",
        "NODE_RANK": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }


def test_model_and_further_settings_reach_the_trainer(unpacked: Unpacked) -> None:
    unpacked.go("train", MODEL="org/mine", TRAIN_FLAGS="num_train_epochs=1\n flash_attn=fa2")
    words = calls(unpacked.tools)[0]["words"]
    assert {"model_name_or_path=org/mine", "num_train_epochs=1", "flash_attn=fa2"} <= set(words)


def test_options_say_what_the_variables_say(unpacked: Unpacked) -> None:
    flags = ("--train-flags", "flash_attn=fa2", "--model", "org/mine", "--cpu")
    unpacked.go("train", *flags, MODEL="org/other", CPU="")
    words = calls(unpacked.tools)[0]["words"]
    assert {"model_name_or_path=org/mine", "use_cpu=true", "flash_attn=fa2"} <= set(words)


def test_folder_of_the_base_model_holds_from_where_the_command_is_called(
    unpacked: Unpacked, make_build: Make
) -> None:
    base = unpacked.folder.parent / "base"
    shutil.copytree(unpacked.folder.parent.parent / "base", base)
    done = unpacked.go("train", "export", MODEL="base")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"model_name_or_path={base}" in call["words"] for call in calls(unpacked.tools))


def test_cpu_reaches_every_stage(unpacked: Unpacked) -> None:
    done = unpacked.go(CPU="1", SERVE_FLAGS='--max-num-seqs 8 --limit-mm-per-prompt {"image":3}')
    assert done.returncode == 0, done.stdout + done.stderr
    assert "use_cpu=true" in calls(unpacked.tools)[0]["words"]
    (log,) = unpacked.run.glob("logs/serve-*.log")
    line = log.read_text().splitlines()[0]
    assert "--dtype float32" in line
    assert "--kv-cache-memory-bytes" in line
    assert "--gpu-memory-utilization" not in line
    assert "--max-num-seqs 8" in line
    assert line.count("--limit-mm-per-prompt") == 1
    assert "'{\"image\":3}'" in line


def test_predictions_are_what_datakit_evaluate_reads(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    answers = list(predictions.read(unpacked.answers))
    assert {line.predicted for line in answers} == {"购物车页面"}
    assert all(line.label for line in answers)
    assert len({line.id for line in answers}) == len(answers)


def test_pictures_are_sent_where_they_stand_in_the_prompt(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    body = asked(unpacked.tools)[0]
    assert (body["model"], body["temperature"]) == ("screens", 0)
    user = next(turn for turn in body["messages"] if turn["role"] == "user")
    assert [part["type"] for part in user["content"]] == ["image_url", "text"]
    assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "<image>" not in user["content"][1]["text"]
    assert body["messages"][-1]["role"] == "user"  # the true answer is never sent


def test_model_that_was_trained_anew_is_asked_anew(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    done = unpacked.go("--again", "predict", FAKE_ANSWER="退款页面")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train is passed over" not in done.stdout or len(calls(unpacked.tools)) == 2
    assert {line["predicted"] for line in unpacked.lines} == {"退款页面"}
    assert "Kept: predictions with other answers" in done.stdout


def test_old_words_redo_the_stages_that_they_name(unpacked: Unpacked) -> None:
    assert unpacked.go("train", "export").returncode == 0
    assert unpacked.go("--again", "train", "export").returncode == 0
    assert [call["words"][0] for call in calls(unpacked.tools)] == ["train", "export"] * 2
    assert list(unpacked.run.glob("trained.kept-*"))


def test_failed_questions_are_tried_again(unpacked: Unpacked) -> None:
    done = unpacked.go(FAKE_VLLM="fails:1")
    assert done.returncode == 0, done.stdout
    assert not any(line.get("problem") for line in unpacked.lines)


def test_server_with_a_key_is_started_asked_and_scored(unpacked: Unpacked) -> None:
    key = "sk-bundle-77c1e0"
    done = unpacked.go(VLLM_API_KEY=key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert unpacked.evaluation["metrics"]["accuracy"]
    files = [path for path in unpacked.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if key.encode() in path.read_bytes()]
    assert key not in done.stdout + done.stderr


def test_python_of_the_trainer_is_taken_where_the_usual_one_lacks_packages(unpacked: Unpacked) -> None:
    bare = write_python(unpacked.python, sys.executable, "-I", "-S")
    none = unpacked.go()
    assert none.returncode == 1
    assert f"{sys.executable}: lacks numpy; lacks jinja2; lacks pydantic; lacks pillow" in none.stderr
    assert "FAULT    Python" in none.stdout
    write_python(unpacked.tools / "python3")
    done = unpacked.go()
    assert done.returncode == 0, done.stdout + done.stderr
    told = unpacked.go(PYTHON=str(bare))
    assert told.returncode == 1  # what was named is never replaced
    status = unpacked.go("--status", TRAINER="/nowhere/llamafactory-cli", VLLM="/nowhere/vllm")
    assert (status.returncode, "Run: " in status.stdout) == (0, True), status.stderr


@pytest.mark.fault(
    "files of a bundle are missing or damaged before anything has started",
    "each command says which, and to unpack it again; never a traceback",
    kind="folders",
)
@pytest.mark.parametrize("file", ["bundle.json", "screens/packed.json", "SHA256SUMS", "screens/emitted.json"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff"])
def test_damaged_bundle_is_told(make_build: Make, tmp_path: Path, file: str, content: bytes | None) -> None:
    unpacked = Unpacked(make_build(), tmp_path / "there")
    path = unpacked.folder / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for words in (["doctor"], []):
        done = unpacked.go(*words)
        assert done.returncode in (1, 2), (words, done.stdout)
        assert path.name in done.stdout + done.stderr
    assert [call for call in calls(unpacked.tools) if call["words"] != ["version"]] == []


@pytest.mark.fault(
    "a configuration of a bundle is edited after its training, and stages are called without the check",
    "nothing runs: the file is named, and how settings are changed",
    kind="inputs changed",
)
def test_edited_configuration_is_told_by_stages_without_the_check(make_build: Make, tmp_path: Path) -> None:
    unpacked = Unpacked(make_build(deepspeed="z2"), tmp_path / "there")
    assert unpacked.go("train", "export").returncode == 0
    names = ("train.yaml", "export.yaml", "dataset_info.json", "deepspeed_z2.json", "emitted.json")
    packed = {path: path.read_bytes() for path in (unpacked.folder / "screens" / name for name in names)}

    first, others = tuple(packed)[:3], tuple(packed)[3:]  # three are named at once

    def edit(*paths: Path) -> None:
        for path, content in packed.items():
            path.write_bytes(content.replace(b"1", b"2") + b"\n" if path in paths else content)

    for paths, words in (
        *(((path,), ["train"]) for path in packed),
        *((some, ["--only", "export"]) for some in (first, others)),
        *((some, ["--from", "export"]) for some in (first, others)),
    ):
        edit(*paths)
        done = unpacked.go(*words)
        assert done.returncode == 2, (paths, words, done.stdout + done.stderr)
        for path in paths:
            assert f"screens/{path.name} was changed since the bundle was packed" in done.stderr, words
        assert "TRAIN_FLAGS" in done.stderr
    edit()
    assert "train is passed over" in unpacked.go("train").stdout
    assert [call["words"][0] for call in calls(unpacked.tools)] == ["train", "export"]


@pytest.mark.fault(
    "a bundle that was trained is called with another number of GPUs",
    "it is trained anew: each step has other rows; the same number passes over",
    kind="inputs changed",
)
def test_training_on_another_number_of_gpus_is_another_one(unpacked: Unpacked) -> None:
    assert unpacked.go("train").returncode == 0
    assert "train is passed over" in unpacked.go("train", GPUS="1").stdout
    done = unpacked.go("train", GPUS="2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train runs: other number of GPUs than on" in done.stdout
    assert "What was trained before is kept" in done.stdout
    assert "train is passed over" in unpacked.go("train", GPUS="2").stdout
    assert "train runs: other number of GPUs than on" in unpacked.go("train").stdout
    assert len(calls(unpacked.tools)) == 3


@pytest.mark.parametrize("with_sums", [False, True], ids=["as packed", "sums made anew"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "the split val has no records"),
        ("[1]", "screens_val.json:1"),
        ("[\n3\n]", "screens_val.json:2"),
        ('[\n{"messages": []}\n]', "row 1 of the split val"),
        ('[\n{"id": "a", "messages": [1]}\n]', "has no messages"),
        ('[\n{"id": "a", "messages": [{"content": "b"}], "images": 3}\n]', "no names of files"),
    ],
)
def test_damaged_rows_are_told_by_stages_without_the_check(
    make_build: Make, tmp_path: Path, content: str, words: str, with_sums: bool
) -> None:
    unpacked = Unpacked(make_build(), tmp_path / "there")
    file = unpacked.folder / "screens" / "screens_val.json"
    file.write_text(content)
    if with_sums:
        sums = unpacked.folder / "SHA256SUMS"
        others = [line for line in sums.read_text().splitlines() if not line.endswith(file.name)]
        line = f"{hashlib.sha256(content.encode()).hexdigest()}  screens/{file.name}"
        sums.write_text("\n".join([*others, line, ""]))
    with unpacked.other_server():
        done = unpacked.go("predict", "evaluate", BASE_URL=f"http://127.0.0.1:{unpacked.port}/v1")
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert (words if with_sums else "screens/screens_val.json was changed since") in done.stderr


def test_no_python_at_all_is_told_with_those_that_were_tried(unpacked: Unpacked) -> None:
    done = unpacked.go(PYTHON="/nowhere/python")
    assert done.returncode == 1
    assert "tried:\n  /nowhere/python is no program here" in done.stderr
    assert "PYTHON=" in done.stderr


@pytest.mark.fault("other users of the machine", "cannot read the logs of a run", kind="secrets")
def test_logs_are_readable_by_their_owner_only(unpacked: Unpacked) -> None:
    assert unpacked.go().returncode == 0
    logs = list((unpacked.run / "logs").iterdir())
    assert {log.name.split("-")[0] for log in logs} == {"handoff", "train", "export", "serve"}
    assert {log.stat().st_mode & 0o777 for log in logs} == {0o600}


@pytest.mark.parametrize(
    ("words", "environment", "told"),
    [
        (["tarin"], {}, "no stage `tarin`"),
        (["--again", "predcit"], {}, "Did you mean `predict`?"),
        ([], {"PORT": "eight"}, "--port or PORT is 'eight'"),
        ([], {"GPUS": "two"}, "--gpus or GPUS is 'two'"),
        ([], {"MAX_ANSWER_TOKENS": "all"}, "--max-answer-tokens or MAX_ANSWER_TOKENS is 'all'"),
        ([], {"SPLIT": "test"}, "SPLIT is val or train"),
        (["doctor", "train"], {}, "the doctor comes alone"),
        ([], {"BASE_URL": "gpu-1:8000"}, "no address of a server"),
    ],
)
def test_wrong_words_and_settings_are_told_before_anything_starts(
    unpacked: Unpacked, words: list[str], environment: dict[str, str], told: str
) -> None:
    done = unpacked.go(*words, **environment)
    assert told in done.stderr
    assert done.returncode in (2, 5)
    assert calls(unpacked.tools) == []


def test_help_names_every_stage_option_and_variable(unpacked: Unpacked) -> None:
    done = unpacked.go("--help")
    assert done.returncode == 0
    for option, (variable, _) in bundle_command.OPTIONS.items():
        assert f"--{option} {variable}" in done.stdout
    for word in (*stages.STAGES, "doctor", "--again", "--status", "CPU=1", "VLLM_API_KEY"):
        assert word in done.stdout
    assert bundle_command.STAGES == stages.STAGES


@pytest.mark.clean_install
@pytest.mark.fault(
    "a machine with a bundle, Python 3.10, four packages and nothing of datakit",
    "every stage runs there, and goes on after it was killed",
    kind="dependencies",
)
def test_every_stage_runs_on_python_3_10_with_four_packages(
    make_build: Make, tmp_path: Path, bare_python_3_10: Path
) -> None:
    unpacked = Unpacked(make_build(), tmp_path / "there", bare_python_3_10)
    doctor = unpacked.go("doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "Python: 3.10" in doctor.stdout
    process = unpacked.start(FAKE_TRAINER="sleep")
    until(
        lambda: list(unpacked.folder.glob("screens-runs/*/trained/checkpoint-1/trainer_state.json")), process
    )
    process.kill()
    process.communicate()
    _end_trainers(unpacked)
    done = unpacked.go()
    assert done.returncode == 0, done.stdout + done.stderr
    assert unpacked.evaluation["records"] == len(unpacked.lines)
    assert (unpacked.folder / "results.tar").is_file()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_are_clean_by_shellcheck() -> None:
    scripts = [*ROOT.glob("scripts/*.sh"), *PAYLOAD.glob("*.sh")]
    assert len(scripts) >= 3
    subprocess.run(["shellcheck", *map(str, scripts)], check=True, cwd=ROOT)


def test_scripts_are_whole_by_bash() -> None:
    for script in (*ROOT.glob("scripts/*.sh"), *PAYLOAD.glob("*.sh")):
        assert os.access(script, os.X_OK), script
        subprocess.run(["bash", "-n", str(script)], check=True)
