"""BuildFolder: one rule for what a build lacks, and a draft that writes whole files."""

from __future__ import annotations

from pathlib import Path

import pytest

from datakit.artifacts.build_draft import BuildDraft
from datakit.artifacts.build_folder import BuildFolder, builds_in, failed_build
from datakit.artifacts.emitted import Emitted, EmittedFile
from datakit.artifacts.manifest import Manifest
from datakit.artifacts.report import BuildReport
from datakit.core.errors import UserError


@pytest.fixture
def draft(tmp_path: Path) -> BuildDraft:
    folder = tmp_path / "build" / "a"
    folder.mkdir(parents=True)
    return BuildDraft(folder)


def test_folder_that_is_no_build_is_told_what_is_missing(draft: BuildDraft) -> None:
    with pytest.raises(UserError, match=r"is no finished build: report.json is missing"):
        BuildFolder.open(draft.path)
    draft.write_report(BuildReport(name="a", recipe="recipes/a.yaml"))
    with pytest.raises(UserError, match=r"manifest.json is missing"):
        BuildFolder.open(draft.path)


def test_recipe_that_is_missing_or_damaged_is_one_error_for_all(draft: BuildDraft, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no build at"):
        _ = BuildFolder(tmp_path / "nowhere").recipe
    with pytest.raises(UserError, match=r"is no build \(recipe.yaml is missing\)"):
        _ = BuildFolder(draft.path).section("train")
    draft.write_recipe("steps: [")
    with pytest.raises(UserError, match=r"recipe.yaml is not YAML"):
        _ = BuildFolder(draft.path).recipe
    draft.write_recipe("- a\n")
    with pytest.raises(UserError, match=r"recipe.yaml holds no settings"):
        _ = BuildFolder(draft.path).recipe
    draft.write_recipe("name: a\ntrain: {gpus: 2}\n")
    assert BuildFolder(draft.path).section("train") == {"gpus": 2}
    assert BuildFolder(draft.path).section("serve") == {}


def test_file_that_only_some_builds_have_is_none(draft: BuildDraft) -> None:
    build = BuildFolder(draft.path)
    assert (build.emitted, build.check, build.serving, build.labels_file) == (None, None, None, None)
    assert (build.input_images(), build.exported(), build.training_file) == (None, None, None)
    assert build.data_files == {}
    with pytest.raises(UserError, match="holds no data set for LLaMA-Factory") as caught:
        build.emitted_for("Emit one.")
    assert caught.value.remedy == "Emit one."


def test_rows_are_those_of_the_parts_and_a_broken_one_is_named(draft: BuildDraft) -> None:
    file = EmittedFile(file="a_val.json", part="val", pictures=False, records=2, rows=2)
    draft.write_emitted(Emitted(files={"a_val": file}))
    (draft.path / "a_val.json").write_text('[\n{"id": "1"},\n{"id": "2"}\n]\n')
    assert b"version" not in (draft.path / "emitted.json").read_bytes(), "format 1 is written as 0.1.0 did"
    build = BuildFolder(draft.path)
    assert [row["id"] for row in build.rows("train", "val")] == ["1", "2"]
    assert list(build.rows("train")) == []
    (draft.path / "a_val.json").write_text('[\n{"id": "1"},\n{"id": \n]\n')
    with pytest.raises(UserError, match="this line is no record") as caught:
        list(build.rows("val"))
    assert caught.value.where.endswith("a_val.json:3")


def test_manifest_is_none_where_there_is_none_or_a_damaged_one(draft: BuildDraft) -> None:
    assert BuildFolder(draft.path).find_manifest() is None
    (draft.path / "manifest.json").write_text("{")
    assert BuildFolder(draft.path).find_manifest() is None


def test_draft_reads_the_manifest_that_it_wrote_last(draft: BuildDraft) -> None:
    draft.write_manifest(Manifest(datakit="0.1.0", name="a", settings="00"))
    assert draft.manifest.content == ""
    draft.write_manifest(Manifest(datakit="0.1.0", name="a", settings="00", content="c0ffee"))
    assert draft.manifest.content == BuildFolder(draft.path).manifest.content == "c0ffee"


def test_write_that_fails_leaves_the_file_as_it_was(
    draft: BuildDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft.write_recipe("name: a\n")

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        draft.write_recipe("name: b\n")
    assert (draft.path / "recipe.yaml").read_text() == "name: a\n"


def test_stamps_leave_out_the_manifest_and_do_not_hash_pictures(draft: BuildDraft) -> None:
    draft.write_recipe("name: a\n")
    draft.write_manifest(Manifest(datakit="0.1.0", name="a", settings="00"))
    (draft.path / "images").mkdir()
    (draft.path / "images" / "a.png").write_bytes(b"png")
    (draft.path / "shot.png").write_bytes(b"png")
    found = draft.stamps({}, {"shot.png"})
    assert set(found) == {"recipe.yaml", "images/a.png", "shot.png"}
    assert found["recipe.yaml"].sha256
    assert (found["images/a.png"].sha256, found["shot.png"].sha256) == ("", "")


def test_builds_of_a_folder_are_found_and_runs_lie_beside(draft: BuildDraft) -> None:
    assert builds_in(draft.path.parent) == []
    (draft.path / "records.parquet").touch()
    assert builds_in(draft.path.parent) == [BuildFolder(draft.path)]
    assert BuildFolder(draft.path).runs == draft.path.with_name("a-runs")
    assert failed_build(draft.path).path == draft.path.with_name(".a.failed")
