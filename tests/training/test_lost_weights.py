"""A trainer that leaves a checkpoint's weights out says so in its log alone: its training is no green end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datakit.core.errors import Exit
from datakit.training.launch import Place, Trained, train
from datakit.training.logged_call import TrainerFailed
from datakit.training.lost_weights import LoadedLog
from datakit.training.machine_check import check_machine
from datakit.training.run_folder import RunFolder, checkpoints
from datakit.training.trainer_process import TrainerProcess
from tests.support.fake_trainer import LEFT_OUT, calls

Make = Callable[..., Path]
RUNNING = "***** Running training *****\n"
HIDDEN = LEFT_OUT.format(["model.visual.patch_embed.proj.weight", "lm_head.weight"])


def trained(run: RunFolder) -> tuple[Trained, str]:
    said: list[str] = []
    return train(run, Place(cpu=True), said.append, check_machine=check_machine), "\n".join(said)


@pytest.fixture
def killed(make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run whose training was killed behind checkpoint-2."""
    run = RunFolder.of(make_build())
    monkeypatch.setenv("FAKE_TRAINER", "die:2")
    with pytest.raises(TrainerFailed):
        trained(run)
    return run


@pytest.mark.fault(
    "the trainer goes on from a checkpoint and leaves weights out, which it says in its log alone",
    "the training is ended with an error that names what was lost, and the next start sets aside its work",
    kind="processes",
)
@pytest.mark.parametrize("how", ["lost", "lost:hold"], ids=["to its end", "while it trains"])
def test_training_that_lost_its_checkpoints_weights_ends_and_is_made_again(
    killed: RunFolder, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("FAKE_TRAINER", how)
    with pytest.raises(TrainerFailed, match="without its weights: 2 of the model's tensors") as caught:
        trained(killed)
    words = str(caught.value)
    assert caught.value.exit_code == Exit.FAILED
    assert "model.visual.patch_embed.proj.weight" in words
    assert "The checkpoint itself is whole" in words
    assert "/logs/train-" in words
    training = TrainerProcess.read(killed.folder, 0)
    assert training is not None
    assert training.living() == []
    monkeypatch.setenv("FAKE_TRAINER", "")
    done, said = trained(killed)
    assert (done.resumed_from, done.steps, done.already) == ("checkpoint-2", 4, False)
    assert "checkpoint-3 comes of a training that had lost its weights" in said
    assert [path.name for path in checkpoints(killed.trained)[0]] == [
        f"checkpoint-{at}" for at in range(1, 5)
    ]
    done, said = trained(killed)
    assert done.already
    assert "had lost its weights" not in said  # the checkpoints of the second start are right


def test_training_that_lost_its_weights_unseen_is_told_by_who_attaches(
    killed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its driver was killed before the warning, and another follows it."""
    from datakit.training import supervise

    monkeypatch.setenv("FAKE_TRAINER", "lost:hold")

    def dies(run: RunFolder, say: object, has_ended: Callable[[], bool]) -> None:
        raise HungUp

    with monkeypatch.context() as driver:
        driver.setattr(supervise, "_follow", dies)
        driver.setattr(supervise.TrainerProcess, "end", lambda training: None)
        with pytest.raises(HungUp):
            trained(killed)
    with pytest.raises(TrainerFailed, match="without its weights"):
        trained(killed)
    training = TrainerProcess.read(killed.folder, 0)
    assert training is not None
    assert training.living() == []


class HungUp(BaseException):
    """A driver is gone."""


@pytest.mark.parametrize(
    ("log", "resumed", "best"),
    [
        (HIDDEN + "\n", 2, 0),
        (HIDDEN, 0, 0),  # the line is not at its end
        (f"  0%|  | 0/4\r{HIDDEN}\n", 2, 0),
        (HIDDEN[:-20] + "\nanother process\n", 1, 0),  # two processes wrote at once
        (f"{HIDDEN}\n{RUNNING}{HIDDEN}\n", 2, 2),
        (f"{RUNNING}{HIDDEN}\n", 0, 2),
        (f"{{'loss': 1.5, 'epoch': 1}}\n{HIDDEN}\n", 0, 2),
        (LEFT_OUT.format(["lm_head.weight"]) + "\n", 0, 0),  # tied: saved once, under the other name
        ("There were unexpected keys in the checkpoint model loaded: ['a'].\n", 0, 0),
        ("\xff\n", 0, 0),
        ("", 0, 0),
    ],
)
def test_log_tells_what_was_left_out_and_when(tmp_path: Path, log: str, resumed: int, best: int) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(log.encode("latin-1"))
    loaded = LoadedLog(path).look()
    assert (len(loaded.resumed), len(loaded.best)) == (resumed, best)


def test_log_that_grows_is_read_on_from_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    loaded = LoadedLog(path)
    assert loaded.look().resumed == []  # it is not there yet
    for at in range(0, len(HIDDEN), 7):
        with open(path, "a") as file:
            file.write(HIDDEN[at : at + 7])
        assert loaded.look().resumed == []
    with open(path, "a") as file:
        file.write("\n")
    assert len(loaded.look().resumed) == 2
    assert len(loaded.look().resumed) == 2


@pytest.mark.fault(
    "the trainer cannot load the best checkpoint at the end of a training, which it says in its log alone",
    "the best checkpoint's weights stand in the model's place, and the command says so",
    kind="processes",
)
def test_best_checkpoint_is_the_model_where_the_trainer_could_not_load_it(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.of(make_build())
    monkeypatch.setenv("FAKE_TRAINER", "last")
    _, said = trained(run)
    assert "could not load the best checkpoint at its end. The model has checkpoint-2's weights" in said
    own, best = (
        (place / "model.safetensors").read_bytes() for place in (run.trained, run.trained / "checkpoint-2")
    )
    assert own == best
    assert bytes(range(16)) in own
    shutil.rmtree(run.trained / "checkpoint-2")  # of no use any more: it was taken
    done, said = trained(run)
    assert done.already
    assert "could not load" not in said


def test_best_checkpoint_that_is_gone_is_no_green_end(
    make_build: Make, trainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datakit.training import launch

    run = RunFolder.of(make_build())
    monkeypatch.setenv("FAKE_TRAINER", "last")
    with monkeypatch.context() as killed_before:
        killed_before.setattr(launch, "keep_best", lambda run, log, say: None)
        trained(run)
    shutil.rmtree(run.trained / "checkpoint-2")
    with pytest.raises(TrainerFailed, match="that one is gone"):
        trained(run)
    assert len(calls(trainer.parent)) == 1
