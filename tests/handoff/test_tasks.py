"""A handoff of several tasks: one training of all, and the questions and scores of the task that is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.core.errors import UserError
from datakit.handoff.from_build import HomeRoad
from datakit.library import build
from tests.support.task_builds import moods, project, topics


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(tmp_path_factory.mktemp("handed_both")), card=False).folder


def test_each_task_is_asked_about_its_own_records_in_one_run(both: Path) -> None:
    roads = {task: HomeRoad(both, command="datakit handoff", task=task) for task in ("topics", "moods")}
    asked = {task: {item.id for item in road.items()} for task, road in roads.items()}
    assert asked["topics"] <= {row["id"] for row in topics()}
    assert asked["moods"] <= {row["id"] for row in moods()}
    assert all(asked.values())
    assert len({road.folder for road in roads.values()}) == 1
    assert len({road.run.folder for road in roads.values()}) == 1
    assert len({road.prompts() for road in roads.values()}) == 2
    places = [road.answers.parts[-3] for road in roads.values()]
    assert places == ["both.topics-runs", "both.moods-runs"]
    assert {road.answers.parent.name for road in roads.values()} == {roads["moods"].folder.name}


def test_a_handoff_of_tasks_without_a_name_says_which_there_are(both: Path) -> None:
    with pytest.raises(UserError, match="2 tasks") as error:
        HomeRoad(both, command="datakit handoff")
    assert "--task topics" in error.value.remedy


def test_the_data_that_are_trained_are_those_of_all_tasks(both: Path) -> None:
    road = HomeRoad(both, command="datakit handoff", task="moods")
    assert road.build.path == both
    assert {row["id"] for row in road.build.rows("train", "val")} == {
        row["id"] for row in (*topics(), *moods())
    }
