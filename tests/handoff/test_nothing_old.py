"""Nothing old passes for new: what was begun, loaded or exported with something else is told from it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import yaml

from datakit.artifacts import predictions
from tests.handoff.conftest import Home
from tests.handoff.test_home import ALL
from tests.handoff.test_kills import start, stepping
from tests.handoff.test_servers import served
from tests.support.fake_trainer import release, write_model
from tests.support.served import ROOT
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


@pytest.mark.fault(
    "a call with other settings is refused while a training without its driver is alive",
    "the training stays that of its own settings: their command attaches, and takes it when it has ended",
    kind="inputs changed",
)
@pytest.mark.parametrize("ends_before", [False, True], ids=["attached to", "ended meanwhile"])
def test_refused_call_leaves_a_living_training_to_those_who_began_it(home: Home, ends_before: bool) -> None:
    driver = start(home, FAKE_TRAINER="hold")
    until(lambda: stepping(home), driver)
    driver.kill()
    driver.communicate()
    settings = (home.build / "train.yaml").read_bytes()
    edit_rate(home)
    assert home.go("--only", "train") == 2
    assert "this run is training" in home.output
    assert home.go("--only", "train", "--again", "train") == 2
    (home.build / "train.yaml").write_bytes(settings)
    if ends_before:
        release(home.trainer.parent)
        until(home.run.finished, within_s=120)
    else:
        threading.Timer(3, release, [home.trainer.parent]).start()
    assert home.go("--only", "train") == 0, home.output
    assert home.trainings() == ["train"]
    assert home.ran("--only", "train") == []


@pytest.mark.fault(
    "a call with other settings fails before it has touched an interrupted training",
    "the next call with the settings of the checkpoints goes on from them",
    kind="inputs changed",
)
def test_call_that_failed_before_it_began_leaves_the_checkpoints_to_their_settings(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", "die:2")
    assert home.go("--only", "train") == 1
    monkeypatch.delenv("FAKE_TRAINER")
    settings = (home.build / "train.yaml").read_bytes()
    edit_rate(home)
    assert home.go("--only", "train", "--python", "/nowhere/python") == 2
    (home.build / "train.yaml").write_bytes(settings)
    assert home.go("--only", "train") == 0, home.output
    assert "Going on from checkpoint-" in home.output
    assert "What was trained before is kept" not in home.output


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


def edit_index(home: Home, entry: str, **keys: object) -> None:
    """Other keys of an entry in dataset_info.json."""
    file = home.build / "dataset_info.json"
    index = json.loads(file.read_text("utf-8"))
    index[entry].update(keys)
    file.write_text(json.dumps(index), "utf-8")


@pytest.mark.fault(
    "dataset_info.json of a build is edited after its training",
    "the training is that of other data; an entry that names another file than the build wrote is told",
    kind="inputs changed",
)
def test_training_of_an_edited_index_is_another_one(home: Home) -> None:
    assert home.ran() == ALL
    packed = (home.build / "dataset_info.json").read_bytes()
    edit_index(home, "screens_train", num_samples=2)
    account = home.account("--only", "train")
    assert account["stages"][0]["reason"].startswith("other training data than on 20")
    assert home.ran("--only", "train") == []
    shutil.copy(home.build / "screens_val.json", home.build / "other.json")
    edit_index(home, "screens_train", file_name="other.json")
    assert home.go("check", "train") == 0, home.output
    assert "dataset_info.json names other.json for `screens_train`" in home.output
    assert "other training data than on" in home.output
    shutil.copy(home.build / "screens_train.json", home.build / "other.json")
    assert home.ran("--only", "train") == ["train"]
    (home.build / "dataset_info.json").write_bytes(packed)
    assert home.ran("--only", "train") == ["train"]


def test_index_that_was_only_written_again_is_the_same(home: Home) -> None:
    assert home.ran() == ALL
    file = home.build / "dataset_info.json"
    file.write_bytes(file.read_bytes())
    assert home.ran() == ["check"]


def test_model_exported_from_something_else_is_not_taken_by_its_date(home: Home) -> None:
    from datakit.cli import run

    assert run(["train", str(home.build), "--cpu"]) == run(["export", str(home.build)]) == 0
    retrained(home)
    old = os.stat(home.run.served / "config.json").st_mtime - 3600
    for path in Path(home.run.trained).glob("*.safetensors"):
        os.utime(path, (old, old))
    home.capsys.readouterr()
    assert "export" in home.ran()


def serve_with(home: Home, **flags: object) -> None:
    """Flags of the server in the build's `serve:` section, in place of those before."""
    file = home.build / "recipe.yaml"
    recipe = yaml.safe_load(file.read_text("utf-8"))
    recipe["serve"] = {"flags": {name.replace("_", "-"): value for name, value in flags.items()}}
    file.write_text(yaml.safe_dump(recipe, allow_unicode=True), "utf-8")


@pytest.mark.fault(
    "a flag of the server that changes answers is edited after they were given",
    "everything is asked anew, and answers of an unfinished run with the other flag are not taken",
    kind="answers",
)
@pytest.mark.parametrize(
    "flags", [{"dtype": "bfloat16"}, {"quantization": "fp8"}, {"max_model_len": 4096}, {"seed": 7}], ids=str
)
def test_answers_of_a_server_with_other_flags_are_not_those_of_this_one(
    home: Home, flags: dict[str, object]
) -> None:
    assert home.ran() == ALL
    serve_with(home, **flags)
    account = home.account()
    assert [stage["stage"] for stage in account["stages"] if stage["ran"]] == ["check", "predict", "evaluate"]
    assert account["stages"][3]["reason"].startswith("other serving than on 20")
    assert home.ran() == ["check"]


@pytest.mark.parametrize(
    "flags", [{"max_num_seqs": 4}, {"enforce_eager": True}, {"gpu_memory_utilization": 0.5}], ids=str
)
def test_flags_of_the_machine_alone_leave_the_answers_as_they_are(
    home: Home, flags: dict[str, object]
) -> None:
    assert home.ran() == ALL
    serve_with(home, **flags)
    assert home.ran() == ["check"]


def test_unfinished_answers_of_a_server_with_other_flags_are_not_mixed_in(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM", "breaks:3")
    monkeypatch.setenv("FAKE_ANSWER", "店铺页面")
    assert home.account("--split", "train")["exit"] == 3
    monkeypatch.delenv("FAKE_VLLM")
    monkeypatch.setenv("FAKE_ANSWER", "购物车页面")
    serve_with(home, dtype="bfloat16")
    account = home.account("--split", "train")
    assert (account["exit"], account["stages"][3]["figures"]["resumed"]) == (0, 0)
    assert predicted(Path(account["stages"][3]["figures"]["out"])) == {"购物车页面"}


def predicted(file: Path) -> set[str | None]:
    return {prediction.predicted for prediction in predictions.read(file)}


def interrupted_elsewhere(home: Home, monkeypatch: pytest.MonkeyPatch, **environment: str) -> None:
    """A server elsewhere answered three questions of `--split train` with another label than later ones."""
    first = {"FAKE_VLLM": "breaks:3", "FAKE_ANSWER": "店铺页面", **environment}
    with served(home, "/models/theirs", **first):
        assert home.go("--base-url", url(home), "--split", "train") == 3, home.output


def url(home: Home) -> str:
    return f"http://127.0.0.1:{home.port}/v1"


@pytest.mark.fault(
    "a server at a given address has another model than when a part of the records was asked",
    "by root, names or time of making it is told, and every record is asked anew",
    kind="answers",
)
@pytest.mark.parametrize(
    ("root", "environment"),
    [
        ("/models/others", {"FAKE_CREATED": "1700000000"}),
        ("/models/theirs", {"FAKE_CREATED": "1700000001"}),
        ("/models/theirs", {"FAKE_CREATED": "1700000000", "FAKE_NAMES": "latest"}),
    ],
    ids=["root", "created", "names"],
)
def test_answers_of_another_model_at_the_same_address_are_not_mixed(
    home: Home, monkeypatch: pytest.MonkeyPatch, root: str, environment: dict[str, str]
) -> None:
    interrupted_elsewhere(home, monkeypatch, FAKE_CREATED="1700000000")
    words = ("--base-url", url(home), "--split", "train", "--model", "theirs")
    with served(home, root, **environment):
        account = home.account(*words)
    figures = account["stages"][3]["figures"]
    assert (account["exit"], figures["resumed"]) == (0, 0)
    assert predicted(Path(figures["out"])) == {"购物车页面"}


def test_answers_of_a_server_that_has_the_same_model_by_its_date_are_gone_on_from_without_a_word(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_elsewhere(home, monkeypatch, FAKE_CREATED="1700000000")
    with served(home, "/models/theirs", FAKE_CREATED="1700000000"):
        assert home.go("--base-url", url(home), "--split", "train") == 0
    assert "3 from an earlier run" in home.output
    assert "cannot be known: it says" not in home.output


@pytest.mark.fault(
    "answers are gone on from at a server that says nothing by which other weights would show, as vLLM",
    "output, account and status say how many may be of other weights, and how to ask anew",
    kind="answers",
)
def test_answers_that_may_be_of_other_weights_are_named_in_output_and_status(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_elsewhere(home, monkeypatch)
    words = ("--base-url", url(home), "--split", "train")
    doubt = "3 answers are from an earlier run, and whether the server had the same weights then cannot be"
    with served(home, "/models/theirs"):
        assert home.go(*words) == 0
        assert doubt in home.output
        assert "--again predict" in home.output
        assert home.go("--status") == 0
        assert f"Note on predict_train: {doubt}" in home.output
        account = home.account(*words, "--again", "predict")
    assert account["stages"][3]["figures"]["resumed"] == 0
    assert home.go("--status") == 0
    assert doubt not in home.output


def test_answers_of_another_server_that_lie_there_unfinished_are_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_elsewhere(home, monkeypatch, FAKE_CREATED="1700000000")
    with served(home, "/models/theirs", FAKE_CREATED="1700000001"):
        assert home.go("--base-url", url(home), "--split", "train") == 0
    assert "Not gone on from: unfinished answers of another server" in home.output


def test_sources_whose_names_differ_by_a_sign_have_records_of_their_own(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = min((ROOT / "examples" / "ecom" / "images").iterdir())
    for folder in ("a/new", "a-new", "b/new", "run-2", "train_"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(picture, tmp_path / folder)
        assert home.go("--split", folder) == 0, home.output
    for folder in ("a/new", "a-new", "b/new", "run-2", "train_"):
        assert home.ran("--split", folder) == ["check"], folder
    assert home.go("--status") == 0
    stages = {line.partition(":")[0] for line in home.output.splitlines()}
    assert {"predict_new", "predict_a-new", "predict_run-2"} <= stages


def test_record_of_an_earlier_version_still_says_that_its_source_was_asked(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "new").mkdir(parents=True)
    shutil.copy(min((ROOT / "examples" / "ecom" / "images").iterdir()), tmp_path / "a" / "new")
    assert home.go("--split", "a/new") == 0, home.output
    records = home.run.folder / "stages"
    for stage in ("predict", "evaluate"):
        (records / f"{stage}_new.json").rename(records / f"{stage}_a-new.json")
    assert home.ran("--split", "a/new") == ["check"]
