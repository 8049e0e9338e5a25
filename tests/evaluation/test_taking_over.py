"""Results of another machine: taken over whole, into a run of their own, and of their own build alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from datakit.artifacts.build_folder import BuildFolder
from datakit.artifacts.results import write_results
from datakit.core.errors import UserError
from datakit.evaluation.taking_over import BROUGHT, build_of, take_over
from datakit.library import build as build_recipe
from tests.support.evaluated_builds import (
    Change,
    every_fifth_wrong,
    make_build,
    make_project,
    right,
    write_answers,
)


@pytest.fixture
def build(tmp_path: Path) -> BuildFolder:
    return BuildFolder.open(make_build(make_project(tmp_path / "project")))


def bring(
    build: BuildFolder,
    far: Path,
    change: Change = right,
    *,
    weights: str = "",
    splits: tuple[str, ...] = ("val",),
) -> Path:
    """results.tar as the machine wrote it that trained and asked."""
    run = far / "small-runs" / "lora-1a2b3c"
    for split in splits:
        write_answers(build.path, run / f"predictions_{split}_lora-1a2b3c.jsonl", change, split)
    (run / "logs").mkdir(exist_ok=True)
    (run / "logs" / "train.log").write_text("step 1\n", "utf-8")
    content = build.manifest.content
    write_results(run / "results.tar", run, name="small", content=content, weights=weights)
    return run / "results.tar"


def test_answers_lie_in_the_folder_of_their_run_and_logs_beside_them(
    build: BuildFolder, tmp_path: Path
) -> None:
    archive = bring(build, tmp_path / "far", splits=("val", "train"))
    taken = take_over(archive, build)
    assert (taken.run, taken.folder) == ("lora-1a2b3c", build.runs / "lora-1a2b3c")
    assert taken.answers_to("val") == build.predictions_file("val", "lora-1a2b3c")
    assert (
        taken.answers_to("val").read_bytes() == (archive.parent / taken.answers_to("val").name).read_bytes()
    )
    assert build.answer_files("train") == [taken.answers_to("train")]
    assert (taken.folder / BROUGHT / "logs" / "train.log").read_text("utf-8") == "step 1\n"
    assert not (taken.folder / "logs").exists()
    assert not list(build.runs.glob(".*"))


def test_the_same_results_land_where_they_did(build: BuildFolder, tmp_path: Path) -> None:
    archive = bring(build, tmp_path / "far")
    first = take_over(archive, build)
    (first.folder / BROUGHT / "notes.txt").write_text("mine", "utf-8")
    second = take_over(archive, build)
    assert (second.folder, second.answers, second.kept) == (first.folder, first.answers, {})
    assert (first.folder / BROUGHT / "notes.txt").is_file()


def test_later_results_of_the_same_weights_replace_the_earlier_ones(
    build: BuildFolder, tmp_path: Path
) -> None:
    first = take_over(bring(build, tmp_path / "far", weights="a" * 64), build)
    before = first.answers_to("val").read_bytes()
    second = take_over(
        bring(build, tmp_path / "far", every_fifth_wrong, weights="a" * 64, splits=("val", "train")), build
    )
    assert second.folder == first.folder
    assert [path.read_bytes() for path in second.kept.values()] == [before]
    assert second.answers_to("train").is_file()


@pytest.mark.parametrize("weights", ["", "b" * 64])
def test_a_run_of_that_name_at_home_is_not_mixed_with_the_one_brought(
    build: BuildFolder, tmp_path: Path, weights: str
) -> None:
    home = write_answers(build.path, build.predictions_file("val", "lora-1a2b3c"), right)
    before = home.read_bytes()
    taken = take_over(bring(build, tmp_path / "far", every_fifth_wrong, weights=weights), build)
    assert taken.run.startswith("lora-1a2b3c-")
    assert taken.answers_to("val") == build.predictions_file("val", taken.run)
    assert (home.read_bytes(), taken.kept) == (before, {})
    assert take_over(tmp_path / "far" / "small-runs" / "lora-1a2b3c" / "results.tar", build).run == taken.run


def test_results_are_taken_over_to_the_build_of_their_content_alone(
    build: BuildFolder, tmp_path: Path
) -> None:
    archive = bring(build, tmp_path / "far")
    other = BuildFolder.open(make_build(tmp_path / "project", "other", answer="answer/label_only.j2"))
    assert build_of(archive, [other, build]).path == build.path
    assert other.manifest.content != build.manifest.content
    with pytest.raises(UserError, match=r"results of another build: `small`.*`other`"):
        take_over(archive, other)
    with pytest.raises(UserError, match=r"the build `small`.*not in this project"):
        build_of(archive, [other])
    assert not other.runs.exists()


def test_builds_of_the_same_content_are_all_named_and_none_is_taken(
    build: BuildFolder, tmp_path: Path
) -> None:
    archive = bring(build, tmp_path / "far")
    copy = BuildFolder(build.path.with_name("copy"))
    shutil.copytree(build.path, copy.path)
    with pytest.raises(UserError, match="`small`, and 2 builds here have its content") as error:
        build_of(archive, [copy, build])
    assert f"datakit evaluate {archive} {copy.path}\n" in error.value.remedy
    assert error.value.remedy.endswith(str(build.path))
    link = tmp_path / "link"
    link.symlink_to(build.path)
    assert build_of(archive, [BuildFolder(link), build]).path.samefile(build.path)


def test_results_of_another_state_of_the_build_say_so(build: BuildFolder, tmp_path: Path) -> None:
    archive = bring(build, tmp_path / "far")
    recipe = tmp_path / "project" / "recipes" / "small.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace("val: 0.5", "val: 0.25"), "utf-8")
    anew = BuildFolder.open(build_recipe(recipe, card=False).folder)
    for refused in (lambda: take_over(archive, anew), lambda: build_of(archive, [anew])):
        with pytest.raises(UserError, match="another state of small") as error:
            refused()
        assert "--out" in error.value.remedy


def test_a_run_that_never_asked_says_where_its_logs_lie(build: BuildFolder, tmp_path: Path) -> None:
    taken = take_over(_failed(build, tmp_path), build)
    with pytest.raises(UserError, match="ended before it asked"):
        taken.answers_to("val")
    assert (taken.folder / BROUGHT / "logs" / "train.log").is_file()
    taken = take_over(bring(build, tmp_path / "later", splits=("train",)), build)
    with pytest.raises(UserError, match=r"no answers to the split `val`.*predictions_train_"):
        taken.answers_to("val")


def test_answers_under_the_name_of_earlier_versions_are_found(build: BuildFolder, tmp_path: Path) -> None:
    far = tmp_path / "far" / "lora-1a2b3c"
    write_answers(build.path, far / "predictions.jsonl", right)
    write_results(far / "results.tar", far, name="small", content=build.manifest.content)
    assert (
        take_over(far / "results.tar", build).answers_to("val") == build.runs / far.name / "predictions.jsonl"
    )


def _failed(build: BuildFolder, folder: Path) -> Path:
    (folder / "failed" / "lora-0" / "logs").mkdir(parents=True)
    (folder / "failed" / "lora-0" / "logs" / "train.log").write_text("no memory\n", "utf-8")
    archive = folder / "failed" / "results.tar"
    write_results(archive, folder / "failed" / "lora-0", name="small", content=build.manifest.content)
    return archive
