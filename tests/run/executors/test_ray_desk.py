"""What an actor asks the driver for: pictures that its node does not have, leases, money. Needs no Ray."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datakit.annotate.image_facts import ImageFacts
from datakit.core import copied_files
from datakit.core.errors import BudgetSpent
from datakit.core.outcome import Done, Rejected, Retry
from datakit.core.settings import RunSettings
from datakit.core.step_context import StepContext
from datakit.core.sub_results import QUESTION
from datakit.run.executors import ray_office
from datakit.run.executors.base import Job
from datakit.run.executors.ray_actor import Actor, Letter, Setup, versions
from datakit.run.executors.ray_desk import SentJob
from datakit.run.executors.ray_office import Office

Q = bytes(range(16))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An actor in this process: what it takes from its environment comes back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def actor(here: None, make_context: Callable[..., StepContext]) -> Actor:
    """An actor that reads pictures."""
    work = pickle.dumps((ImageFacts(), {"": make_context(run=RunSettings(executor="ray"))}))
    actor = Actor()
    assert actor.start(Setup(versions(), work, 0, (), (), ()), {})[1] is None
    return actor


def letters(actor: Actor) -> list[Letter]:
    while True:
        if found := actor.letters().letters:
            return found


def picture(path: Path, colour: int) -> tuple[bytes, str]:
    Image.new("RGB", (64, 96), (colour, 20, 90)).save(path)
    return path.read_bytes(), hashlib.sha256(path.read_bytes()).hexdigest()


def answered(actor: Actor, office: Office, job: SentJob) -> tuple[Any, list[str]]:
    """What becomes of a job, and what the actor asked for meanwhile."""
    asked = []
    threading.Thread(target=actor.begin, args=([job],), daemon=True).start()
    while True:
        for letter in letters(actor):
            if letter.kind == "outcome":
                return letter.values[1], asked
            asked.append(letter.kind)
            office.read(1, letter)
            actor.reply(office.replies.pop(1))


def job_of(path: Path, digest: str) -> SentJob:
    return SentJob(Job(b"k", {"id": "a", "images": [str(path)]}), {str(path): digest})


def test_picture_that_the_node_sees_is_read_there(
    actor: Actor, tmp_path: Path, make_context: Callable[..., StepContext]
) -> None:
    _, digest = picture(tmp_path / "a.png", 1)
    outcome, asked = answered(actor, Office(make_context()), job_of(tmp_path / "a.png", digest))
    assert outcome.raw[0]["sha256"] == digest
    assert asked == []


@pytest.mark.parametrize("other", [False, True], ids=["missing", "of another content"])
def test_picture_that_the_node_lacks_travels_and_gives_the_same(
    actor: Actor,
    tmp_path: Path,
    make_context: Callable[..., StepContext],
    monkeypatch: pytest.MonkeyPatch,
    other: bool,
) -> None:
    """The path leads nowhere on the actor's machine, or to another picture; the driver has the bytes."""
    data, digest = picture(tmp_path / "a.png", 1)
    os.remove(tmp_path / "a.png")
    if other:
        picture(tmp_path / "a.png", 2)
    monkeypatch.setattr(ray_office, "_picture", lambda _: data)
    outcome, asked = answered(actor, Office(make_context()), job_of(tmp_path / "a.png", digest))
    assert isinstance(outcome, Done)
    assert outcome.raw[0]["sha256"] == digest
    assert asked == ["picture"]
    assert copied_files.at_hand(str(tmp_path / "a.png")) == str(tmp_path / "a.png"), "the copy is still held"


@pytest.mark.fault(
    "a Ray node does not see a picture that is too large to be sent, or is gone",
    "the record is left to the next run, with the path and what to do; it is not called missing",
    kind="bounds",
)
@pytest.mark.parametrize("most", [10, 1 << 20], ids=["too large", "gone"])
def test_picture_that_cannot_travel_is_told(
    actor: Actor,
    tmp_path: Path,
    make_context: Callable[..., StepContext],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
) -> None:
    monkeypatch.setattr(ray_office, "MOST_PICTURE_BYTES", most)
    if most == 10:
        picture(tmp_path / "a.png", 1)
    outcome, _ = answered(actor, Office(make_context()), job_of(tmp_path / "a.png", "of another content"))
    assert isinstance(outcome, Retry)
    assert outcome.reason == "image_not_here"
    assert str(tmp_path / "a.png") in outcome.detail


def test_missing_picture_is_the_same_finding_as_on_one_machine(
    actor: Actor, tmp_path: Path, make_context: Callable[..., StepContext]
) -> None:
    job = SentJob(Job(b"k", {"id": "a", "images": [str(tmp_path / "none.png")]}), {})
    outcome, _ = answered(actor, Office(make_context()), job)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_missing"


@pytest.mark.fault(
    "credentials in the environment of a Ray node",
    "steps that need none do not see them",
    kind="secrets",
)
def test_actor_of_work_on_the_machine_has_no_credentials(
    here: None, make_context: Callable[..., StepContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-node")
    work = pickle.dumps((ImageFacts(), {"": make_context()}))
    Actor().start(Setup(versions(), work, 0, (), (), ()), {})
    assert "OPENAI_API_KEY" not in os.environ


def test_question_is_one_actors_until_its_answer_is_stored(make_context: Callable[..., StepContext]) -> None:
    office = Office(make_context())

    def take(actor: int) -> bool:
        office.read(actor, Letter("take", (Q,), 7))
        [(_, mine)] = office.replies.pop(actor)
        return bool(mine)

    assert take(1)
    assert not take(2)
    office.read(1, Letter("answered", (Q,)))
    assert not take(2), "the answer is not in the store yet"
    office.stored([Done("an answer", {QUESTION: Q.hex()})])
    assert take(2)
    office.bury(2)
    assert take(1), "a lost actor asks nothing"


def test_budget_is_one_for_all_and_a_lost_actors_calls_count_as_spent(
    make_context: Callable[..., StepContext],
) -> None:
    context = make_context(run=RunSettings(budget_usd=1.0))
    office = Office(context)
    office.read(1, Letter("reserve", (0.6,), 1))
    office.read(2, Letter("reserve", (0.6,), 1))
    assert office.replies.pop(1) == [(1, None)]
    assert 2 not in office.replies, "it waits for the first to be settled"
    office.read(1, Letter("settle", (0.6, 0.2)))
    assert office.replies.pop(2) == [(1, None)]
    office.bury(2)
    assert context.budget.spent_usd == pytest.approx(0.8)
    office.read(1, Letter("reserve", (0.6,), 2))
    [(_, refused)] = office.replies.pop(1)
    assert isinstance(refused, BudgetSpent)
